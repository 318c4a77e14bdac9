"""Replicas as processes: one dies or stands still, the database or the registry is away; every agent is checked."""

import asyncio
import os
import signal
import time
from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from heartbeat_world import LEASE_S, MAX_INTERVAL_S, RENEW_S, FakeRegistry

from myx.registry.v1.agent_pb2 import AGENT_STATUS_OFFLINE
from myx.registry.v1.agent_service_pb2_grpc import add_AgentServiceServicer_to_server
from myx_heartbeat import migrations
from myx_kit.errors import Unavailable
from myx_kit.rpc.server import RpcServer
from myx_registry.convert.agents import heartbeat_reports
from myx_registry.domain.agents import AgentHealth, AgentStatus
from myx_registry.domain.heartbeats import AgentRecord, Fact, Flapping, Transition, apply_reports
from myx_testkit.clock import MovableClock, compiler_here
from myx_testkit.process import Program
from myx_testkit.wait import until

AGENTS = 45
TAKEN_OVER_WITHIN_S = 15.0
PATIENCE_S = 60


class Watch(FakeRegistry):
    """Knows which replica checked which agent when, and what the real registry makes of the reports."""

    def __init__(self) -> None:
        super().__init__()
        self.checks: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self.records: dict[UUID, AgentRecord] = {}
        self.facts: list[Fact] = []
        self.loses_replies = 0

    async def ReportHeartbeats(self, request, context):
        answer = await super().ReportHeartbeats(request, context)
        now = time.monotonic()
        for one in request.reports:
            self.checks[one.agent_id].append((now, context.peer()))
        reports = heartbeat_reports(request.reports)
        applied = apply_reports([self._record(agent_id) for agent_id in {one.agent_id for one in reports}], reports)
        self.records |= {one.id: one for one in applied.changed}
        self.facts += applied.facts
        if self.loses_replies:
            self.loses_replies -= 1
            raise Unavailable("DATABASE_UNAVAILABLE", "the reply is lost")
        return answer

    def _record(self, agent_id: UUID) -> AgentRecord:
        now = datetime.now(UTC)
        return self.records.get(agent_id) or AgentRecord(agent_id, agent_id, AgentHealth(AgentStatus.PENDING, now), 1)

    def holders(self, since: float = 0.0) -> dict[str, str]:
        """Who checked each agent last, of those that were checked since then."""
        return {agent_id: seen[-1][1] for agent_id, seen in self.checks.items() if seen and seen[-1][0] >= since}

    def shares(self) -> set[frozenset[str]]:
        """The agents of each replica, whatever its connection is called now."""
        holders = self.holders()
        return {frozenset(one for one, by in holders.items() if by == who) for who in holders.values()}

    def all_checked(self, since: float) -> bool:
        return len(self.holders(since)) == len(self.endpoints)

    def longest_gap_s(self, since: float) -> float:
        """The longest time that an agent was not checked, up to now."""
        gaps = [0.0]
        for seen in self.checks.values():
            times = [since, *(at for at, _ in seen if at > since), time.monotonic()]
            gaps += [after - before for before, after in pairwise(times)]
        return max(gaps)

    def longest_double_s(self, since: float) -> float:
        """The longest time that two replicas checked one agent: its checks went to and fro between them."""
        longest = 0.0
        for seen in self.checks.values():
            recent = [(at, who) for at, who in seen if at >= since]
            switches = [at for (_, who), (at, other) in pairwise(recent) if who != other]
            begun = None
            for before, at in zip([float("-inf"), *switches], switches, strict=False):
                begun = begun if begun is not None and at - before <= 2 * MAX_INTERVAL_S else at
                longest = max(longest, at - begun)
        return longest


@pytest.fixture
async def registry(tls_dir: Path):
    watch = Watch()
    server = RpcServer("127.0.0.1:0", tls_dir, "registry")
    server.add(add_AgentServiceServicer_to_server, watch, "myx.registry.v1.AgentService")
    watch.address = await server.start()
    yield watch
    await server.stop(1)


