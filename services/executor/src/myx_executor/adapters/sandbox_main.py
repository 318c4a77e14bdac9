"""Runs one program locked in, and takes all of it along when it ends or is ended. Standard library only.

python -m …sandbox_main [--parent PID] [--open] [--pty] [--read PATH]… [--write PATH]… -- PROGRAM …

SIGTERM is passed on; SIGINT kills everything at once. Standard input goes to the program. `--open` locks nothing in;
`--pty` opens a terminal for sandbox_pty. With `--parent` nothing is started once that process is gone.
Exit codes: the program's; 128 + n: ended by signal n; 126: it cannot be locked in; 127: it cannot be started.
"""

import argparse
import contextlib
import ctypes
import os
import signal
import sys
import time
from types import FrameType

from myx_executor.adapters import sandbox, sandbox_landlock, sandbox_pty

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_PASSES = 1000
_PAUSE_S = 0.01


def main(arguments: list[str] | None = None) -> int:
    """Parent of the program: small, outside of the lock, without a secret."""
    options = _parsed(sys.argv[1:] if arguments is None else arguments)
    parent = options.parent or os.getppid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        return 128 + signal.SIGKILL
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    # Blocked until there is somebody to tell.
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        _run(options)

    def passed_on(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL if number == signal.SIGINT else signal.SIGTERM)

    for number in signals:
        signal.signal(number, passed_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    code = _ended(child)
    _kill_rest()
    return code


def _run(options: argparse.Namespace) -> None:
    supervisor = os.getppid()
    # As it will be again after exec; until then the files of /proc/self are ours.
    _prctl(_PR_SET_DUMPABLE, 1)
    try:
        if options.pty:
            pair = os.openpty()
            os.environ[sandbox_pty.VARIABLE] = ",".join(map(str, pair))
            for fd in pair:
                os.set_inheritable(fd, True)
        if options.open:
            sandbox_landlock.no_new_privileges()
        else:
            sandbox.enter(sandbox.Limits(options.read, options.write))
    except OSError as error:
        sys.stderr.write(f"the play cannot be isolated: {error}\n")
        sys.stderr.flush()
        os._exit(126)
    # Last: a change of rights forgets it.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(128 + signal.SIGKILL)
    try:
        os.execv(options.program[0], options.program)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"{options.program[0]} cannot be started: {error}\n")
        sys.stderr.flush()
        os._exit(127)


def _ended(child: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _kill_rest() -> None:
    """Whoever fled into a session of its own is our child by now."""
    for _ in range(_PASSES):
        for pid in _children():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(_PAUSE_S)


def _children() -> list[int]:
    own, found = os.getpid(), []
    for name in os.listdir("/proc"):  # noqa: PTH208 - names only
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat") as file:  # noqa: PTH123
                if int(file.read().rpartition(")")[2].split()[1]) == own:
                    found.append(int(name))
    return found


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sandbox_main")
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("--open", action="store_true")
    parser.add_argument("--pty", action="store_true")
    parser.add_argument("--read", action="append", default=[])
    parser.add_argument("--write", action="append", default=[])
    parser.add_argument("program", nargs="+")
    return parser.parse_args(arguments)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
