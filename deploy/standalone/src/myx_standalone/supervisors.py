"""The processes that watch the commands of this home's agent and outlive it.

There is one for each spool folder; it knows the folder by its path and holds the lock in it. After the home was moved
those two no longer agree: such a supervisor writes to where the folder was.
"""

import json
import time
from pathlib import Path

from myx_standalone.home import Home
from myx_standalone.leftovers import KILL_WAIT_S, kill, processes

PROGRAM = b"/myx_agent/supervisor"
LOCK = "supervisor.lock"


def astray(home: Home) -> list[int]:
    """Those that name this home's spool but hold another's lock, or hold its lock under another name."""
    return [pid for pid, (names_it, holds_it) in _of_home(home).items() if names_it != holds_it]


def remaining(home: Home) -> list[int]:
    """All that have to do with this home's spool, by its name or by its lock."""
    return list(_of_home(home))


def end(pids: list[int], home: Home, leave_within_s: float = 0.0) -> None:
    """SIGKILL those that do not leave in time (they hear no other signal), and wait until they are gone.

    The next one adopts the commands that still run.
    """
    if not _gone(pids, home, leave_within_s):
        kill(dict.fromkeys(pids, ""))
        _gone(pids, home, KILL_WAIT_S)


def _gone(pids: list[int], home: Home, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while set(pids) & set(_of_home(home)):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def _of_home(home: Home) -> dict[int, tuple[bool, bool]]:
    spool = home.agent / "spool"
    lock = _identity(spool / LOCK)
    found = {}
    for entry in processes():
        try:
            watched = _spool_of(entry)
            if watched is None:
                continue
            holds_it = lock is not None and any(_identity(item) == lock for item in (entry / "fd").iterdir())
        except OSError:
            continue
        if watched == str(spool) or holds_it:
            found[int(entry.name)] = (watched == str(spool), holds_it)
    return found


def _spool_of(entry: Path) -> str | None:
    arguments = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    if len(arguments) < 2 or not arguments[-2].endswith(PROGRAM):
        return None
    try:
        options = json.loads(arguments[-1])
        return str(options["spool"])
    except (ValueError, KeyError, TypeError):
        return None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
