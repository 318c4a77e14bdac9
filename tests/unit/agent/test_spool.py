"""Writing by the supervisor's log, reading by the agent's reader."""

import errno
import hashlib
import json
import os
import random

import pytest

from myx_agent.spool import index, layout
from myx_agent.spool.reader import LogReader
from myx_agent.supervisor import digest
from myx_agent.supervisor.output import OutputLog, Quota

PLENTY = Quota(1 << 30, 0, lambda _size: True)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "one").mkdir()
    return tmp_path / "one"


def write(folder, pieces, quota=PLENTY):
    log = OutputLog(str(folder), quota)
    for stream, data in pieces:
        log.write(stream, memoryview(data))
    return log


def read(folder, offset=0, limit=1 << 20):
    with LogReader(folder) as log:
        runs, size = [], log.size()
        while (run := log.read(offset, limit, size)) is not None:
            assert run.offset == offset
            runs.append((run.stream, run.data))
            offset += len(run.data)
    return runs


PIECES = [(1, b"ab"), (1, b"c"), (2, b"DE"), (1, b"f"), (2, b"G"), (2, b"H")]


def test_runs_come_back_from_every_offset_and_in_every_size(folder):
    write(folder, PIECES).close()
    whole = [(1, b"a"), (1, b"b"), (1, b"c"), (2, b"D"), (2, b"E"), (1, b"f"), (2, b"G"), (2, b"H")]

    assert read(folder) == [(1, b"abc"), (2, b"DE"), (1, b"f"), (2, b"GH")]
    for offset in range(9):
        for limit in range(1, 9):
            flat = [(stream, data[n : n + 1]) for stream, data in read(folder, offset, limit) for n in range(len(data))]
            assert flat == whole[offset:]


def test_random_writes_are_read_and_counted(folder):
    rng = random.Random(7)
    pieces = [(rng.choice((1, 2)), rng.randbytes(rng.randrange(1, 50))) for _ in range(500)]
    log = write(folder, pieces)

    for number, name in ((1, "stdout"), (2, "stderr")):
        data = b"".join(piece for stream, piece in pieces if stream == number)
        assert log.streams()[name] == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "dropped": 0}
        assert b"".join(piece for stream, piece in read(folder) if stream == number) == data
    log.close()


