"""A command that lives while its adoption fails for a while: nothing is lost, nothing is left half-way."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from myx_agent.spool import layout
from myx_agent.supervisor import adopt, command, processes
from myx_agent.supervisor.command import Command
from myx_agent.supervisor.handover import Handover
from myx_agent.supervisor.loop import Loop
from myx_agent.supervisor.output import OutputLog, Quota
from myx_agent.supervisor.service import Refused, Service
from myx_agent.supervisor.store import Limits

META = {"digest": "d", "command": "sleep", "secret_names": [], "timeout_s": None, "no_output_timeout_s": None}
ENDED = {"state": "finished", "end": 0, "kept": 0, "gap": None, "digest": "d", "ended_at": 7.0, "result": {}}
ASIDE = """
import os, subprocess
print(subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid, flush=True)
os._exit(0)
"""


@pytest.fixture
def service(tmp_path, monkeypatch):
    (tmp_path / "commands").mkdir()
    monkeypatch.setattr(adopt, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(command, "REAP_WAIT_S", 0.0)
    monkeypatch.setattr(command, "LOOK_S", 0.02)
    handler = signal.getsignal(signal.SIGCHLD)
    yield Service(str(tmp_path), Limits(1 << 30, 1 << 30, 0, 100, 3600, 10), Loop(), None)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, handler)


@pytest.fixture
def child():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.fixture
def stranger():
    """The pid of a process that is not our child."""
    pid = int(subprocess.run([sys.executable, "-c", ASIDE], stdout=subprocess.PIPE, check=True).stdout)
    yield pid
    if processes.exists(pid):
        os.kill(pid, signal.SIGKILL)


def left(service, pid):
    """The folder of a command of this boot."""
    folder = Path(service.spool) / "commands" / "one"
    folder.mkdir()
    (folder / "meta.json").write_text(json.dumps(META))
    started = processes.read_process(pid).start_ticks
    (folder / "pid").write_text(f"{pid} {started} {time.monotonic()} {time.time()} {service.boot_id}\nexec\n")
    for name in layout.STREAMS:
        os.mkfifo(folder / name)
    log = OutputLog(str(folder), Quota(1 << 30, 0, lambda _size: True))
    log.write(1, memoryview(b"out"))
    log.close()
    return folder


def failing(monkeypatch, owner, name, times=1, number=errno.EMFILE):
    """Have a function fail some times, before it is what it was."""
    real, calls = getattr(owner, name), []

    def call(*args, **kwargs):
        calls.append(name)
        if len(calls) <= times:
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)
    return calls


def open_files(service, pid):
    """What this process has open of the spool and of the command's leader; other tests' threads open files as well."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target, info = str(link.readlink()), Path(f"/proc/self/fdinfo/{link.name}").read_text()
            if target.startswith(str(service.spool)) or f"Pid:\t{pid}\n" in info:
                found.append(target)
    return found


def turn(service, until=lambda: True):
    deadline = time.monotonic() + 5
    while True:
        service.loop._running = True
        service.loop.call_later(0.01, service.loop.stop)
        service.loop.run()
        if until() or time.monotonic() > deadline:
            return


TROUBLE = {
    "reading": (adopt, "_read_result"),
    "the log": (OutputLog, "adopt"),
    "the pipes": (Command, "open_pipes"),
    "the clocks": (Command, "set_clocks"),
    "a termination": (Command, "resume_termination"),
}


@pytest.mark.parametrize("place", TROUBLE.values(), ids=TROUBLE)
def test_a_passing_error_is_undone_and_the_command_adopted_later(service, child, monkeypatch, place):
    folder = left(service, child.pid)
    failing(monkeypatch, *place, times=1)
    adopt.adopt_all(service, {})

    assert (list(service.running), list(service.pending), service.store.used) == ([], ["one"], 0)
    assert open_files(service, child.pid) == []
    assert service.start({"command_id": "one", "digest": "d"}, None) == {"state": "running", "existing": True}
    assert (service.status()["running"], service.status()["ids"], service.is_idle) == (1, ["one"], False)
    with pytest.raises(Refused, match="still running"):
        service.release("one")
    turn(service, lambda: "one" in service.running)
    assert (list(service.running), service.pending, service.store.used) == (["one"], {}, 11)
    assert len(open_files(service, child.pid)) >= len(layout.STREAMS) + 1
    assert not (folder / "result.json").exists()


