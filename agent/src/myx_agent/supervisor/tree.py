"""Which processes belong to a command, and how to end all of them."""

import contextlib
import os
import signal
from collections.abc import Callable

from myx_agent.supervisor.cgroup import Cgroup
from myx_agent.supervisor.processes import Process, table, tag_of


class Tree:
    """The processes of one command: its cgroup, what descends from its leader, orphans with its tag or known as its."""

    def __init__(
        self, command_id: str, leader: int, leader_start: int, cgroup: Cgroup | None, orphans: Callable[[], set[int]]
    ) -> None:
        self._command_id = command_id
        self._leader = leader
        self._leader_start = leader_start
        self._cgroup = cgroup
        self._orphans = orphans

    def members(self, *, search_all: bool = False) -> set[int]:
        """Pids that are alive now. `search_all` looks at every process's tag, not only at our own orphans."""
        processes = table()
        found = ((self._cgroup.pids() if self._cgroup else set()) | self._orphans()) & processes.keys()
        me = os.getpid()
        leader = processes.get(self._leader)
        known = {self._leader} if leader is None or leader.start_ticks == self._leader_start else set()  # not reused
        for process in processes.values():
            if process.pid in found or process.pid == me:
                continue
            if known & {process.pid, process.group, process.session} or (
                (search_all or process.parent in {me, 1}) and tag_of(process.pid) == self._command_id
            ):
                found.add(process.pid)
        return _with_descendants(found, processes) - {me, 1}

    def signal(self, number: int, *, search_all: bool = False) -> None:
        """Send a signal to every member once."""
        for pid in self.members(search_all=search_all):
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