def test_a_reader_may_jump_back_and_forth(folder):
    write(folder, [(1 + number % 2, b"%04d" % number) for number in range(1000)]).close()
    with LogReader(folder) as log:
        for offset in (3996, 0, 2000, 1996, 2004, 4, 3000, 3998):
            run = log.read(offset, 2, log.size())
            assert (run.stream, run.data) == (1 + offset // 4 % 2, (b"%04d" % (offset // 4))[offset % 4 :][:2])


def test_a_long_stream_changes_to_the_fast_digest_without_a_break(folder, monkeypatch):
    monkeypatch.setattr(digest, "LARGE_BYTES", 1000)
    pieces = [(1 + number % 3 // 2, bytes([number % 256]) * 300) for number in range(20)]
    log = write(folder, pieces)

    for number, name in ((1, "stdout"), (2, "stderr")):
        data = b"".join(piece for stream, piece in pieces if stream == number)
        assert log.streams()[name]["sha256"] == hashlib.sha256(data).hexdigest()
    log.close()


def test_another_supervisor_goes_on_where_the_log_ended(folder):
    log = write(folder, PIECES[:3])
    log.close()
    log = OutputLog(str(folder), PLENTY)
    log.adopt()
    for stream, data in PIECES[3:]:
        log.write(stream, memoryview(data))

    assert log.streams()["stdout"]["sha256"] == hashlib.sha256(b"abcf").hexdigest()
    assert (log.streams()["stderr"]["bytes"], log.end) == (4, 8)
    assert read(folder) == [(1, b"abc"), (2, b"DE"), (1, b"f"), (2, b"GH")]
    log.close()


@pytest.mark.parametrize("torn", [b"", b"\x01", index.pack(5, 2), index.pack(5, 2) + b"\x01\x02", index.pack(9, 2)])
def test_what_a_crash_tore_is_cut(folder, torn):
    write(folder, PIECES[:3]).close()
    with (folder / "index").open("ab") as file:
        file.write(torn)
    log = OutputLog(str(folder), PLENTY)
    log.adopt()
    log.write(1, memoryview(b"x"))
    log.close()

    assert read(folder) == [(1, b"abc"), (2, b"DE"), (1, b"x")]


def test_a_limit_keeps_what_fits_and_counts_the_rest(folder):
    log = write(folder, [(1, b"abcd"), (2, b"efgh"), (1, b"ij")], Quota(6, 0, lambda _size: True))

    assert (log.kept, log.end, log.gap_reason) == (6, 10, "command_limit")
    assert {name: (entry["bytes"], entry["dropped"]) for name, entry in log.streams().items()} == {
        "stdout": (4, 2),
        "stderr": (2, 2),
    }
    assert json.loads((folder / "gap.json").read_text()) == {"from": 6, "reason": "command_limit"}
    log.close()
    again = OutputLog(str(folder), PLENTY)
    again.adopt()
    again.write(1, memoryview(b"more"))
    assert (again.kept, again.gap_reason) == (6, "command_limit")
    again.close()


def test_once_dropped_nothing_is_kept_any_more(folder):
    room = [True, False, True]
    log = write(folder, [(1, b"ab"), (1, b"cd"), (1, b"ef")], Quota(1 << 30, 0, lambda _size: room.pop(0)))

    assert (log.kept, log.end, log.gap_reason) == (2, 6, "spool_limit")
    log.close()


def test_a_disk_that_gets_full_in_the_middle_of_a_write_is_counted_right(folder, monkeypatch):
    log = OutputLog(str(folder), PLENTY)
    log.write(1, memoryview(b"ab"))
    real, left = os.write, [2]

    def write_a_little(fd, data):
        if not left[0]:
            raise OSError(errno.ENOSPC, "full")
        size = min(left[0], len(data))
        left[0] -= size
        return real(fd, data[:size])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_a_little)
        log.write(1, memoryview(b"cdef"))
    log.write(1, memoryview(b"gh"))

    assert (log.kept, log.end, log.gap_reason) == (4, 8, "disk_full")
    assert log.streams()["stdout"] == {"bytes": 4, "sha256": hashlib.sha256(b"abcd").hexdigest(), "dropped": 4}
    assert read(folder) == [(1, b"abcd")]
    log.close()


@pytest.mark.parametrize(
    ("text", "good"),
    [("a", True), ("A-b_c.9", True), ("x" * 128, True), ("x" * 129, False), ("", False), (".", False), ("..", False),
     (".a", False), ("a/b", False), ("a b", False), ("ä", False), ("a\0", False), ("a\n", False)],
)  # fmt: skip
def test_only_harmless_ids_name_folders(text, good):
    assert layout.is_command_id(text) is good


@pytest.mark.parametrize("text", [None, b"", b"12 34", b"12 34 5.0 6.0 boot", b"12\n"])
def test_a_torn_pid_record_is_none(text):
    assert layout.parse_pid_record(text) is None


def test_a_pid_record_tells_whether_it_was_executed():
    first = layout.parse_pid_record(b"12 34 5.5 6.5 boot\n")
    second = layout.parse_pid_record(b"12 34 5.5 6.5 boot\nexec\n")

    assert first == (12, 34, 5.5, 6.5, "boot", False, None, 0.0)
    assert second.executed


@pytest.mark.parametrize(
    ("more", "executed", "status", "ended_at"),
    [
        (b"exec\nexit 768 7.5\n", True, 768, 7.5),
        (b"exit 9 7.5\n", False, 9, 7.5),
        (b"exec\nexit 768 7", True, None, 0.0),
        (b"exec\nexit 768\n", True, None, 0.0),
    ],
)
def test_a_pid_record_tells_the_status_that_was_reaped(more, executed, status, ended_at):
    record = layout.parse_pid_record(b"12 34 5.5 6.5 boot\n" + more)

    assert (record.executed, record.status, record.ended_at) == (executed, status, ended_at)


def test_a_link_that_was_planted_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("whole")
    (tmp_path / "result.json.tmp").symlink_to(victim)
    layout.write_whole(str(tmp_path / "result.json"), b"{}")

    assert victim.read_text() == "whole"
    assert (tmp_path / "result.json").read_bytes() == b"{}"
    (tmp_path / "log").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        OutputLog(str(tmp_path), PLENTY)


def sizes_one_by_one(data, log_size):
    sizes, start, stream = [0, 0, 0, 0], 0, 0
    for (value,) in index.RECORD.iter_unpack(data[: len(data) - len(data) % 8]):
        end = min(value >> 2, log_size)
        sizes[stream] += end - start
        start, stream = end, value & 3
    sizes[stream] += log_size - start
    return sizes


@pytest.mark.parametrize("count", [0, 1, 2, 3, 8191, 8192, 8193, 16384, 20_001])
@pytest.mark.parametrize("damage", [b"", bytes(5), bytes(8), bytes(4096)])
def test_summed_sizes_are_those_of_the_records_one_by_one(tmp_path, count, damage):
    rng, offset, records = random.Random(count), 0, []
    for number in range(count):
        records.append(index.pack(offset, 1 + number % 2))
        offset += rng.randrange(1, 9)
    (tmp_path / "index").write_bytes(b"".join(records) + damage)
    with (tmp_path / "index").open("rb") as file:
        for size in (offset, offset + 7, max(0, offset - 7)):
            assert index.stream_sizes(file.fileno(), size) == sizes_one_by_one(b"".join(records) + damage, size)
