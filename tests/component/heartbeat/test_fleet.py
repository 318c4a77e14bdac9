"""The fleet follows the registry; reports reach it, sooner or later."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from myx.events.v1.events_pb2 import AgentQuarantined, AgentRegistered, Event
from myx.heartbeat.v1 import heartbeat_service_pb2
from myx.registry.v1.agent_pb2 import AGENT_STATUS_OFFLINE, AGENT_STATUS_ONLINE
from myx_kit.errors import FailedPrecondition, NotFound
from myx_kit.events.bus import Bus
from myx_kit.events.subjects import event_subject
from myx_testkit.ports import free_port
from myx_testkit.wait import until


def check(server: str) -> heartbeat_service_pb2.CheckNowRequest:
    return heartbeat_service_pb2.CheckNowRequest(server=server)


@pytest.fixture
async def publish(module_nats, tls_dir):
    """Publishes an event of an agent, as the registry does."""
    bus = await Bus.connect(module_nats.url, tls_dir, "registry")

    async def run(verb: str, event: Event, agent_id: str) -> None:
        await bus.publish_event(event.id, event_subject("agent", verb, agent_id), event.SerializeToString())

    yield run
    await bus.close()


async def test_an_event_makes_a_new_agent_known_at_once(registry, start, module_agent, publish):
    await start(refresh_interval_s=3600)
    await until(lambda: registry.list_calls)
    agent_id = registry.add("new", module_agent).agent_id

    await publish("registered", Event(id="registered", agent_registered=AgentRegistered(agent_id=agent_id)), agent_id)

    await until(lambda: registry.of("new"))


async def test_an_agent_that_another_replica_found_on_another_machine_is_not_called_any_more(
    registry, start, module_agent, publish
):
    endpoint = registry.add("moved", module_agent)
    heartbeat = await start(refresh_interval_s=3600)
    await until(lambda: registry.of("moved"))
    endpoint.quarantined = True
    event = Event(id="quarantined", agent_quarantined=AgentQuarantined(agent_id=endpoint.agent_id))

    await publish("quarantined", event, endpoint.agent_id)

    async def is_refused():
        try:
            await heartbeat.stub.CheckNow(check("moved"))
        except FailedPrecondition as error:
            return error.reason == "AGENT_QUARANTINED"
        return False

    await until(is_refused)


async def test_an_agent_that_was_deleted_is_not_checked_any_more(registry, start, poor_agent):
    agent = await poor_agent(503)
    registry.add("gone", rpc_port=agent.rpc_port, certificate_sha256=agent.certificate_sha256)
    heartbeat = await start()
    await until(lambda: registry.of("gone"))

    del registry.endpoints["gone"]

    async def knows_none():
        status = await heartbeat.stub.GetStatus(heartbeat_service_pb2.GetStatusRequest())
        return (status.agents, status.unsent_reports) == (0, 0)

    await until(knows_none)


async def test_an_agent_that_moved_is_checked_at_its_new_place_at_once(registry, start, module_agent):
    endpoint = registry.add("moved", module_agent, rpc_port=free_port())
    await start(min_interval_s=60, max_interval_s=60)
    await until(lambda: registry.statuses("moved") == [AGENT_STATUS_OFFLINE])

    endpoint.rpc_port = module_agent.rpc_port
    endpoint.revision += 1

    await until(lambda: registry.statuses("moved") == [AGENT_STATUS_OFFLINE, AGENT_STATUS_ONLINE])


async def test_the_service_starts_without_the_registry_and_finds_it(registry, start, module_agent):
    registry.away = True
    registry.add("local", module_agent)
    await start()

    registry.away = False

    await until(lambda: registry.statuses("local")[:1] == [AGENT_STATUS_ONLINE])


@pytest.mark.parametrize("ahead_s", [-600, 600])
async def test_reports_are_dated_by_the_registrys_clock(registry, start, module_agent, ahead_s):
    registry.ahead_s = ahead_s
    registry.add("local", module_agent)
    registry.add("dead", rpc_port=free_port())
    await start()
    await until(lambda: registry.of("local") and registry.of("dead"))

    its_now = datetime.now(UTC) + timedelta(seconds=ahead_s)
    times = [one.checked_at for one in registry.reports] + [
        one.at for report in registry.reports for one in report.attempts
    ]
    assert all(abs(at.ToDatetime(UTC) - its_now) < timedelta(minutes=2) for at in times)


async def test_a_change_of_status_outlasts_an_outage_of_the_registry(registry, start, real_agent):
    registry.add("local", real_agent)
    await start()
    await until(lambda: registry.statuses("local")[-1:] == [AGENT_STATUS_ONLINE])

    registry.away = True
    real_agent.kill9()
    checked = len(registry.reports)
    await asyncio.sleep(0.5)
    registry.away = False

    await until(lambda: registry.statuses("local")[-1:] == [AGENT_STATUS_OFFLINE])
    assert AGENT_STATUS_ONLINE not in [one.status for one in registry.reports[checked:]]


async def test_a_check_on_demand_answers_and_is_reported(registry, start, module_agent):
    endpoint = registry.add("local", module_agent)
    heartbeat = await start(min_interval_s=60, max_interval_s=60)
    await until(lambda: registry.of("local"))

    for server in ("local", endpoint.server_id):
        before = len(registry.of("local"))
        response = await heartbeat.stub.CheckNow(check(server))
        assert (response.status, response.cause, len(response.attempts)) == (AGENT_STATUS_ONLINE, "", 1)
        assert len(registry.of("local")) == before + 1


async def test_a_check_on_demand_of_a_dead_agent_says_why(registry, start):
    registry.add("dead", rpc_port=free_port())
    heartbeat = await start(min_interval_s=60, max_interval_s=60)

    response = await heartbeat.stub.CheckNow(check("dead"))

    assert (response.status, response.cause) == (AGENT_STATUS_OFFLINE, "refused")
    assert len(response.attempts) == 4


async def test_checks_on_demand_at_the_same_time_are_one(registry, start, poor_agent):
    agent = await poor_agent(503)
    registry.add("poor", rpc_port=agent.rpc_port, certificate_sha256=agent.certificate_sha256)
    heartbeat = await start(min_interval_s=60, max_interval_s=60, retry_base_delay_s=0.2)
    await until(lambda: agent.calls)

    answers = await asyncio.gather(*(heartbeat.stub.CheckNow(check("poor")) for _ in range(5)))

    assert {one.status for one in answers} == {AGENT_STATUS_OFFLINE}
    assert agent.calls == 4


async def test_a_check_of_an_unknown_server_is_not_found(registry, start):
    heartbeat = await start()

    with pytest.raises(NotFound) as caught:
        await heartbeat.stub.CheckNow(check("nobody"))

    assert caught.value.reason == "SERVER_NOT_FOUND"


async def test_a_server_that_is_not_known_yet_is_looked_up(registry, start, module_agent):
    heartbeat = await start(refresh_interval_s=3600)
    await until(lambda: registry.list_calls)
    registry.add("new", module_agent)

    response = await heartbeat.stub.CheckNow(check("new"))

    assert response.status == AGENT_STATUS_ONLINE
