"""What a new supervisor makes of the spool after a power failure or on a full disk, without a process of its own."""

import errno
import json
import os
import signal
from pathlib import Path

import pytest

from myx_agent.spool import index, layout
from myx_agent.spool.reader import LogReader
from myx_agent.supervisor import adopt
from myx_agent.supervisor import service as service_module
from myx_agent.supervisor.loop import Loop
from myx_agent.supervisor.output import OutputLog, Quota
from myx_agent.supervisor.service import Refused, Service
from myx_agent.supervisor.store import Limits

LIMITS = Limits(1 << 30, 1 << 30, 0, 100, 3600, 10)
RECORD = "4194000 1 5.0 6.0 {boot}\n{more}"
TORN = {"empty": b"", "cut": b'{"state": "fin', "zeros": b"\0" * 40}


@pytest.fixture
def spool(tmp_path):
    (tmp_path / "commands").mkdir()
    return tmp_path


@pytest.fixture
def service(spool):
    handler = signal.getsignal(signal.SIGCHLD)
    yield Service(str(spool), LIMITS, Loop(), None)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, handler)


@pytest.fixture
def full_disk(monkeypatch):
    """Takes no result.json until the list is emptied."""
    real, full = layout.write_whole, ["full"]

    def write_whole(path, data):
        if full and path.endswith(layout.RESULT):
            raise OSError(errno.ENOSPC, "full")
        real(path, data)

    monkeypatch.setattr(layout, "write_whole", write_whole)
    monkeypatch.setattr(adopt, "RESULT_RETRY_S", 0.0)
    return full


def left(spool, name, *, boot="another-boot", more="exec\n", pieces=((1, b"out"), (2, b"err"))):
    """The folder of a command that was running."""
    folder = spool / "commands" / name
    folder.mkdir()
    (folder / "meta.json").write_text(json.dumps({"digest": "d", "command": "sh"}))
    (folder / "pid").write_text(RECORD.format(boot=boot, more=more))
    log = OutputLog(str(folder), Quota(1 << 30, 0, lambda _size: True))
    for stream, data in pieces:
        log.write(stream, memoryview(data))
    log.close()
    return folder


def finished(spool, name, **changes):
    """The folder of a command that had ended."""
    folder = left(spool, name, **changes)
    streams = {
        "stdout": {"bytes": 3, "sha256": "…", "dropped": 0},
        "stderr": {"bytes": 3, "sha256": "…", "dropped": 0},
    }
    record = {"state": "finished", "end": 6, "kept": 6, "gap": None, "digest": "d", "ended_at": 7.0}
    (folder / "result.json").write_text(json.dumps(record | {"result": {"return_code": 4, **streams}}))
    return folder


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def start(service, name, digest="d"):
    return service.start({"command_id": name, "digest": digest}, None)


def turn(service):
    """Let the timers that are due fire."""
    service.loop.call_later(0.0, service.loop.stop)
    service.loop.run()


def test_on_a_full_disk_the_end_of_an_earlier_boot_is_said_later_and_nothing_runs_twice(spool, service, full_disk):
    folder = left(spool, "cut")
    adopt.adopt_all(service, {})

    assert start(service, "cut") == {"state": "lost", "existing": True}
    assert service.cancel("cut", 0) == {"state": "lost"}
    with pytest.raises(Refused, match="other arguments"):
        start(service, "cut", "another digest")
    assert not (folder / "result.json").exists()
    full_disk.clear()
    turn(service)
    assert (result_of(folder)["state"], result_of(folder)["end"]) == ("lost", 6)
    assert (service.store.finished_count, service.unsaid) == (1, {})
    assert start(service, "cut") == {"state": "lost", "existing": True}


def test_what_is_released_while_its_end_cannot_be_written_stays_released(spool, service, full_disk):
    folder = left(spool, "cut")
    adopt.adopt_all(service, {})
    service.release("cut")
    full_disk.clear()
    turn(service)

    assert not folder.exists()
    with pytest.raises(Refused, match="released"):
        start(service, "cut")


@pytest.mark.parametrize("torn", TORN.values(), ids=TORN)
def test_a_result_that_a_power_failure_tore_counts_as_absent(spool, service, torn):
    folder = finished(spool, "torn")
    (folder / "result.json").write_bytes(torn)
    with LogReader(folder) as log:
        assert log.final() is None
    adopt.adopt_all(service, {})

    assert (result_of(folder)["state"], result_of(folder)["digest"]) == ("lost", "d")


@pytest.mark.parametrize("torn", TORN.values(), ids=TORN)
def test_a_torn_gap_counts_as_absent(spool, service, torn):
    folder = left(spool, "torn")
    (folder / "gap.json").write_bytes(torn)
    adopt.adopt_all(service, {})

    assert (result_of(folder)["state"], result_of(folder)["gap"]) == ("lost", None)


@pytest.mark.parametrize("torn", TORN.values(), ids=TORN)
def test_what_was_asked_for_may_be_torn_and_still_it_ends_and_is_not_run_again(spool, service, torn):
    ran, perhaps = left(spool, "ran"), left(spool, "perhaps", more="", pieces=())
    for folder in (ran, perhaps):
        (folder / "meta.json").write_bytes(torn)
    adopt.adopt_all(service, {})

    assert (result_of(ran)["state"], result_of(perhaps)["state"]) == ("lost", "unknown")
    assert start(service, "ran", "any digest") == {"state": "lost", "existing": True}
    assert start(service, "perhaps", "any digest") == {"state": "unknown", "existing": True}


