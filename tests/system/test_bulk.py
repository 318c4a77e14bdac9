"""Much output: byte-exact at the command line, and memory that stays flat on the way."""

import hashlib
import os
import subprocess
import threading
from pathlib import Path

from myx_testkit.standalone import Standalone

MEGABYTE = 1024 * 1024
BIG = 100 * MEGABYTE
MAY_GROW = 64 * MEGABYTE
WATCHED = ("agent", "executor", "gateway", "commands")


class Memory:
    """The largest resident memory of each watched part while the block runs."""

    def __init__(self, myx: Standalone) -> None:
        self.myx = myx
        self.before = {part: myx.rss_bytes(part) for part in WATCHED}
        self.largest = dict(self.before)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self.done.wait(0.2):
            for part in WATCHED:
                self.largest[part] = max(self.largest[part], self.myx.rss_bytes(part))

    def __enter__(self) -> "Memory":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def grown(self) -> dict[str, int]:
        """How many MB more than before."""
        return {part: (self.largest[part] - self.before[part]) // MEGABYTE for part in WATCHED}


def digest_of(follower: subprocess.Popen[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    assert follower.stdout is not None
    while chunk := follower.stdout.read(MEGABYTE):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def test_a_hundred_megabytes_arrive_exactly(myx: Standalone, tmp_path: Path) -> None:
    source, digest = tmp_path / "big", hashlib.sha256()
    with source.open("wb") as file:
        for _ in range(BIG // MEGABYTE):
            block = os.urandom(MEGABYTE)
            digest.update(block)
            file.write(block)
    myx.cli("run", "local", "--", "head", "-c", "1000000", str(source))  # warm, so that growth is growth
    with Memory(myx) as memory, myx.follow("run", "local", "--", "cat", str(source)) as follower:
        received = digest_of(follower)
        assert follower.communicate(timeout=30)[1] == b""
    assert received == (digest.hexdigest(), BIG)
    assert follower.returncode == 0
    print("MB grown", memory.grown(), "before", {part: size // MEGABYTE for part, size in memory.before.items()})
    assert max(memory.grown().values()) * MEGABYTE < MAY_GROW, memory.grown()


def test_a_million_short_lines_arrive_exactly(myx: Standalone) -> None:
    wanted = hashlib.sha256("".join(f"{number}\n" for number in range(1, 1_000_001)).encode()).hexdigest()
    with myx.follow("run", "local", "--", "seq", "1", "1000000") as follower:
        assert digest_of(follower)[0] == wanted
    assert follower.returncode == 0


def test_binary_output_arrives_exactly_on_both_streams(myx: Standalone, tmp_path: Path) -> None:
    everything = bytes(range(256)) * 300
    (tmp_path / "b").write_bytes(everything)
    done = myx.cli("run", "local", "--", "sh", "-c", f"cat {tmp_path}/b; cat {tmp_path}/b {tmp_path}/b >&2")
    assert done.returncode == 0
    assert done.stdout == everything
    assert done.stderr == everything * 2


def test_a_stored_log_is_read_again_from_any_offset(myx: Standalone) -> None:
    started = myx.api().request("POST", "/commands", {"server": "local", "command": "seq", "args": ["1", "200000"]})
    whole = "".join(f"{number}\n" for number in range(1, 200_001)).encode()
    assert myx.cli("logs", "-f", started["id"]).stdout == whole
    assert myx.cli("logs", "--offset", "1000000", started["id"]).stdout == whole[1_000_000:]
    shown = myx.api().request("GET", f"/commands/{started['id']}")
    assert shown["log_size_bytes"] == len(whole)
    assert shown["log_completeness"] == "complete", shown
    assert shown["result"]["stdout"]["sha256"] == hashlib.sha256(whole).hexdigest()