@pytest.fixture
async def three(replica, registry, postgres):
    """Three replicas that share some dead agents: each has a part of them, and checks it."""
    migrations.upgrade(postgres.url)
    for number in range(AGENTS):
        registry.add(f"host-{number}", status=AGENT_STATUS_OFFLINE)
    started = [replica(DATABASE_URL_FILE=postgres.url_file) for _ in range(3)]

    def is_shared() -> bool:
        since = time.monotonic() - MAX_INTERVAL_S - 1
        return registry.all_checked(since) and len(set(registry.holders(since).values())) == 3

    await until(is_shared, PATIENCE_S, interval_s=0.1)
    await settled(registry)
    return started


async def settled(registry: Watch) -> None:
    """Wait until no agent changes hands."""

    async def is_quiet() -> bool:
        before = registry.holders()
        await asyncio.sleep(2 * MAX_INTERVAL_S)
        return registry.holders() == before

    await until(is_quiet, PATIENCE_S)


async def share_of(registry: Watch, program: Program) -> tuple[str, set[str]]:
    """The name in the reports of a replica, and its agents: those that nobody checks while it stands still."""
    os.kill(program.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(2 * RENEW_S - 0.5)
        last = {who: max(at for at, by in every(registry) if by == who) for who in set(registry.holders().values())}
        silent = min(last, key=lambda who: last[who])
    finally:
        os.kill(program.pid, signal.SIGCONT)
    return silent, {agent_id for agent_id, who in registry.holders().items() if who == silent}


def every(registry: Watch) -> list[tuple[float, str]]:
    return [check for seen in registry.checks.values() for check in seen]


async def test_the_agents_of_a_killed_replica_are_checked_by_others_soon(three, registry):
    who, share = await share_of(registry, three[0])
    assert 0 < len(share) < AGENTS
    await settled(registry)
    before = registry.holders()
    three[0].kill9()
    killed = time.monotonic()

    await until(lambda: who not in registry.holders().values(), PATIENCE_S)
    firsts = {one: next(at for at, by in registry.checks[one] if by != who and at > killed) for one in share}
    assert max(firsts.values()) - killed <= TAKEN_OVER_WITHIN_S + MAX_INTERVAL_S
    await settled(registry)
    kept = {one: by for one, by in before.items() if by != who}
    assert {one: by for one, by in registry.holders().items() if one in kept} == kept
    assert len({registry.holders()[one] for one in share}) == 2, "both take a part"
    assert registry.longest_double_s(killed) <= LEASE_S


async def test_a_replica_that_stood_still_gives_back_at_once_what_others_took(three, registry):
    before = registry.shares()
    began = time.monotonic()
    os.kill(three[1].pid, signal.SIGSTOP)
    try:
        await until(lambda: len(set(registry.holders(time.monotonic() - LEASE_S).values())) == 2, PATIENCE_S)
        await until(lambda: registry.all_checked(time.monotonic() - MAX_INTERVAL_S - 2), PATIENCE_S)
    finally:
        os.kill(three[1].pid, signal.SIGCONT)
    await until(lambda: registry.shares() == before, PATIENCE_S, interval_s=0.1)
    await settled(registry)
    assert registry.shares() == before
    assert registry.longest_double_s(began) <= LEASE_S


async def test_shares_stay_while_the_database_is_away(three, registry, postgres):
    before = registry.shares()
    postgres.kill9()
    away = time.monotonic()
    try:
        # Every lease has run out by far.
        await until(lambda: time.monotonic() > away + LEASE_S + 2 * RENEW_S, PATIENCE_S, interval_s=0.5)
        assert registry.all_checked(time.monotonic() - MAX_INTERVAL_S - 2)
        assert registry.shares() == before
        assert registry.longest_double_s(away) == 0
    finally:
        postgres.restart()
    await settled(registry)
    assert registry.shares() == before
    assert registry.longest_double_s(away) <= LEASE_S
    assert registry.longest_gap_s(away) <= 2 * MAX_INTERVAL_S + 2


def transitions(registry: Watch) -> list[AgentStatus]:
    return [fact.status for fact in registry.facts if isinstance(fact, Transition)]


async def test_a_registry_that_is_away_misses_no_transition_and_tells_each_once(replica, registry, real_agent):
    registry.add("real", real_agent)
    program = replica()
    await until(lambda: transitions(registry) == [AgentStatus.ONLINE], PATIENCE_S)

    registry.away = True
    for _ in range(2):
        for change, words in ((real_agent.kill9, "agent_check_failed"), (real_agent.restart, "agent_online")):
            seen = logged(program, words)
            await asyncio.to_thread(change)
            await until(lambda seen=seen, words=words: logged(program, words) > seen, PATIENCE_S)
    assert transitions(registry) == [AgentStatus.ONLINE]
    registry.loses_replies = 3
    registry.away = False

    on, off = AgentStatus.ONLINE, AgentStatus.OFFLINE
    await until(lambda: len(transitions(registry)) >= 5, PATIENCE_S)
    await until(lambda: registry.loses_replies == 0, PATIENCE_S)
    seen = len(registry.of("real"))
    await until(lambda: len(registry.of("real")) > seen + 3, PATIENCE_S)
    assert transitions(registry) == [on, off, on, off, on]
    assert not [fact for fact in registry.facts if isinstance(fact, Flapping)]


def logged(program: Program, words: str) -> int:
    return program.log.read_text().count(words)


@pytest.fixture
async def two(replica, registry, postgres, real_agent):
    """Two replicas, one of which checks the agent; which one is told by who notices its death first."""
    migrations.upgrade(postgres.url)
    registry.add("real", real_agent)
    started = [replica(DATABASE_URL_FILE=postgres.url_file, MEMBER_LEASE_S=3, MEMBER_RENEW_S=0.5) for _ in range(2)]
    await until(lambda: all(logged(one, "fleet_known") for one in started), PATIENCE_S)
    await until(lambda: transitions(registry) == [AgentStatus.ONLINE], PATIENCE_S)
    await settled(registry)
    return started


async def the_one_that_says(programs: list[Program], words: str) -> Program:
    await until(lambda: any(logged(one, words) for one in programs), PATIENCE_S)
    (said,) = [one for one in programs if logged(one, words)]
    return said


async def test_the_state_that_a_killed_replica_could_not_tell_is_found_out_by_the_next_one(two, registry, real_agent):
    registry.away = True
    await asyncio.to_thread(real_agent.kill9)
    holder = await the_one_that_says(two, "agent_check_failed")
    holder.kill9()
    (other,) = [one for one in two if one is not holder]
    await until(lambda: logged(other, "agent_check_failed"), PATIENCE_S)
    assert transitions(registry) == [AgentStatus.ONLINE]

    registry.away = False
    await until(lambda: len(transitions(registry)) == 2, PATIENCE_S)
    assert transitions(registry) == [AgentStatus.ONLINE, AgentStatus.OFFLINE]


async def test_what_was_over_before_the_replica_was_killed_is_lost_with_it(two, registry, real_agent):
    registry.away = True
    await asyncio.to_thread(real_agent.kill9)
    holder = await the_one_that_says(two, "agent_check_failed")
    await asyncio.to_thread(real_agent.restart)
    await until(lambda: logged(holder, "agent_online"), PATIENCE_S)
    holder.kill9()
    registry.away = False
    killed = time.monotonic()
    agent_id = registry.endpoints["real"].agent_id
    await until(lambda: sum(at > killed for at, _ in registry.checks[agent_id]) > 3, PATIENCE_S)
    assert transitions(registry) == [AgentStatus.ONLINE]


@pytest.mark.skipif(not compiler_here(), reason="a clock is moved by a small C library, and there is no compiler")
async def test_a_clock_of_the_control_plane_that_jumps_takes_nobody_offline(replica, registry, real_agent, tmp_path):
    clock = MovableClock(tmp_path / "clock")
    registry.add("real", real_agent)
    replica(env=clock.environment)
    await until(lambda: transitions(registry) == [AgentStatus.ONLINE], PATIENCE_S)

    for seconds in (200, -200, 0, 7200, -7200, 0):
        clock.move(seconds)
        seen = len(registry.of("real"))
        await until(lambda seen=seen: len(registry.of("real")) > seen + 2, PATIENCE_S)
    causes = {one.cause for one in registry.of("real")}
    assert causes == {"", "clock_skew"}
    assert AGENT_STATUS_OFFLINE not in registry.statuses("real")
    assert transitions(registry) == [AgentStatus.ONLINE]
    assert registry.of("real")[-1].cause == ""
