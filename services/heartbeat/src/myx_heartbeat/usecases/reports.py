"""Outcomes on their way to the registry."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from myx_heartbeat.domain import Report, merge

MAX_BATCH = 500


class Reports:
    """What the registry has not taken yet: the newest report per agent.

    Changes of status go first and are never dropped. Bounded by `max_samples` plain reports and one change per agent.
    """

    def __init__(self, max_samples: int) -> None:
        self._max_samples = max_samples
        self._transitions: OrderedDict[str, Report] = OrderedDict()
        self._samples: OrderedDict[str, Report] = OrderedDict()
        self._in_flight: dict[str, Report] = {}
        self._taken = asyncio.Event()
        self.dropped = 0
        self.waiting = asyncio.Event()

    def __len__(self) -> int:
        return len(self._transitions) + len(self._samples) + len(self._in_flight)

    def add(self, report: Report) -> None:
        """Keep a report until the registry has it, in the place of an older one of the same agent."""
        older = self._transitions.pop(report.agent_id, None) or self._samples.pop(report.agent_id, None)
        if older is not None:
            report = merge(older, report)
        if report.is_transition:
            self._transitions[report.agent_id] = report
        else:
            self._samples[report.agent_id] = report
            while len(self._samples) > self._max_samples:
                self._samples.popitem(last=False)
                self.dropped += 1
        if self._transitions or self._samples:
            self.waiting.set()

    def take(self, limit: int = MAX_BATCH) -> list[Report]:
        """The next batch, changes of status first; followed by `confirm` or `put_back`."""
        batch: list[Report] = []
        for source in (self._transitions, self._samples):
            while source and len(batch) < limit:
                _, report = source.popitem(last=False)
                batch.append(report)
        self._in_flight = {report.agent_id: report for report in batch}
        if not self._transitions and not self._samples:
            self.waiting.clear()
        return batch

    def confirm(self) -> None:
        """The registry has the batch."""
        self._in_flight = {}
        taken, self._taken = self._taken, asyncio.Event()
        taken.set()

    def put_back(self) -> None:
        """The registry has not taken the batch; newer reports of the same agents stay in its place."""
        batch, self._in_flight = list(self._in_flight.values()), {}
        newer = [self._transitions.get(one.agent_id) or self._samples.get(one.agent_id) for one in batch]
        for report, later in zip(batch, newer, strict=True):
            self.add(report)
            if later is not None:
                self.add(later)

    def forget(self, agent_ids: Iterable[str]) -> None:
        """Drop what is left of agents that are gone."""
        for agent_id in agent_ids:
            self._transitions.pop(agent_id, None)
            self._samples.pop(agent_id, None)

    async def sent(self, agent_id: str) -> None:
        """Wait until the registry has taken all reports of an agent; give it a time limit."""
        while agent_id in self._transitions or agent_id in self._samples or agent_id in self._in_flight:
            await self._taken.wait()
