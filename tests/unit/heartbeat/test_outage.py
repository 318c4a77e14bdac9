"""Whole fleets for minutes on a clock that jumps: our network breaks, or hosts die while it does not."""

import asyncio
import heapq
import itertools
import random
from collections.abc import Collection

import pytest

from myx_heartbeat.domain import Endpoint, Outcome, Status
from myx_heartbeat.usecases.checks import Checks
from myx_heartbeat.usecases.doubt import Doubt
from myx_heartbeat.usecases.fleet import Fleet
from myx_heartbeat.usecases.pauses import PauseWatch
from myx_heartbeat.usecases.reports import Reports
from myx_kit.loops import TaskOwner

LONGEST_S = 60
MAX_S = 300
# As the dispatcher's pause between two looks.
GAP_S = 0.05


class World:
    """Checks with real parts; a check of one in `fails_s` fails after so many seconds, the others answer at once."""

    def __init__(self, owner, clock, intervals, schedule, endpoint) -> None:
        self.clock, self.schedule, self.endpoint = clock, schedule, endpoint
        self.random = random.Random(1)
        self.fleet = Fleet(intervals, schedule, clock, self.random.random)
        self.watch = PauseWatch(clock)
        self.doubt = Doubt(clock, max_s=MAX_S, calm_s=120, recent_s=LONGEST_S)
        self.checks = Checks(
            self.fleet,
            schedule,
            Reports(10_000),
            self.probe,
            self.watch,
            doubt=self.doubt,
            concurrency=4096,
            slow_after_s=2,
            clock=clock,
            owner=owner,
        )
        self.fails_s: dict[str, float] = {}
        self.ends: list[tuple[float, int, asyncio.Event]] = []
        self.numbers = itertools.count()

    async def probe(self, endpoint: Endpoint, *, retry: bool) -> Outcome:
        fails_s = self.fails_s.get(endpoint.server_name)
        if fails_s is None:
            return Outcome()
        end = asyncio.Event()
        heapq.heappush(self.ends, (self.clock.now + fails_s, next(self.numbers), end))
        await end.wait()
        return Outcome(cause="filtered")

    def take(self, count: int, status: Status = Status.ONLINE) -> list[str]:
        """Check so many agents from now on, each at its own time; their names."""
        names = [f"host-{number}" for number in range(count)]
        self.fleet.replace([self.endpoint(name, status) for name in names], self.checks.is_running)
        for name in names:
            agent = self.fleet.get(f"id-{name}")
            self.schedule.put(f"id-{name}", self.clock.now + self.random.uniform(0, LONGEST_S), agent.lane)
        return names

    def die(self, names: Collection[str], fails_s: float) -> None:
        self.fails_s |= {name: fails_s for name in names if name not in self.fails_s}

    async def run(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.watch.tick()
            wait_s = self.checks.start_due()
            await self._turn()
            times = [self.clock.now + min(1.0, 1.0 if wait_s is None else wait_s), end]
            if self.ends:
                times.append(self.ends[0][0])
            self.clock.now = max(min(times), self.clock.now + GAP_S)
            while self.ends and self.ends[0][0] <= self.clock.now:
                heapq.heappop(self.ends)[2].set()
                await self._turn()

    async def _turn(self) -> None:
        """Let all go on that do not wait for the clock."""
        while len(self.checks._running) > len(self.ends):
            await asyncio.sleep(0)

    async def run_alone(self, seconds: float, names: Collection[str]) -> dict[str, float]:
        """Run with no second opinion but that of the time; when each of these was said to be offline first."""
        began, told = self.clock.now, dict[str, float]()
        while self.clock.now < began + seconds and len(told) < len(names):
            await self.run(1)
            if self.doubt.overdue():
                self.checks.confirm(self.doubt.believe("overdue"))
            for name in names:
                if name not in told and self.are(Status.OFFLINE, [name]):
                    told[name] = self.clock.now - began
        return told

    def are(self, status: Status, names: Collection[str]) -> int:
        return sum(1 for name in names if self.fleet.get(f"id-{name}").status is status)


@pytest.fixture
async def world(clock, intervals, schedule, endpoint):
    async with TaskOwner("test") as owner:
        yield World(owner, clock, intervals, schedule, endpoint)


@pytest.mark.parametrize(("long_dead", "hang_s"), [(0, 0), (1, 127), (3, 127), (3, 7)])
@pytest.mark.parametrize("fails_s", [7, 15, 25, 37])
@pytest.mark.parametrize("count", [30, 12])
async def test_nobody_is_offline_when_all_are_cut_off(world, count, fails_s, long_dead, hang_s):
    names = world.take(count)
    dead, living = names[:long_dead], names[long_dead:]
    await world.run(30)
    world.die(dead, hang_s)
    await world.run(LONGEST_S + 2)
    world.die(living, fails_s)
    await world.run(LONGEST_S + fails_s + 1)

    assert world.are(Status.OFFLINE, living) == 0
    assert world.are(Status.UNKNOWN, living) == len(living)
    assert world.doubt.suspicion is not None


@pytest.mark.parametrize(
    ("count", "long_dead", "fails_s"), [(2000, 0, 7), (2000, 1, 7), (600, 3, 7), (600, 1, 15), (600, 30, 37)]
)
async def test_nobody_of_a_large_fleet_is_offline_when_all_are_cut_off(world, count, long_dead, fails_s):
    names = world.take(count)
    world.die(names[:long_dead], 127)
    await world.run(LONGEST_S + 2)
    world.die(names, fails_s)
    await world.run(LONGEST_S + fails_s + 1)

    assert world.are(Status.UNKNOWN, names[long_dead:]) == count - long_dead


@pytest.mark.parametrize("fails_s", [7, 15, 25, 37])
@pytest.mark.parametrize("count", [6, 3])
async def test_a_small_fleet_is_doubted_too(world, count, fails_s):
    names = world.take(count)
    await world.run(LONGEST_S + 2)
    world.die(names, fails_s)
    await world.run(LONGEST_S + fails_s + 1)

    assert world.are(Status.UNKNOWN, names) == count


@pytest.mark.parametrize(("count", "most_wrong"), [(600, 2), (30, 2), (3, 2)])
async def test_checks_that_fail_at_once_are_doubted_from_the_third_on(world, count, most_wrong):
    names = world.take(count)
    await world.run(LONGEST_S + 2)
    world.die(names, GAP_S)
    await world.run(LONGEST_S + 2)

    assert world.are(Status.OFFLINE, names) <= most_wrong
    assert world.are(Status.UNKNOWN, names) >= count - most_wrong


@pytest.mark.parametrize("count", [600, 30, 6])
async def test_a_replica_that_takes_over_in_an_outage_marks_nobody(world, count):
    names = world.take(count, Status.UNKNOWN)
    world.die(names, 7)
    await world.run(LONGEST_S + 8)

    assert world.are(Status.UNKNOWN, names) == count


@pytest.mark.parametrize(
    ("count", "dying", "fails_s"),
    [(600, 1, 7), (600, 1, 127), (600, 60, 7), (600, 60, 37), (30, 1, 7), (30, 3, 7), (12, 1, 7), (6, 1, 7), (3, 1, 7)],
)
async def test_the_dead_among_the_living_are_told_at_once(world, count, dying, fails_s):
    names = world.take(count)
    await world.run(LONGEST_S + 2)
    world.die(names[:dying], fails_s)
    await world.run(LONGEST_S + fails_s + 1)

    assert world.are(Status.OFFLINE, names[:dying]) == dying
    assert world.are(Status.ONLINE, names[dying:]) == count - dying
    assert world.doubt.suspicion is None


@pytest.mark.parametrize("fails_s", [7, 15, 37])
@pytest.mark.parametrize("dying", [40, 45, 49])
async def test_nearly_half_of_a_fleet_that_dies_is_told_soon(world, dying, fails_s):
    names = world.take(100)
    await world.run(LONGEST_S + 2)
    world.die(names[:dying], fails_s)
    told = await world.run_alone(MAX_S + 2 * (LONGEST_S + fails_s), names[:dying])

    assert len(told) == dying
    assert sorted(told.values())[-2] < 200 + fails_s
    assert world.are(Status.ONLINE, names[dying:]) == 100 - dying


@pytest.mark.parametrize("fails_s", [7, 37])
async def test_more_than_half_of_a_fleet_that_dies_is_told_when_the_time_is_over(world, fails_s):
    names = world.take(100)
    await world.run(LONGEST_S + 2)
    world.die(names[:60], fails_s)
    told = await world.run_alone(MAX_S + 2 * (LONGEST_S + fails_s), names[:60])

    assert len(told) == 60


@pytest.mark.parametrize("up_s", [15, 30, 45])
@pytest.mark.parametrize(("count", "fails_s"), [(100, 7), (100, 37), (30, 7), (6, 7)])
async def test_a_second_outage_marks_nobody_who_was_unknown(world, count, fails_s, up_s):
    names = world.take(count)
    await world.run(LONGEST_S + 2)
    world.die(names, fails_s)
    assert await world.run_alone(LONGEST_S + fails_s, names) == {}
    world.fails_s.clear()
    assert await world.run_alone(up_s, names) == {}
    world.die(names, fails_s)
    assert await world.run_alone(LONGEST_S + fails_s, names) == {}
