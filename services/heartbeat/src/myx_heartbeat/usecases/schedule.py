"""Which agent is due next: a heap, not a timer per agent."""

import heapq
from dataclasses import dataclass, field
from enum import Enum
from math import inf


class Lane(Enum):
    """Living agents and those whose last check failed wait apart, so that the dead never keep the living waiting."""

    LIVING = 0
    SUSPECT = 1


@dataclass(slots=True)
class _Heap:
    entries: list[tuple[float, int, str]] = field(default_factory=list)


class Schedule:
    """Due times (seconds of a monotonic clock) by agent id."""

    def __init__(self) -> None:
        self._heaps = {lane: _Heap() for lane in Lane}
        self._current: dict[str, tuple[int, Lane, float]] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._current)

    def put(self, agent_id: str, due: float, lane: Lane) -> None:
        """Set or move the due time of an agent."""
        self._serial += 1
        self._current[agent_id] = (self._serial, lane, due)
        heapq.heappush(self._heaps[lane].entries, (due, self._serial, agent_id))
        self._compact()

    def remove(self, agent_id: str) -> None:
        """Forget an agent; harmless when it is not there."""
        self._current.pop(agent_id, None)

    def next_due(self, lane: Lane) -> float | None:
        """When the first agent of a lane is due, or None."""
        entries = self._heaps[lane].entries
        while entries and not self._is_current(entries[0]):
            heapq.heappop(entries)
        return entries[0][0] if entries else None

    def pop_due(self, lane: Lane, now: float) -> str | None:
        """Take out the agent of a lane that is due for longest, if one is."""
        due = self.next_due(lane)
        if due is None or due > now:
            return None
        _, _, agent_id = heapq.heappop(self._heaps[lane].entries)
        del self._current[agent_id]
        return agent_id

    def bring_forward(self, lane: Lane, count: int, due: float) -> None:
        """Let the first `count` agents of a lane be due by this time."""
        times = {}
        for _ in range(count):
            at, agent_id = self.next_due(lane), self.pop_due(lane, inf)
            if at is not None and agent_id is not None:
                times[agent_id] = min(at, due)
        for agent_id, at in times.items():
            self.put(agent_id, at, lane)

    def overdue(self, now: float) -> list[tuple[str, Lane]]:
        """The agents whose time has passed, with their lanes."""
        return [(agent_id, lane) for agent_id, (_, lane, due) in self._current.items() if due < now]

    def _is_current(self, entry: tuple[float, int, str]) -> bool:
        current = self._current.get(entry[2])
        return current is not None and current[0] == entry[1]

    def _compact(self) -> None:
        """Entries that were moved or removed stay in the heaps; they must not outnumber the real ones for long."""
        if sum(len(heap.entries) for heap in self._heaps.values()) <= 2 * len(self._current) + 64:
            return
        for heap in self._heaps.values():
            heap.entries = [entry for entry in heap.entries if self._is_current(entry)]
            heapq.heapify(heap.entries)
