"""Fork and exec of one command. The child executes nothing before its record is durable and it got its go.

Windows of a crash, in order:
  meta written, no pid record      the child (if any) reads the end of the go pipe and exits: never started
  pid record, no "exec" in it      the child may have been executed: alive, it is adopted; gone, it is unknown
  "exec" recorded                  it ran
The child itself syncs meta and pid record before it executes, so that after a reboot too "no pid record" means never
started.
"""

import contextlib
import os
import resource
import signal
from dataclasses import dataclass
from typing import NoReturn

from myx_agent.spool import layout
from myx_agent.supervisor.cgroup import Cgroup

_GO = b"g"
_OOM_SCORE_ADJ = b"500"  # a command dies before agent and supervisor, whose own score the unit sets
_OPEN_FILES = 1024  # what a login finds; who needs more asks for it, up to the hard limit


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int
    groups: list[int]


@dataclass(frozen=True, slots=True)
class Program:
    """What to execute. `env` is the whole environment; `cwd` None means the home of nobody in particular: `/`."""

    argv: list[str]
    env: dict[str, str]
    cwd: str | None
    user: User | None


@dataclass(slots=True)
class Child:
    pid: int
    go: int
    errors: int  # readable: empty = executed, else "<stage> <errno>"
    in_cgroup: bool


def fork(program: Program, folder: str, stdin: int | None, outputs: tuple[int, int], cgroup: Cgroup | None) -> Child:
    """Fork a child, in `cgroup` where that is possible, that waits for `release`. Raises OSError."""
    go_reader, go_writer = os.pipe()
    error_reader, error_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        pid, in_cgroup = _fork(cgroup)
    except OSError:
        for fd in (go_reader, go_writer, error_reader, error_writer):
            os.close(fd)
        raise
    if pid == 0:
        os.close(go_writer)
        _child(program, folder, stdin, outputs, go_reader, error_writer)
    os.close(go_reader)
    os.close(error_writer)
    return Child(pid, go_writer, error_reader, in_cgroup)


def _fork(cgroup: Cgroup | None) -> tuple[int, bool]:
    if cgroup is not None:
        with contextlib.suppress(OSError):
            return cgroup.fork(), True
    return os.fork(), False


def release(child: Child) -> None:
    """Let the child execute."""
    with contextlib.suppress(OSError):  # it may have been killed while it waited
        os.write(child.go, _GO)
    os.close(child.go)


def _child(  # noqa: PLR0917 - one caller, three lines above
    program: Program, folder: str, stdin: int | None, outputs: tuple[int, int], go: int, errors: int
) -> NoReturn:
    stage = "record"
    try:
        if os.read(go, 1) != _GO:
            os._exit(1)
        for path in (f"{folder}/{layout.META}", f"{folder}/{layout.PID}", folder, os.path.dirname(folder)):  # noqa: PTH120
            layout.fsync_path(path)
        stage = "setup"
        os.setsid()
        if stdin is None:
            stdin = os.open(os.devnull, os.O_RDONLY)
        os.dup2(stdin, 0)
        os.dup2(outputs[0], 1)
        os.dup2(outputs[1], 2)
        os.umask(0o022)
        _restore_signals()
        _leave_limits()
        stage = "user"
        if program.user is not None:
            os.setgroups(program.user.groups)
            os.setresgid(program.user.gid, program.user.gid, program.user.gid)
            os.setresuid(program.user.uid, program.user.uid, program.user.uid)
        stage = "cwd"
        os.chdir(program.cwd or "/")
        stage = "exec"
        os.execvpe(program.argv[0], program.argv, program.env)  # noqa: S606
    except OSError as error:
        os.write(errors, f"{stage} {error.errno or 0}".encode())
    finally:
        os._exit(127)


def _leave_limits() -> None:
    """What is meant for agent and supervisor is not passed on."""
    with contextlib.suppress(OSError):
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, _OOM_SCORE_ADJ)
        os.close(fd)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft > _OPEN_FILES:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, hard))


def _restore_signals() -> None:
    """Python ignores some signals and the supervisor others; a command starts with all of them at their defaults."""
    for number in range(1, signal.NSIG):
        if signal.getsignal(number) not in {signal.SIG_DFL, None}:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
