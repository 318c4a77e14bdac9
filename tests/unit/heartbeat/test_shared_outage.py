"""Two replicas behind one network for minutes: it breaks for both, or agents die while it does not."""

import random
from collections.abc import Collection
from dataclasses import replace

import pytest
from outage_world import LONGEST_S, MAX_S, Network, Replica

from myx_heartbeat.domain import Endpoint, Member, Status, holder
from myx_heartbeat.usecases.probe_agents import ProbeAgents
from myx_heartbeat.usecases.second_opinion import SecondOpinion
from myx_kit.loops import TaskOwner

OPINION_EVERY_S = 3


class Share:
    is_suspended = False

    def __init__(self, others):
        self.others = others


class World:
    """A fleet that two replicas share, each of which is the other's second opinion."""

    def __init__(self, owner, clock, intervals, endpoint, report) -> None:
        self.clock, self.endpoint = clock, endpoint
        self.network = Network(clock)
        self.replicas = {name: Replica(self.network, owner, intervals) for name in ("one", "two")}
        self.endpoints: dict[str, Endpoint] = {}
        now = report("x").checked_at
        probes = {
            name: ProbeAgents(self.endpoints.get, replica.fleet, replica.doubt, self.network.probe)
            for name, replica in self.replicas.items()
        }

        class Peers:
            async def probe(self, member, agent_ids):
                return await probes[member.member_id](agent_ids)

        for name, replica in self.replicas.items():
            others = [Member(other, "127.0.0.1:1", now, now, 0) for other in self.replicas if other != name]
            opinion = SecondOpinion(
                replica.doubt,
                Share(others),
                Peers(),
                self.network.probe,
                endpoint_of=self.endpoints.get,
                ssh_answers=self.ssh_answers,
                on_confirmed=replica.checks.confirm,
            )
            owner.start(self.ask_again_and_again(opinion), name="opinion")

    async def ask_again_and_again(self, opinion: SecondOpinion) -> None:
        while True:
            await opinion.run_once()
            await self.network.wait(OPINION_EVERY_S)

    async def ssh_answers(self, endpoint) -> bool:
        return endpoint.server_name not in self.network.fails_s

    def take(self, count: int) -> list[str]:
        """Share so many agents; their names."""
        names = [f"host-{number}" for number in range(count)]
        self.endpoints |= {f"id-{name}": replace(self.endpoint(name), ssh_port=22) for name in names}
        for name, replica in self.replicas.items():
            replica.take([one for agent_id, one in self.endpoints.items() if self.holder(agent_id) == name])
        return names

    def holder(self, agent_id: str) -> str:
        return holder(agent_id, list(self.replicas))

    def share_of(self, replica: str, names: Collection[str]) -> list[str]:
        return [name for name in names if self.holder(f"id-{name}") == replica]

    def are(self, status: Status, names: Collection[str]) -> int:
        return sum(replica.are(status, names) for replica in self.replicas.values())

    async def run(self, seconds: float, names: Collection[str]) -> dict[str, float]:
        """Run; after how many seconds each of these was said to be offline first."""
        began, told = self.clock.now, dict[str, float]()
        while self.clock.now < began + seconds and len(told) < len(names):
            await self.network.run(1)
            for name in names:
                if name not in told and self.are(Status.OFFLINE, [name]):
                    told[name] = self.clock.now - began
        return told


@pytest.fixture
async def world(clock, intervals, endpoint, report):
    # Whom a replica asks is drawn; other tests' ports are too, and must not be the same ones each time.
    state = random.getstate()
    random.seed(1)
    async with TaskOwner("test") as owner:
        yield World(owner, clock, intervals, endpoint, report)
    random.setstate(state)


@pytest.mark.parametrize("fails_s", [7, 15, 37])
@pytest.mark.parametrize(("count", "cut_off"), [(100, 100), (30, 30), (12, 12), (100, 75)])
async def test_nobody_is_offline_before_the_time_is_over_when_both_are_cut_off(world, count, cut_off, fails_s):
    names = world.take(count)
    assert await world.run(LONGEST_S + 2, names) == {}
    world.network.die(names[:cut_off], fails_s)
    told = await world.run(MAX_S + 2 * (LONGEST_S + fails_s), names[:cut_off])

    assert len(told) == cut_off
    assert min(told.values()) > MAX_S
    assert world.are(Status.ONLINE, names[cut_off:]) == count - cut_off


@pytest.mark.parametrize("fails_s", [7, 15, 37])
async def test_half_of_a_fleet_that_neither_reaches_is_told_soon(world, fails_s):
    names = world.take(100)
    assert await world.run(LONGEST_S + 2, names) == {}
    world.network.die(names[:50], fails_s)
    told = await world.run(MAX_S, names[:50])

    assert len(told) == 50
    assert max(told.values()) < 2 * (LONGEST_S + fails_s)
    assert world.are(Status.ONLINE, names[50:]) == 50


@pytest.mark.parametrize("fails_s", [7, 37])
@pytest.mark.parametrize("count", [100, 12])
async def test_a_replica_whose_agents_live_confirms_that_those_of_the_other_are_dead(world, count, fails_s):
    names = world.take(count)
    assert await world.run(LONGEST_S + 2, names) == {}
    dead = world.share_of("one", names)
    world.network.die(dead, fails_s)
    told = await world.run(MAX_S, dead)

    assert sorted(told) == sorted(dead)
    assert max(told.values()) < LONGEST_S + 2 * fails_s + 2 * OPINION_EVERY_S
    assert world.are(Status.ONLINE, names) == count - len(dead)


@pytest.mark.parametrize("fails_s", [7, 37])
async def test_a_single_dead_agent_is_told_at_its_next_check(world, fails_s):
    names = world.take(12)
    assert await world.run(LONGEST_S + 2, names) == {}
    world.network.die(names[:1], fails_s)
    (told_after_s,) = (await world.run(MAX_S, names[:1])).values()

    assert told_after_s < LONGEST_S + fails_s + 2
    assert world.are(Status.ONLINE, names) == 11
