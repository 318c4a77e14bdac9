"""Replicas and the network between them and their agents, for minutes on a clock that jumps."""

import asyncio
import heapq
import itertools
import random
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from myx_heartbeat.domain import Endpoint, Outcome, Status
from myx_heartbeat.usecases.checks import Checks
from myx_heartbeat.usecases.doubt import Doubt
from myx_heartbeat.usecases.fleet import Fleet
from myx_heartbeat.usecases.pauses import PauseWatch
from myx_heartbeat.usecases.reports import Reports
from myx_heartbeat.usecases.schedule import Schedule

LONGEST_S = 60
MAX_S = 300
# As the dispatcher's pause between two looks.
GAP_S = 0.05
# What a check waits between its tries.
RETRIES_S = 7
# Turns of the loop in which whatever does not wait for the clock has gone on.
_TURNS = 20


class Network:
    """A check of one in `fails_s` fails after so many seconds, others answer at once. Replicas on it run together."""

    def __init__(self, clock) -> None:
        self.clock = clock
        self.fails_s: dict[str, float] = {}
        self.replicas: list[Replica] = []
        self._ends: list[tuple[float, int, asyncio.Event]] = []
        self._numbers = itertools.count()

    async def probe(self, endpoint: Endpoint, *, retry: bool) -> Outcome:
        fails_s = self.fails_s.get(endpoint.server_name)
        if fails_s is None:
            return Outcome()
        await self.wait(fails_s if retry else max(0.0, fails_s - RETRIES_S))
        return Outcome(cause="filtered")

    async def newest(self, agent_id: str) -> None:
        raise AssertionError("nobody here answers that it is called in a wrong way")

    async def wait(self, seconds: float) -> None:
        end = asyncio.Event()
        heapq.heappush(self._ends, (self.clock.now + seconds, next(self._numbers), end))
        await end.wait()

    def die(self, names: Collection[str], fails_s: float) -> None:
        self.fails_s |= {name: fails_s for name in names if name not in self.fails_s}

    async def run(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            waits_s = [replica.start_due() for replica in self.replicas]
            await _turn()
            times = [self.clock.now + min([1.0, *(one for one in waits_s if one is not None)]), end]
            if self._ends:
                times.append(self._ends[0][0])
            self.clock.now = max(min(times), self.clock.now + GAP_S)
            while self._ends and self._ends[0][0] <= self.clock.now:
                heapq.heappop(self._ends)[2].set()
                await _turn()


class Replica:
    """Checks with real parts."""

    def __init__(self, network: Network, owner, intervals) -> None:
        self.network, self.clock = network, network.clock
        self.random = random.Random(len(network.replicas) + 1)
        self.schedule = Schedule()
        self.fleet = Fleet(intervals, self.schedule, self.clock, self.random.random)
        self.watch = PauseWatch(self.clock)
        self.doubt = Doubt(self.clock, max_s=MAX_S, calm_s=120, recent_s=LONGEST_S)
        self.checks = Checks(
            self.fleet,
            self.schedule,
            Reports(10_000),
            network.probe,
            self.watch,
            newest=network.newest,
            doubt=self.doubt,
            concurrency=4096,
            slow_after_s=2,
            clock=self.clock,
            now=lambda: datetime.fromtimestamp(self.clock.now, UTC),
            owner=owner,
        )
        network.replicas.append(self)

    def take(self, endpoints: Sequence[Endpoint]) -> None:
        """Check these agents from now on, each at its own time."""
        self.fleet.replace(endpoints, self.checks.is_running)
        for one in endpoints:
            agent = self.fleet.get(one.agent_id)
            self.schedule.put(one.agent_id, self.clock.now + self.random.uniform(0, LONGEST_S), agent.lane)

    def start_due(self) -> float | None:
        self.watch.tick()
        return self.checks.start_due()

    def are(self, status: Status, names: Collection[str]) -> int:
        agents = [self.fleet.get(f"id-{name}") for name in names]
        return sum(1 for one in agents if one is not None and one.status is status)


async def _turn() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
