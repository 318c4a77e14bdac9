"""Processes of this home that an earlier supervisor could not stop because it was killed."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from myx_standalone.home import Home

TAG = "MYX_STANDALONE_OF"
PROC = Path("/proc")
LEAVE_S = 2.0  # PostgreSQL and NATS were told to stop when their parent died
KILL_WAIT_S = 5.0


def of_home(home: Home) -> dict[int, str]:
    """Process ids and names of what still runs for this home, without this process.

    Ours are known by an environment variable, PostgreSQL's (which overwrites its environment) by its name and the
    folder it works in, the agent by its configuration file. The agent's commands and what watches them are not among
    them: they may run on.
    """
    found: dict[int, str] = {}
    for entry in processes():
        name = _kind(entry, home)
        if name and int(entry.name) != os.getpid():
            found[int(entry.name)] = name
    return found


def end(home: Home) -> list[str]:
    """Let leftovers go or kill them; the names of those that were there, for a sentence."""
    seen: dict[int, str] = {}
    deadline = time.monotonic() + LEAVE_S
    while (left := of_home(home)) and time.monotonic() < deadline:
        seen |= left
        time.sleep(0.05)
    deadline = time.monotonic() + KILL_WAIT_S
    while (left := of_home(home)) and time.monotonic() < deadline:
        seen |= left
        kill(left)
        time.sleep(0.05)
    return sorted(set(seen.values()))


def kill(processes: dict[int, str]) -> None:
    """SIGKILL."""
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def postgres_of(home: Home) -> dict[int, str]:
    """PostgreSQL's processes of this home."""
    return {pid: name for pid, name in of_home(home).items() if name == "postgres"}


def processes() -> Iterator[Path]:
    """The folders in /proc of all processes."""
    return (entry for entry in PROC.iterdir() if entry.name.isdecimal())


def _kind(entry: Path, home: Home) -> str:
    try:
        if (entry / "cwd").readlink() == home.postgres / "data" and (entry / "comm").read_text() == "postgres\n":
            return "postgres"
        for item in (entry / "environ").read_bytes().split(b"\0"):
            if item.startswith(TAG.encode() + b"="):
                name, _, of = item.decode(errors="replace").partition("=")[2].partition(":")
                return name if of == str(home.path) else ""
        arguments = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    is_agent = str(home.agent_config).encode() in arguments and b"--stop-commands" not in arguments
    return "agent" if is_agent else ""
