"""Which processes belong to a command, and how to end all of them."""

import contextlib
import os
import signal
from typing import NamedTuple

from myx_agent.spool import layout
from myx_agent.supervisor.cgroup import Cgroup


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


class Tree:
    """The processes of one command: its cgroup, what descends from its leader, and orphans that carry its tag."""

    def __init__(self, command_id: str, leader: int, cgroup: Cgroup | None) -> None:
        self._command_id = command_id
        self._leader = leader
        self._cgroup = cgroup

    def members(self, *, search_all: bool = False) -> set[int]:
        """Pids that are alive now. `search_all` looks at every process's tag, not only at our own orphans."""
        processes = table()
        found = {pid for pid in (self._cgroup.pids() if self._cgroup else ()) if pid in processes}
        me = os.getpid()
        for process in processes.values():
            if process.pid in found or process.pid == me:
                continue
            if self._leader in {process.pid, process.group, process.session} or (
                (search_all or process.parent in {me, 1}) and tag_of(process.pid) == self._command_id
            ):
                found.add(process.pid)
        return _with_descendants(found, processes) - {me, 1}

    def signal(self, number: int) -> None:
        """Send a signal to every member once."""
        for pid in self.members():
            _send(pid, number)

    def kill(self) -> set[int]:
        """Kill all members, once; returns those that were there. Repeat until it returns none."""
        if self._cgroup is not None:
            self._cgroup.kill()
        stopped: set[int] = set()
        while fresh := self.members(search_all=True) - stopped:  # a stopped process forks no more
            for pid in fresh:
                _send(pid, signal.SIGSTOP)
            stopped |= fresh
            if len(stopped) > 100_000:
                break
        for pid in stopped:
            _send(pid, signal.SIGKILL)
        return stopped


def _with_descendants(roots: set[int], processes: dict[int, Process]) -> set[int]:
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found, queue = set(roots), list(roots)
    while queue:
        for child in children.get(queue.pop(), ()):
            if child not in found:
                found.add(child)
                queue.append(child)
    return found


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
