"""The process table, as /proc has it."""

import os
from typing import NamedTuple

from myx_agent.spool import layout


class Process(NamedTuple):
    """A line of the process table."""

    pid: int
    parent: int
    group: int
    session: int
    start_ticks: int
    state: str

    @property
    def alive(self) -> bool:
        return self.state not in "ZX"


def read_process(pid: int) -> Process | None:
    """The process as /proc/<pid>/stat has it; None when it is gone. The name may hold blanks and brackets."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            text = file.read()
    except OSError:
        return None
    fields = text[text.rfind(b")") + 2 :].split()
    if len(fields) < 20:
        return None
    return Process(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]), fields[0].decode())


def exists(pid: int) -> bool:
    """The kernel knows the process, also where /proc cannot be read for want of a descriptor."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def has_ended(pid: int, start_ticks: int) -> bool:
    """The process is gone or a zombie, or its number is another's by now. One that cannot be looked at has not."""
    process = read_process(pid)
    if process is None:
        return not exists(pid)
    return not process.alive or process.start_ticks != start_ticks


def table() -> dict[int, Process]:
    """All processes that are alive."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and (process := read_process(int(name))) is not None and process.alive:
            found[process.pid] = process
    return found


def children_of_self() -> list[int] | None:
    """Direct children of this process; None where the kernel does not tell."""
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: PTH123
            return [int(word) for word in file.read().split()]
    except OSError:
        return None


def tag_of(pid: int) -> str | None:
    """The command a process says to be of, from the environment it was executed with; None: none or not readable."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            environ = b"\0" + file.read()
    except OSError:
        return None
    start = environ.find(b"\0" + layout.COMMAND_ID_TAG.encode() + b"=")
    if start < 0:
        return None
    start = environ.index(b"=", start) + 1
    end = environ.find(b"\0", start)
    return environ[start : end if end >= 0 else None].decode(errors="replace")
