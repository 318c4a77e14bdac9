"""Histories, series, pauses and quarantine of agents, on a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.exc import DBAPIError

from myx.registry.v1 import agent_pb2, server_service_pb2
from myx.registry.v1 import agent_service_pb2 as pb
from myx_kit.db.engine import create_engine
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from myx_kit.rpc.client import translate_errors
from myx_registry.domain.series import RESOLUTIONS, floor
from myx_registry.store import samples
from myx_registry.usecases.watching import Housekeeping

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONLINE, OFFLINE = agent_pb2.AGENT_STATUS_ONLINE, agent_pb2.AGENT_STATUS_OFFLINE


def stamp(at: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(at)
    return made


class Host:
    """A server with an agent, whose checks are reported at any time."""

    def __init__(self, registry, name, agent_id):
        self.registry, self.name, self.agent_id = registry, name, agent_id

    async def report(self, at, status=ONLINE, **values):
        message = pb.HeartbeatReport(agent_id=self.agent_id, checked_at=stamp(at), status=status, **values)
        return await self.registry.client("heartbeat").agents.ReportHeartbeats(
            pb.ReportHeartbeatsRequest(reports=[message])
        )

    @property
    def agents(self):
        return self.registry.client("gateway").agents

    async def agent(self):
        return (await self.agents.GetAgent(pb.GetAgentRequest(server=self.name))).agent

    async def endpoint(self):
        request = pb.GetAgentEndpointRequest(server=self.name)
        return (await self.registry.client("executor").agents.GetAgentEndpoint(request)).endpoint

    async def series(self, **question):
        return await self.agents.QuerySeries(pb.QuerySeriesRequest(server=self.name, **question))


async def new_host(registry, **labels):
    create = server_service_pb2.CreateServerRequest(name=registry.new_name(), address="192.0.2.7", labels=labels)
    server = (await registry.client("gateway").servers.CreateServer(create)).server
    made = await registry.client("executor").agents.AllocateAgent(pb.AllocateAgentRequest(server=server.name))
    return Host(registry, server.name, made.agent.id)


def facts(**values):
    known = {
        "machine_id": "m1",
        "boot_id": "b1",
        "hostname": "web",
        "memory_total_bytes": 8,
        "memory_available_bytes": 6,
    }
    return agent_pb2.AgentFacts(**(known | values))


async def test_changes_of_status_are_listed_newest_first_in_pages(registry):
    host = await new_host(registry)
    now = datetime.now(UTC)
    tries = [agent_pb2.CallAttempt(at=stamp(now), cause="refused", message="nothing listens")]
    await host.report(now - timedelta(minutes=3))
    await host.report(now - timedelta(minutes=2), OFFLINE, cause="refused", message="nothing listens", attempts=tries)
    await host.report(now - timedelta(minutes=1))
    first = await host.agents.ListAgentTransitions(pb.ListAgentTransitionsRequest(server=host.name, page_size=2))
    rest = await host.agents.ListAgentTransitions(
        pb.ListAgentTransitionsRequest(server=host.name, page_size=2, page_token=first.next_page_token)
    )
    found = [*first.transitions, *rest.transitions]
    assert [(one.to, one.cause) for one in found] == [(ONLINE, ""), (OFFLINE, "refused"), (ONLINE, "")]
    assert [one.cause for one in found[1].attempts] == ["refused"]
    assert rest.next_page_token == ""
    with pytest.raises(NotFound), translate_errors():
        await host.agents.ListAgentTransitions(pb.ListAgentTransitionsRequest(server="nobody"))


async def test_changes_of_facts_are_kept_and_a_reboot_is_shown(registry):
    host = await new_host(registry)
    now = datetime.now(UTC)
    await host.report(now - timedelta(minutes=3), facts=facts(cpus=2), version="0.1.0")
    await host.report(now - timedelta(minutes=2), facts=facts(cpus=2, load_1m=3), version="0.1.0")
    await host.report(now - timedelta(minutes=1), facts=facts(cpus=4, boot_id="b2"), version="0.2.0")
    listed = await host.agents.ListFactChanges(pb.ListFactChangesRequest(server=host.name))
    assert {(one.fact, getattr(one, "from"), one.to) for one in listed.changes} == {
        ("cpus", "2", "4"),
        ("boot_id", "b1", "b2"),
        ("version", "0.1.0", "0.2.0"),
    }
    assert (await host.agent()).rebooted_at.ToDatetime(UTC) == now - timedelta(minutes=1)


async def test_another_machine_is_quarantined_until_it_is_accepted(registry):
    host = await new_host(registry)
    now = datetime.now(UTC)
    await host.report(now - timedelta(minutes=3), facts=facts())
    taken = await host.report(now - timedelta(minutes=2), facts=facts(machine_id="m2"))
    assert list(taken.quarantined_agent_ids) == [host.agent_id]
    taken = await host.report(now - timedelta(minutes=1), facts=facts())
    assert list(taken.quarantined_agent_ids) == [host.agent_id]
    agent = await host.agent()
    assert (agent.status, agent.status_reason) == (OFFLINE, "other_machine")
    assert (agent.quarantine.expected_machine_id, agent.quarantine.found_machine_id) == ("m1", "m2")
    assert (await host.endpoint()).quarantined

    with pytest.raises(PermissionDenied), translate_errors():
        await host.registry.client("heartbeat").agents.AcceptMachine(pb.AcceptMachineRequest(server=host.name))
    accepted = await host.agents.AcceptMachine(pb.AcceptMachineRequest(server=host.name, requested_by="token:admin"))
    assert not accepted.agent.HasField("quarantine")
    await host.report(now, facts=facts(machine_id="m2"))
    agent = await host.agent()
    assert (agent.status, agent.facts.machine_id) == (ONLINE, "m2")
    assert not (await host.endpoint()).quarantined


async def test_pauses_by_name_and_selector(registry):
    one, two = await new_host(registry, pausing="yes"), await new_host(registry, pausing="yes")
    until = datetime.now(UTC) + timedelta(hours=2)
    request = pb.PauseChecksRequest(
        selector="pausing=yes", until=stamp(until), reason="disks", requested_by="token:admin"
    )
    assert (await one.agents.PauseChecks(request)).servers == 2
    assert (await two.endpoint()).paused_until.ToDatetime(UTC) == until
    get = server_service_pb2.GetServerRequest(server=two.name)
    server = (await registry.client("gateway").servers.GetServer(get)).server
    assert (server.pause.reason, server.pause.actor) == ("disks", "token:admin")

    later = stamp(until + timedelta(hours=1))
    await one.agents.PauseChecks(pb.PauseChecksRequest(servers=[two.name], until=later, requested_by="token:admin"))
    changed = (await registry.client("gateway").servers.GetServer(get)).server.pause
    assert (changed.since, changed.until) == (server.pause.since, later)

    resume = pb.ResumeChecksRequest(selector="pausing=yes", requested_by="token:admin")
    assert (await one.agents.ResumeChecks(resume)).servers == 2
    assert (await one.agents.ResumeChecks(resume)).servers == 0
    assert not (await two.endpoint()).HasField("paused_until")
    for wrong, error in (
        ({"selector": "pausing=no"}, FailedPrecondition),
        ({"servers": ["nobody"]}, NotFound),
        ({}, InvalidArgument),
    ):
        with pytest.raises(error), translate_errors():
            await one.agents.PauseChecks(pb.PauseChecksRequest(until=stamp(until), requested_by="token:admin", **wrong))


async def test_samples_are_measured_summed_up_and_removed(registry):
    host = await new_host(registry)
    now = datetime.now(UTC).replace(second=30, microsecond=0) - timedelta(minutes=1)
    begin = now - timedelta(hours=2)
    for minute in range(120):
        load = float(minute % 10)
        latency = Duration(nanos=20_000_000)
        await host.report(begin + timedelta(minutes=minute), facts=facts(load_1m=load), latency=latency)
        await host.report(begin + timedelta(minutes=minute, seconds=20), OFFLINE, cause="refused")
    minutes = await host.series(start=stamp(begin), step=Duration(seconds=60))
    by_metric = {one.metric: one.points for one in minutes.series}
    assert minutes.step.seconds == 60
    assert len(by_metric[agent_pb2.AGENT_METRIC_LOAD_1M]) == 120
    assert {(one.mean, one.count) for one in by_metric[agent_pb2.AGENT_METRIC_UP]} == {(0.5, 2)}
    assert {round(one.mean, 3) for one in by_metric[agent_pb2.AGENT_METRIC_LATENCY]} == {0.02}
    assert {one.max for one in by_metric[agent_pb2.AGENT_METRIC_MEMORY]} == {0.25}
    assert not by_metric[agent_pb2.AGENT_METRIC_DISK]

    with psycopg.connect(registry.database.url, autocommit=True) as connection:
        # The registry has summed up an empty table at its start.
        connection.execute("delete from registry.sample_progress")
    engine = create_engine(registry.database.url, 2)
    keeping = Housekeeping(UnitOfWork(engine), lambda: datetime.now(UTC), history_days=30, history_rows=50)
    await asyncio.gather(*(keeping.run_once() for _ in range(3)))
    await keeping.run_once()
    try:
        with psycopg.connect(registry.database.url) as connection:
            sums = connection.execute(
                "select count(*), sum(checks), sum(answered), min(load_1m_min), max(load_1m_max), sum(load_1m_count)"
                " from registry.sample_five_minutes where agent_id = %s",
                [host.agent_id],
            ).fetchone()
        assert sums[0] >= 22
        assert (sums[1], sums[2]) == (2 * sums[5], sums[5])
        assert (sums[3], sums[4]) == (0, 9)
        listed = await host.agents.ListAgentTransitions(
            pb.ListAgentTransitionsRequest(server=host.name, page_size=1000)
        )
        assert len(listed.transitions) == 50

        later = Housekeeping(
            UnitOfWork(engine), lambda: datetime.now(UTC) + timedelta(days=31), history_days=30, history_rows=50
        )
        await later.run_once()
        with psycopg.connect(registry.database.url) as connection:
            for table in ("sample_minute", "sample_five_minutes", "agent_transition"):
                left = connection.execute(
                    f"select count(*) from registry.{table} where agent_id = %s", [host.agent_id]
                ).fetchone()
                assert left == (0,), table
    finally:
        await engine.dispose()


@pytest.fixture
async def keeping(registry):
    """Makes a housekeeper, with a clock that is so far ahead."""
    engine = create_engine(registry.database.url, 2)

    def make(ahead=timedelta(), rows=50):
        now = lambda: datetime.now(UTC) + ahead  # noqa: E731
        return Housekeeping(UnitOfWork(engine), now, history_days=30, history_rows=rows)

    yield make
    await engine.dispose()


def count(registry, table, agent_id):
    with psycopg.connect(registry.database.url) as connection:
        query = f"select count(*) from registry.{table} where agent_id = %s"
        return connection.execute(query, [agent_id]).fetchone()[0]


async def test_what_is_too_old_is_removed_though_nothing_can_be_summed_up(registry, keeping):
    host = await new_host(registry)
    await host.report(datetime.now(UTC), facts=facts())
    with psycopg.connect(registry.database.url, autocommit=True) as connection:
        connection.execute("delete from registry.sample_progress")
        connection.execute(
            "alter table registry.sample_five_minutes add constraint nothing check (checks < 0) not valid"
        )
        try:
            with pytest.raises(DBAPIError, match="nothing"):
                await keeping(timedelta(hours=4)).run_once()
        finally:
            connection.execute("alter table registry.sample_five_minutes drop constraint nothing")
    assert count(registry, "sample_minute", host.agent_id) == 0


async def test_histories_that_are_too_long_are_cut_now_and_then_and_alone(registry, keeping):
    host = await new_host(registry)
    now = datetime.now(UTC)
    for second in range(6):
        await host.report(now + timedelta(seconds=second), (ONLINE, OFFLINE)[second % 2])
    keeper = keeping(rows=4)
    await keeper.run_once()
    assert count(registry, "agent_transition", host.agent_id) == 4
    listed = await host.agents.ListAgentTransitions(pb.ListAgentTransitionsRequest(server=host.name))
    assert [one.to for one in listed.transitions] == [OFFLINE, ONLINE, OFFLINE, ONLINE], "the newest ones stay"

    await host.report(now + timedelta(seconds=6))
    await keeper.run_once()
    assert count(registry, "agent_transition", host.agent_id) == 5, "not again within the hour"


async def test_a_table_without_anything_new_is_not_read(registry):
    engine = create_engine(registry.database.url, 1)
    minute, five = RESOLUTIONS[:2]
    until = floor(datetime.now(UTC), five.step)
    try:
        async with UnitOfWork(engine).begin() as connection:
            await samples.sum_up(connection, minute, five, until)
            before = await scans(connection, minute.table)
            await samples.sum_up(connection, minute, five, until)
            assert await scans(connection, minute.table) == before
    finally:
        await engine.dispose()


async def scans(connection, table):
    """How often this transaction has read a table or one of its indexes."""
    query = "select sum(seq_scan + coalesce(idx_scan, 0)) from pg_stat_xact_user_tables where relname = :table"
    return (await connection.execute(sa.text(query), {"table": table})).scalar()


async def test_a_question_that_cannot_be_answered_names_its_field(registry):
    host = await new_host(registry)
    with pytest.raises(InvalidArgument, match="RANGE_INVALID"), translate_errors():
        await host.series(metrics=[99])
    with pytest.raises(InvalidArgument, match="RANGE_INVALID"), translate_errors():
        await host.series(step=Duration(nanos=1))


async def test_whoever_reports_is_told_the_time_to_report_by(registry):
    host = await new_host(registry)
    client = registry.client("heartbeat").agents
    before = datetime.now(UTC)
    answers = await client.ListAgentEndpoints(pb.ListAgentEndpointsRequest()), await host.report(before)
    times = [one.now.ToDatetime(UTC) for one in answers]
    assert before <= times[0] <= times[1] <= datetime.now(UTC)