def broken_pid(folder):
    (folder / "pid").write_text("no number but four words\n")


def broken_log(folder):
    (folder / "log").unlink()
    (folder / "log").symlink_to("/dev/null")


def broken_meta_of_this_boot(folder):
    (folder / "pid").write_text(RECORD.format(boot=layout.boot_id(), more="exec\n"))
    (folder / "meta.json").write_bytes(b"")


@pytest.mark.parametrize("break_it", [broken_pid, broken_log, broken_meta_of_this_boot])
def test_a_folder_that_cannot_be_read_costs_its_own_command_only(spool, service, capsys, monkeypatch, break_it):
    monkeypatch.setattr(adopt, "TRIES", 0)
    before, broken, after = left(spool, "a"), left(spool, "b"), left(spool, "c")
    break_it(broken)
    adopt.adopt_all(service, {})

    assert (result_of(before)["state"], result_of(after)["state"]) == ("lost", "lost")
    assert "command b cannot be taken over" in capsys.readouterr().err
    assert start(service, "b") == {"state": "unknown", "existing": True}
    with LogReader(broken) as log:
        assert (log.final().state, log.final().kept, log.final().result["reason"]) == ("unknown", 0, "unknown")
    assert service.store.finished_count == 3


def test_what_cannot_be_read_on_a_full_disk_is_answered_from_memory(spool, service, full_disk):
    folder = left(spool, "b")
    broken_pid(folder)
    adopt.adopt_all(service, {})

    assert service.unsaid["b"]["gap"] == {"from": 0, "to": 6, "reason": "disk_lost"}
    assert service.unsaid["b"]["result"]["reason"] == "unknown"
    full_disk.clear()
    turn(service)
    assert (result_of(folder)["state"], service.unsaid, service.store.finished_count) == ("unknown", {}, 1)


def test_a_result_that_is_not_whole_counts_as_absent(spool, service):
    folder = left(spool, "b")
    (folder / "result.json").write_text('{"state": "unknown", "digest": "d", "ended_at": 7.0, "kept": 9}')
    with LogReader(folder) as log:
        assert log.final() is None
    adopt.adopt_all(service, {})

    assert result_of(folder)["state"] == "lost"


BROKEN_INDEXES = {
    "empty": b"",
    "torn": index.pack(0, 1)[:5],
    "not from 0": index.pack(2, 1) + index.pack(3, 2),
    "zeros": bytes(16),
    "zeros at the end": index.pack(0, 1) + bytes(8),
    "an end that is missing": index.pack(0, 1),
}


@pytest.mark.parametrize("data", [*BROKEN_INDEXES.values(), None], ids=[*BROKEN_INDEXES, "none"])
def test_without_its_index_a_log_is_said_to_be_lost_and_the_exit_code_stays(spool, service, data):
    folder = finished(spool, "cut")
    if data is None:
        (folder / "index").unlink()
    else:
        (folder / "index").write_bytes(data)
    adopt.adopt_all(service, {})

    record = result_of(folder)
    assert (record["kept"], record["gap"]) == (0, {"from": 0, "to": 6, "reason": "disk_lost"})
    assert (record["state"], record["result"]["return_code"], record["result"]["stdout"]["dropped"]) == (
        "finished",
        4,
        3,
    )
    assert not (folder / "log").exists()


@pytest.mark.parametrize("more", [b"", index.pack(6, 1), index.pack(6, 1)[:5]], ids=["whole", "beyond the end", "torn"])
def test_a_whole_log_is_kept(spool, service, more):
    folder = finished(spool, "whole")
    with (folder / "index").open("ab") as file:
        file.write(more)
    adopt.adopt_all(service, {})

    assert (result_of(folder)["kept"], (folder / "log").read_bytes()) == (6, b"outerr")


def test_what_ended_in_this_boot_has_its_index_not_read(spool, service, monkeypatch):
    folder = finished(spool, "mine", boot=layout.boot_id())
    monkeypatch.setattr(index, "stream_sizes", None)
    adopt.adopt_all(service, {})

    assert (result_of(folder)["kept"], service.store.finished_count) == (6, 1)


def test_what_is_read_of_all_indexes_is_bounded_and_the_rest_is_glanced_at(spool, service, monkeypatch):
    reads, real = [], index.stream_sizes
    monkeypatch.setattr(index, "stream_sizes", lambda *args: reads.append(args) or real(*args))
    monkeypatch.setattr(adopt, "CHECKED_RECORDS", 3)
    folders = [finished(spool, name) for name in "abc"]
    (folders[2] / "index").write_bytes(index.pack(0, 1) + bytes(24))
    adopt.adopt_all(service, {})

    assert (len(reads), [result_of(folder)["kept"] for folder in folders]) == (1, [6, 6, 0])


def test_all_that_an_end_needs_is_synced(spool, monkeypatch):
    folder, synced = finished(spool, "done"), []
    (folder / "events.jsonl").touch()
    monkeypatch.setattr(os, "closerange", lambda *_range: None)
    monkeypatch.setattr(os, "_exit", lambda _code: None)
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    service_module._sync([str(folder)])

    assert synced == [*(str(folder / name) for name in ("log", "index", "events.jsonl", "result.json")), str(folder)]
