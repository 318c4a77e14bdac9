"""A large log through all of MyX: downloaded whole, in ranges, of one stream, and searched, with flat memory."""

import hashlib
import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from myx_testkit.standalone import Standalone
from myx_testkit.wait import until_sync

sys.path.insert(0, str(Path(__file__).parent))

from test_bulk import MEGABYTE, Memory

MAY_GROW = 80 * MEGABYTE
# The agent keeps 1 GiB of a command: as much as there can be.
SIZES = [
    pytest.param(64, id="64 MiB"),
    pytest.param(1024, id="1 GiB", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
]
LAST = b"\nthe needle of this log\n"


def download(myx: Standalone, path: str, **headers: str) -> Iterator[bytes]:
    api = myx.api()
    url = f"http://127.0.0.1:{myx.port}/api/v1{path}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {api.token}"} | headers)
    with urllib.request.urlopen(request, timeout=120) as response:
        while chunk := response.read(MEGABYTE):
            yield chunk


def search_all(myx: Standalone, command_id: str, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    offset = 0
    while True:
        one = myx.api().request("GET", f"/commands/{command_id}/log/search?{query}&from_offset={offset}")
        found += one["items"]
        if one["is_end"]:
            return found
        assert one["next_offset"] > offset
        offset = one["next_offset"]


@pytest.mark.parametrize("mib", SIZES)
def test_a_large_log_is_downloaded_and_searched_with_flat_memory(myx: Standalone, tmp_path: Path, mib: int) -> None:
    source, digest, size = tmp_path / "big", hashlib.sha256(), mib * MEGABYTE
    with source.open("wb") as file:
        for _ in range(mib - 1):
            block = os.urandom(MEGABYTE // 2) + b"a line of a log that says little\n" * (MEGABYTE // 66)
            block = block.ljust(MEGABYTE, b"\n")
            digest.update(block)
            file.write(block)
        block = bytes(MEGABYTE - len(LAST)) + LAST
        digest.update(block)
        file.write(block)
    myx.cli("run", "local", "--", "head", "-c", "4000000", str(source))
    with Memory(myx) as memory:
        started = myx.api().request("POST", "/commands", {"server": "local", "command": "cat", "args": [str(source)]})
        path = f"/commands/{started['id']}"
        until_sync(lambda: myx.api().request("GET", path)["ended_at"], 1200, interval_s=0.2)
        shown = myx.api().request("GET", path)
        assert (shown["log_completeness"], shown["log_size_bytes"]) == ("complete", size)
        whole, length = hashlib.sha256(), 0
        for chunk in download(myx, f"{path}/log"):
            whole.update(chunk)
            length += len(chunk)
        assert (length, whole.hexdigest()) == (size, digest.hexdigest())
        # As one whose download broke goes on.
        with source.open("rb") as file:
            file.seek(size - 3_000_001)
            rest = file.read()
        assert b"".join(download(myx, f"{path}/log", Range=f"bytes={size - 3_000_001}-")) == rest
        assert b"".join(download(myx, f"{path}/log?offset={size - 3_000_001}")) == rest
        [match] = search_all(myx, started["id"], "pattern=needle")
        assert match["offset"] == size - len(LAST) + 1
    print("MB grown", memory.grown())
    assert max(memory.grown().values()) * MEGABYTE < MAY_GROW, memory.grown()
