"""The supervisor process: owns the pipes of all commands of one spool, outlives the agent, replaces itself in place.

Arguments: one JSON object {spool, limits, cgroups, code, ready_fd?, handover_fd?}. Nothing in it is secret.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import sys
from typing import Any

from myx_agent.spool import layout
from myx_agent.supervisor.adopt import adopt_all
from myx_agent.supervisor.cgroup import find_root
from myx_agent.supervisor.handover import decode_handover, encode_handover, handover_of
from myx_agent.supervisor.loop import Loop
from myx_agent.supervisor.server import Door, listen
from myx_agent.supervisor.service import Service
from myx_agent.supervisor.store import Limits

_PR_SET_CHILD_SUBREAPER = 36
_READY_FD = 3
_MAX_FDS = 65536
_START_PAUSE_S = 0.02
_IDLE_CHECK_S = 60.0  # without an agent and without a command there is nothing to supervise


def main(argv: list[str]) -> int:
    """Run until asked to quit. 0: quit; 3: another supervisor has the spool."""
    options: dict[str, Any] = json.loads(argv[0])
    spool = options["spool"]
    os.umask(0o077)
    os.chdir("/")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # it sees its commands end, whoever ends them
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _take_descriptors()
    handover = _take_handover(options)
    if handover is None:
        os.closerange(_READY_FD + 1, _MAX_FDS)  # what the agent itself was given is no business of commands
    lock = handover["lock"] if handover else _lock(spool)
    if lock is None:
        return 3
    os.makedirs(f"{spool}/{layout.COMMANDS}", mode=0o700, exist_ok=True)  # noqa: PTH103
    loop = Loop()
    cgroups = find_root(_short_name(spool)) if options["cgroups"] else None
    service = Service(spool, Limits(**options["limits"]), loop, cgroups)
    commands = handover["commands"] if handover else {}
    listener = socket.socket(fileno=handover["listener"]) if handover else listen(spool)
    listener.setblocking(False)
    adopt_all(service, {name: decode_handover(document) for name, document in commands.items()})
    if handover is not None:
        _take_pipes(service, handover)
    service.reap()

    def replace(new_argv: list[str]) -> None:
        if any(command.starting for command in service.running.values()):
            loop.call_later(_START_PAUSE_S, lambda: replace(new_argv))  # what a child says of its start is heard first
        else:
            _replace(new_argv, service, listener, lock)

    identity = {key: options[key] for key in ("code", "limits", "cgroups")}
    door = Door(loop, listener, service, identity, replace)

    def leave_when_idle() -> None:
        if not door.is_used and service.is_idle and not service.lingering:
            loop.stop()
        else:
            loop.call_later(_IDLE_CHECK_S, leave_when_idle)

    loop.call_later(_IDLE_CHECK_S, leave_when_idle)
    if "ready_fd" in options:
        os.write(options["ready_fd"], b"READY\n")
        os.close(options["ready_fd"])
    loop.run()
    if cgroups is not None:
        cgroups.remove_unused()
    with contextlib.suppress(FileNotFoundError):  # the spool may have been removed under it
        os.unlink(f"{spool}/{layout.SOCKET}")  # noqa: PTH108
    return 0


def _take_descriptors() -> None:
    """Each command takes a few: use as many as the system allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FDS if hard == resource.RLIM_INFINITY else min(hard, _MAX_FDS)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _lock(spool: str) -> int | None:
    fd = os.open(f"{spool}/{layout.LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _short_name(spool: str) -> str:
    """A stable name for this spool's cgroups: device and inode."""
    found = os.stat(spool)  # noqa: PTH116
    return f"{found.st_dev:x}-{found.st_ino:x}"


def _replace(argv: list[str], service: Service, listener: socket.socket, lock: int) -> None:
    """Execute a new supervisor in this process: children, pipes, socket and lock stay with it."""
    lingering = {name: drain.readers for name, drain in service.lingering.items()}
    pipes = [fd for command in service.running.values() for fd in command.pipe_fds]
    pipes += [fd for readers in lingering.values() for fd in readers.values()]
    handovers = {command.id: handover_of(command) for command in service.running.values()}
    handovers |= {name: pending.handover for name, pending in service.pending.items() if pending.handover is not None}
    document = {
        "lock": lock,
        "listener": listener.fileno(),
        "pipes": pipes,
        "lingering": lingering,
        "commands": {name: encode_handover(handover) for name, handover in handovers.items()},
    }
    memory = os.memfd_create("handover", 0)
    layout.write_all(memory, json.dumps(document).encode())
    kept = [lock, listener.fileno(), *pipes]
    for fd in kept:
        os.set_inheritable(fd, True)
    options = json.loads(argv[-1]) | {"handover_fd": memory}
    try:
        os.execv(argv[0], [*argv[:-1], json.dumps(options)])  # noqa: S606
    except OSError as error:
        print(f"cannot replace: {error}", file=sys.stderr)  # noqa: T201 - its log file
        for fd in kept:
            os.set_inheritable(fd, False)
        os.close(memory)


def _take_pipes(service: Service, handover: dict[str, Any]) -> None:
    """Close what was opened again by its name; the pipes of a released command have none any more."""
    kept = set()
    for name, readers in handover.get("lingering", {}).items():  # a supervisor of an earlier release hands over none
        if name not in service.lingering:
            service.drain(name, layout.command_dir(service.spool, name), {int(key): fd for key, fd in readers.items()})
            kept |= set(readers.values())
    for fd in handover["pipes"]:
        if fd in kept:
            os.set_inheritable(fd, False)
        else:
            os.close(fd)


def _take_handover(options: dict[str, Any]) -> dict[str, Any] | None:
    fd = options.get("handover_fd")
    if fd is None:
        return None
    document: dict[str, Any] = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    os.close(fd)
    for kept in (document["lock"], document["listener"]):
        os.set_inheritable(kept, False)
    return document
