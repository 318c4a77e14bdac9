"""Outcomes on their way to the registry."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from myx_heartbeat.domain import Report, merge

MAX_BATCH = 500
# Changes of one agent that wait. One that changes more often while the registry is away is flapping, and the first and
# the last changes say so.
MAX_CHANGES = 32


class Reports:
    """What the registry has not taken yet: every change of an agent in order, and behind it the newest plain report.

    Changes go first and are never dropped (beyond MAX_CHANGES of one agent the second oldest is). Bounded by
    `max_samples` plain reports.
    """

    def __init__(self, max_samples: int) -> None:
        self._max_samples = max_samples
        self._changes: OrderedDict[str, list[Report]] = OrderedDict()
        self._samples: OrderedDict[str, Report] = OrderedDict()
        self._in_flight: list[Report] = []
        self._taken = asyncio.Event()
        self.dropped = 0
        self.waiting = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._changes.values())) + len(self._samples) + len(self._in_flight)

    @property
    def has_changes(self) -> bool:
        """Whether there are changes of agents, not only plain reports."""
        return bool(self._changes)

    def add(self, report: Report) -> None:
        """Keep a report until the registry has it; a plain one in the place of an older one of the same agent."""
        older = self._samples.pop(report.agent_id, None)
        if report.is_transition:
            if older is not None:
                report = replace(report, checks=report.checks + older.checks, answered=report.answered + older.answered)
            changes = self._changes.setdefault(report.agent_id, [])
            changes.append(report)
            if len(changes) > MAX_CHANGES:
                del changes[1]
        else:
            self._samples[report.agent_id] = report if older is None else merge(older, report)
            self._drop_surplus()
        self.waiting.set()

    def take(self, limit: int = MAX_BATCH) -> list[Report]:
        """The next batch, changes of status first; followed by `confirm` or `put_back`."""
        batch: list[Report] = []
        while self._changes and len(batch) + len(next(iter(self._changes.values()))) <= limit:
            batch += self._changes.popitem(last=False)[1]
        while self._samples and not self._changes and len(batch) < limit:
            batch.append(self._samples.popitem(last=False)[1])
        self._in_flight = batch
        if not self._changes and not self._samples:
            self.waiting.clear()
        return list(batch)

    def confirm(self) -> None:
        """The registry has the batch."""
        self._in_flight = []
        taken, self._taken = self._taken, asyncio.Event()
        taken.set()

    def put_back(self) -> None:
        """The registry has not taken the batch: it waits again, before what came meanwhile."""
        batch, self._in_flight = self._in_flight, []
        later_changes, self._changes = self._changes, OrderedDict()
        later_samples, self._samples = self._samples, OrderedDict()
        for report in batch:
            self.add(report)
        for changes in later_changes.values():
            for report in changes:
                self.add(report)
        for report in later_samples.values():
            self.add(report)

    def forget(self, agent_ids: Iterable[str]) -> None:
        """Drop what is left of agents that are gone."""
        for agent_id in agent_ids:
            self._changes.pop(agent_id, None)
            self._samples.pop(agent_id, None)

    async def sent(self, agent_id: str) -> None:
        """Wait until the registry has taken all reports of an agent; give it a time limit."""
        while self._has(agent_id):
            await self._taken.wait()

    def _has(self, agent_id: str) -> bool:
        waits = agent_id in self._changes or agent_id in self._samples
        return waits or any(one.agent_id == agent_id for one in self._in_flight)

    def _drop_surplus(self) -> None:
        while len(self._samples) > self._max_samples:
            self._samples.popitem(last=False)
            self.dropped += 1
