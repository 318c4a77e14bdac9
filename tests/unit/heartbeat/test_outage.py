"""Whole fleets for minutes on a clock that jumps: our network breaks, or hosts die while it does not."""

from collections.abc import Collection

import pytest
from outage_world import GAP_S, LONGEST_S, MAX_S, Network, Replica

from myx_heartbeat.domain import Status
from myx_kit.loops import TaskOwner


class World(Replica):
    """A replica with no second opinion but that of the time."""

    def __init__(self, network, owner, intervals, endpoint) -> None:
        super().__init__(network, owner, intervals)
        self.endpoint = endpoint
        self.run, self.die = network.run, network.die

    def take_new(self, count: int, status: Status = Status.ONLINE) -> list[str]:
        """Check so many agents from now on; their names."""
        names = [f"host-{number}" for number in range(count)]
        self.take([self.endpoint(name, status) for name in names])
        return names

    async def run_alone(self, seconds: float, names: Collection[str]) -> dict[str, float]:
        """Run; when each of these was said to be offline first."""
        began, told = self.clock.now, dict[str, float]()
        while self.clock.now < began + seconds and len(told) < len(names):
            await self.run(1)
            if self.doubt.overdue():
                self.checks.confirm(self.doubt.believe("overdue"))
            for name in names:
                if name not in told and self.are(Status.OFFLINE, [name]):
                    told[name] = self.clock.now - began
        return told


@pytest.fixture
async def world(clock, intervals, endpoint):
    async with TaskOwner("test") as owner:
        yield World(Network(clock), owner, intervals, endpoint)


@pytest.mark.parametrize(("long_dead", "hang_s"), [(0, 0), (1, 127), (3, 127), (3, 7)])
@pytest.mark.parametrize("fails_s", [7, 15, 25, 37])
@pytest.mark.parametrize("count", [30, 12])
async def test_nobody_is_offline_when_all_are_cut_off(world, count, fails_s, long_dead, hang_s):
    names = world.take_new(count)
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
    names = world.take_new(count)
    world.die(names[:long_dead], 127)
    await world.run(LONGEST_S + 2)
    world.die(names, fails_s)
    await world.run(LONGEST_S + fails_s + 1)

    assert world.are(Status.UNKNOWN, names[long_dead:]) == count - long_dead


@pytest.mark.parametrize("fails_s", [7, 15, 25, 37])
@pytest.mark.parametrize("count", [6, 3])
async def test_a_small_fleet_is_doubted_too(world, count, fails_s):
    names = world.take_new(count)
    await world.run(LONGEST_S + 2)
    world.die(names, fails_s)
    await world.run(LONGEST_S + fails_s + 1)

    assert world.are(Status.UNKNOWN, names) == count


@pytest.mark.parametrize(("count", "most_wrong"), [(600, 2), (30, 2), (3, 2)])
async def test_checks_that_fail_at_once_are_doubted_from_the_third_on(world, count, most_wrong):
    names = world.take_new(count)
    await world.run(LONGEST_S + 2)
    world.die(names, GAP_S)
    await world.run(LONGEST_S + 2)

    assert world.are(Status.OFFLINE, names) <= most_wrong
    assert world.are(Status.UNKNOWN, names) >= count - most_wrong


@pytest.mark.parametrize("count", [600, 30, 6])
async def test_a_replica_that_takes_over_in_an_outage_marks_nobody(world, count):
    names = world.take_new(count, Status.UNKNOWN)
    world.die(names, 7)
    await world.run(LONGEST_S + 8)

    assert world.are(Status.UNKNOWN, names) == count


@pytest.mark.parametrize(
    ("count", "dying", "fails_s"),
    [(600, 1, 7), (600, 1, 127), (600, 60, 7), (600, 60, 37), (30, 1, 7), (30, 3, 7), (12, 1, 7), (6, 1, 7), (3, 1, 7)],
)
async def test_the_dead_among_the_living_are_told_at_once(world, count, dying, fails_s):
    names = world.take_new(count)
    await world.run(LONGEST_S + 2)
    world.die(names[:dying], fails_s)
    await world.run(LONGEST_S + fails_s + 1)

    assert world.are(Status.OFFLINE, names[:dying]) == dying
    assert world.are(Status.ONLINE, names[dying:]) == count - dying
    assert world.doubt.suspicion is None


@pytest.mark.parametrize("fails_s", [7, 15, 37])
@pytest.mark.parametrize("dying", [40, 45, 49])
async def test_nearly_half_of_a_fleet_that_dies_is_told_soon(world, dying, fails_s):
    names = world.take_new(100)
    await world.run(LONGEST_S + 2)
    world.die(names[:dying], fails_s)
    told = await world.run_alone(MAX_S + 2 * (LONGEST_S + fails_s), names[:dying])

    assert len(told) == dying
    assert sorted(told.values())[-2] < 200 + fails_s
    assert world.are(Status.ONLINE, names[dying:]) == 100 - dying


@pytest.mark.parametrize("fails_s", [7, 37])
async def test_more_than_half_of_a_fleet_that_dies_is_told_when_the_time_is_over(world, fails_s):
    names = world.take_new(100)
    await world.run(LONGEST_S + 2)
    world.die(names[:60], fails_s)
    told = await world.run_alone(MAX_S + 2 * (LONGEST_S + fails_s), names[:60])

    assert len(told) == 60


@pytest.mark.parametrize("up_s", [15, 30, 45])
@pytest.mark.parametrize(("count", "fails_s"), [(100, 7), (100, 37), (30, 7), (6, 7)])
async def test_a_second_outage_marks_nobody_who_was_unknown(world, count, fails_s, up_s):
    names = world.take_new(count)
    await world.run(LONGEST_S + 2)
    world.die(names, fails_s)
    assert await world.run_alone(LONGEST_S + fails_s, names) == {}
    world.network.fails_s.clear()
    assert await world.run_alone(up_s, names) == {}
    world.die(names, fails_s)
    assert await world.run_alone(LONGEST_S + fails_s, names) == {}