def test_what_cannot_be_adopted_keeps_what_was_handed_over_and_its_exit_code(service, child, monkeypatch):
    folder = left(service, child.pid)
    monkeypatch.setattr(adopt, "FIRST_PAUSE_S", 0.3)
    failing(monkeypatch, Command, "open_pipes")
    adopt.adopt_all(service, {"one": Handover(dropped={1: 4, 2: 0})})
    for name in layout.STREAMS:
        (folder / name).unlink()
    os.kill(child.pid, signal.SIGTERM)
    turn(service, (folder / "result.json").exists)

    record = json.loads((folder / "result.json").read_text())
    assert (record["state"], record["result"]["return_code"], record["end"]) == ("finished", 143, 7)
    assert service.store.finished_count == 1
    assert service.store.used == 11


def test_what_cannot_be_adopted_can_be_cancelled(service, child, monkeypatch):
    left(service, child.pid)
    failing(monkeypatch, OutputLog, "adopt", times=100_000)
    monkeypatch.setattr(adopt, "TRIES", 100_000)  # without a pause between them it would be given up at once
    adopt.adopt_all(service, {})

    assert service.cancel("one", 0) == {"state": "running"}
    turn(service, lambda: service.pending["one"].status is not None)
    assert service.pending["one"].status == signal.SIGKILL


def test_what_keeps_failing_ends_as_unknown_once_nothing_runs(service, child, monkeypatch):
    folder = left(service, child.pid)
    failing(monkeypatch, OutputLog, "adopt", times=1000, number=errno.EIO)
    monkeypatch.setattr(adopt, "TRIES", 3)
    adopt.adopt_all(service, {})
    turn(service)
    turn(service)
    assert (list(service.pending), (folder / "result.json").exists()) == (["one"], False)

    os.kill(child.pid, signal.SIGKILL)
    turn(service, (folder / "result.json").exists)
    record = json.loads((folder / "result.json").read_text())
    assert (record["state"], record["digest"], record["end"], record["kept"]) == ("unknown", "d", 3, 0)
    assert service.start({"command_id": "one", "digest": "d"}, None) == {"state": "unknown", "existing": True}


def test_a_result_that_cannot_be_read_for_long_is_not_written_over(service, child, monkeypatch):
    folder = left(service, child.pid)
    child.kill()
    child.wait()
    for name in layout.STREAMS:
        (folder / name).unlink()
    (folder / "result.json").write_text(json.dumps(ENDED))
    monkeypatch.setattr(adopt, "TRIES", 1)
    monkeypatch.setattr(adopt, "LONGEST_PAUSE_S", 0.1)
    failing(monkeypatch, adopt, "_read_result", times=4)
    adopt.adopt_all(service, {})
    turn(service, lambda: "one" in service.unsaid)
    assert service.cancel("one", 0)["state"] == "finished"

    turn(service, lambda: service.store.finished_count == 1)
    assert (json.loads((folder / "result.json").read_text()), service.unsaid) == (ENDED, {})


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EMFILE])
def test_without_a_pidfd_the_leader_is_looked_at(service, stranger, monkeypatch, number):
    folder = left(service, stranger)
    failing(monkeypatch, os, "pidfd_open", times=1000, number=number)
    adopt.adopt_all(service, {})
    turn(service)
    assert list(service.running) == ["one"]

    service.cancel("one", 0)
    turn(service, (folder / "result.json").exists)
    assert (json.loads((folder / "result.json").read_text())["state"], service.running) == ("lost", {})
    assert processes.read_process(stranger) is None or not processes.read_process(stranger).alive


def test_a_process_that_cannot_be_looked_at_has_not_ended(child, monkeypatch):
    monkeypatch.setattr(processes, "read_process", lambda _pid: None)
    assert not processes.has_ended(child.pid, 1)
    child.kill()
    child.wait()
    assert processes.has_ended(child.pid, 1)
