import asyncio
import hashlib
import re
import ssl
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from myx.events.v1.events_pb2 import Event
from myx.registry.v1 import agent_pb2, server_service_pb2
from myx.registry.v1 import agent_service_pb2 as pb
from myx_kit.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted
from myx_kit.events.bus import Bus
from myx_kit.ids import new_id
from myx_kit.secretbox import SecretBox
from myx_registry import app
from myx_registry.domain import ports
from myx_registry.domain.heartbeats import FLAP_CHANGES
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONLINE, OFFLINE, UNKNOWN = (
    agent_pb2.AGENT_STATUS_ONLINE,
    agent_pb2.AGENT_STATUS_OFFLINE,
    agent_pb2.AGENT_STATUS_UNKNOWN,
)
T0 = datetime.now(UTC).replace(microsecond=123456) - timedelta(hours=1)


def at(second: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(T0 + timedelta(seconds=second))
    return stamp


def report(agent_id: str, second: float, status, **values) -> pb.HeartbeatReport:
    return pb.HeartbeatReport(agent_id=agent_id, checked_at=at(second), status=status, **values)


async def create(registry, name: str | None = None) -> str:
    request = server_service_pb2.CreateServerRequest(name=name or registry.new_name(), address="192.0.2.7")
    return (await registry.client("gateway").servers.CreateServer(request)).server.name


async def allocate(registry, server: str) -> pb.AllocateAgentResponse:
    return await registry.client("executor").agents.AllocateAgent(pb.AllocateAgentRequest(server=server))


async def new_agent(registry) -> tuple[str, agent_pb2.Agent]:
    server = await create(registry)
    return server, (await allocate(registry, server)).agent


async def get(registry, server: str) -> agent_pb2.Agent:
    return (await registry.client("gateway").agents.GetAgent(pb.GetAgentRequest(server=server))).agent


async def endpoint(registry, server: str) -> agent_pb2.AgentEndpoint:
    request = pb.GetAgentEndpointRequest(server=server)
    return (await registry.client("executor").agents.GetAgentEndpoint(request)).endpoint


async def send(registry, *reports: pb.HeartbeatReport) -> list[str]:
    request = pb.ReportHeartbeatsRequest(reports=reports)
    return list((await registry.client("heartbeat").agents.ReportHeartbeats(request)).unknown_agent_ids)


class Events:
    """All events that were published, in the order of their coming."""

    def __init__(self, registry) -> None:
        self._registry = registry
        self.all: list[Event] = []

    async def collect(self, event: Event) -> None:
        self.all.append(event)

    async def of(self, aggregate_id: str) -> list[Event]:
        """Those about one aggregate that were made up to now: an event made later has come after them."""
        last = await create(self._registry)
        await until(lambda: any(event.server_created.name == last for event in self.all))
        return [event for event in self.all if aggregate_id in str(getattr(event, event.WhichOneof("fact")))]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def events(registry):
    bus = await Bus.connect(registry.nats.url, registry.settings.tls_dir, "executor", wait_s=10)
    collected = Events(registry)
    bus.consume_ephemeral("myx.events.>", collected.collect)
    await bus.flush()
    first = await create(registry)
    await until(lambda: any(event.server_created.name == first for event in collected.all))
    yield collected
    await bus.close()


def kinds(events: list[Event]) -> list[str]:
    return [event.WhichOneof("fact") for event in events]


async def test_an_identity_is_made_once(registry) -> None:
    server = await create(registry)
    made = await allocate(registry, server)
    again = await allocate(registry, server)
    assert (made.created, again.created) == (True, False)
    again.created = True
    assert again == made
    assert made.agent.status == agent_pb2.AGENT_STATUS_PENDING
    assert made.agent.rpc_port in ports.ALLOWED
    assert re.fullmatch(r"[a-z0-9]{24}", made.rpc_path)
    assert len({made.agent_token, made.secret_key, made.rpc_path}) == 3
    assert min(len(made.agent_token), len(made.secret_key)) >= 40
    der = ssl.PEM_cert_to_DER_cert(made.certificate_pem)
    assert hashlib.sha256(der).hexdigest() == made.agent.certificate_sha256
    assert "PRIVATE KEY" in made.private_key_pem


async def test_concurrent_allocations_get_one_identity(registry) -> None:
    server = await create(registry)
    made = await asyncio.gather(*(allocate(registry, server) for _ in range(16)))
    assert len({(one.agent.id, one.agent_token, one.private_key_pem, one.agent.rpc_port) for one in made}) == 1
    assert [one.created for one in made].count(True) == 1


async def test_a_port_is_given_once_and_their_end_is_told(registry, monkeypatch) -> None:
    _, first = await new_agent(registry)
    monkeypatch.setattr(ports, "ALLOWED", (first.rpc_port,))
    server = await create(registry)
    with pytest.raises(ResourceExhausted, match="NO_FREE_PORT"):
        await allocate(registry, server)
    with pytest.raises(NotFound, match="AGENT_NOT_FOUND"):
        await get(registry, server)
    monkeypatch.setattr(ports, "ALLOWED", (first.rpc_port, 65_001))
    assert (await allocate(registry, server)).agent.rpc_port == 65_001


async def test_an_agent_without_a_server_is_not_found(registry) -> None:
    server = await create(registry)
    for call in (get, endpoint):
        with pytest.raises(NotFound, match="AGENT_NOT_FOUND"):
            await call(registry, server)
        with pytest.raises(NotFound, match="SERVER_NOT_FOUND"):
            await call(registry, "nowhere")
    with pytest.raises(NotFound, match="SERVER_NOT_FOUND"):
        await allocate(registry, str(new_id()))


async def test_an_endpoint_has_all_that_a_call_needs(registry) -> None:
    server = await create(registry)
    made = await allocate(registry, server)
    found = await endpoint(registry, made.agent.server_id)
    assert (found.agent_id, found.server_id, found.server_name) == (made.agent.id, made.agent.server_id, server)
    assert (found.address, found.rpc_port) == ("192.0.2.7", made.agent.rpc_port)
    assert (found.rpc_path, found.agent_token, found.secret_key) == (made.rpc_path, made.agent_token, made.secret_key)
    assert found.certificate_sha256 == made.agent.certificate_sha256
    assert (found.status, found.revision) == (agent_pb2.AGENT_STATUS_PENDING, 1)


async def test_a_server_shows_its_agent_and_takes_it_along(registry) -> None:
    server, agent = await new_agent(registry)
    client = registry.client("gateway").servers
    assert (await client.GetServer(server_service_pb2.GetServerRequest(server=server))).server.agent == agent
    await client.DeleteServer(server_service_pb2.DeleteServerRequest(server=server))
    with pytest.raises(NotFound):
        await get(registry, server)
    assert await send(registry, report(agent.id, 1, ONLINE)) == [agent.id]


async def test_only_named_services_see_secrets_or_report(registry) -> None:
    server, agent = await new_agent(registry)
    allocation, one = pb.AllocateAgentRequest(server=server), pb.GetAgentEndpointRequest(server=server)
    every, outcome = pb.ListAgentEndpointsRequest(), pb.ReportHeartbeatsRequest(reports=[report(agent.id, 1, ONLINE)])
    for name, method, request in (
        *(("gateway", *call) for call in (("AllocateAgent", allocation), ("GetAgentEndpoint", one))),
        *(("gateway", *call) for call in (("ListAgentEndpoints", every), ("ReportHeartbeats", outcome))),
        *(("heartbeat", *call) for call in (("AllocateAgent", allocation), ("GetAgentEndpoint", one))),
        *(("executor", *call) for call in (("ListAgentEndpoints", every), ("ReportHeartbeats", outcome))),
        *(("standalone", *call) for call in (("GetAgentEndpoint", one), ("ReportHeartbeats", outcome))),
        ("nats", "AllocateAgent", allocation),
    ):
        with pytest.raises(PermissionDenied, match="CALLER_NOT_ALLOWED"):
            await getattr(registry.client(name).agents, method)(request)
    assert (await registry.client("standalone").agents.AllocateAgent(allocation)).agent == agent


async def test_no_secret_is_stored_in_plain(registry) -> None:
    server = await create(registry)
    made = await allocate(registry, server)
    await send(registry, report(made.agent.id, 1, ONLINE))
    secrets = [made.agent_token, made.secret_key, made.rpc_path, made.private_key_pem.splitlines()[1]]
    with psycopg.connect(registry.database.url) as connection:
        for table in ("server", "agent", "outbox"):
            with connection.cursor().copy(f"copy registry.{table} to stdout") as copy:
                content = b"".join(bytes(block) for block in copy)
            for secret in secrets:
                assert secret.encode() not in content
                assert secret.encode().hex().encode() not in content


async def test_an_answer_is_stored_with_all_it_said(registry) -> None:
    server, agent = await new_agent(registry)
    facts = agent_pb2.AgentFacts(
        hostname="web-1",
        os="Debian 13",
        cpus=8,
        load_1m=0.25,
        memory_total_bytes=1 << 40,
        disks=[agent_pb2.Disk(mount="/", total_bytes=10, free_bytes=4)],
        machine_id="m",
        boot_id="b",
        uptime=Duration(seconds=90, nanos=500_000_000),
        running_command_ids=["c1", "c2"],
        reported_at=at(1),
    )
    attempts = [
        agent_pb2.CallAttempt(at=at(0), cause="refused", message="no", wait=Duration(seconds=1)),
        agent_pb2.CallAttempt(at=at(1)),
    ]
    latency = Duration(nanos=20_000_000)
    first = report(agent.id, 1, ONLINE, latency=latency, version="0.1.0", facts=facts, attempts=attempts)
    assert await send(registry, first) == []
    seen = await get(registry, server)
    assert (seen.status, seen.status_since, seen.version, seen.latency) == (ONLINE, at(1), "0.1.0", latency)
    assert seen.rpc_last_check == seen.rpc_last_success == seen.last_heartbeat == at(1)
    assert seen.rpc_supported
    assert seen.facts == facts
    assert list(seen.last_attempts) == attempts
    await send(registry, report(agent.id, 2, OFFLINE, cause="refused", message="connection refused"))
    seen = await get(registry, server)
    assert (seen.status, seen.status_reason, seen.status_message) == (OFFLINE, "refused", "connection refused")
    assert (seen.failure_streak, seen.facts, seen.version) == (1, facts, "0.1.0")
    assert (seen.rpc_last_check, seen.rpc_last_success, seen.last_heartbeat) == (at(2), at(1), at(1))


async def test_a_strangers_word_cannot_break_a_batch(registry) -> None:
    server, agent = await new_agent(registry)
    facts = agent_pb2.AgentFacts(
        hostname="a\0b" * 999,
        os="ä" * 999,
        load_1m=float("nan"),
        load_5m=float("inf"),
        uptime=Duration(seconds=-(1 << 62)),
        running_command_ids=["x" * 999] * 999,
        disks=[agent_pb2.Disk(mount="/\0")] * 9999,
        reported_at=Timestamp(seconds=1 << 62),
    )
    odd = report(
        agent.id, 1, ONLINE, version="\0", message="\0" * 99999, latency=Duration(seconds=1 << 62), facts=facts
    )
    odd.attempts.add(at=Timestamp(seconds=-(1 << 62)), wait=Duration(seconds=1 << 62))
    assert await send(registry, odd) == []
    seen = await get(registry, server)
    assert seen.status == ONLINE
    assert (len(seen.facts.os.encode()), len(seen.facts.disks), seen.facts.load_1m) == (256, 100, 0)


async def test_repeated_and_disordered_batches_make_each_transition_once(registry, events) -> None:
    _, agent = await new_agent(registry)
    batches = [
        [report(agent.id, 1, ONLINE, version="0.1.0")],
        [report(agent.id, 3, OFFLINE, cause="hung"), report(agent.id, 2, ONLINE)],
        [report(agent.id, 4, UNKNOWN, cause="no_route")],
        [report(agent.id, 6, OFFLINE, cause="refused"), report(agent.id, 6, OFFLINE), report(agent.id, 5, OFFLINE)],
        [report(agent.id, 7, ONLINE)],
    ]
    for batch in batches:
        await asyncio.gather(*(send(registry, *batch) for _ in range(5)))
    for batch in reversed(batches):
        await send(registry, *batch)
    found = await events.of(agent.id)
    assert kinds(found) == ["agent_registered", "agent_online", "agent_offline", "agent_online"]
    revisions = [event.revision for event in found]
    assert revisions == sorted(set(revisions))
    assert (found[1].agent_online.version, found[2].agent_offline.cause) == ("0.1.0", "hung")
    assert {event.occurred_at.ToMicroseconds() for event in found[1:]} == {at(s).ToMicroseconds() for s in (1, 3, 7)}


async def test_concurrent_batches_over_the_same_agents_in_any_order_all_succeed(registry, events) -> None:
    made = [(await new_agent(registry))[1].id for _ in range(40)]
    batches = []
    # An even number of changes, fewer than make it flap.
    for second in range(1, FLAP_CHANGES - 1):
        ids = made if second % 2 else made[::-1]
        batches.append([report(one, second, ONLINE if second % 2 else OFFLINE) for one in ids])
    await asyncio.gather(*(send(registry, *batch) for batch in batches))
    for one in made[:3]:
        found = kinds(await events.of(one))[1:]
        assert found == (["agent_online", "agent_offline"] * 4)[: len(found)] or found[0] == "agent_offline"
        assert all(left != right for left, right in pairwise(found))
        assert found[-1] == "agent_offline"


async def test_the_life_of_a_server_is_told(registry, events) -> None:
    client = registry.client("gateway").servers
    server, agent = await new_agent(registry)
    for address in ("192.0.2.8", "192.0.2.8"):
        request = server_service_pb2.UpdateServerRequest(server=server, address=address)
        request.update_mask.CopyFrom(FieldMask(paths=["address"]))
        await client.UpdateServer(request)
    await client.DeleteServer(server_service_pb2.DeleteServerRequest(server=server))
    found = await events.of(agent.server_id)
    assert kinds(found) == ["server_created", "agent_registered", "server_updated", "server_deleted"]
    assert [event.revision for event in found if "server_" in event.WhichOneof("fact")] == [1, 2, 3]
    for event in found:
        assert "192.0.2" not in str(event)


async def test_pauses_and_accepted_machines_are_told_with_the_time_of_the_act(registry, events) -> None:
    server, agent = await new_agent(registry)
    client = registry.client("gateway").agents
    until_then = Timestamp()
    until_then.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    begun = []
    for act in (
        lambda: client.PauseChecks(pb.PauseChecksRequest(servers=[server], until=until_then, requested_by="token:x")),
        lambda: client.ResumeChecks(pb.ResumeChecksRequest(servers=[server], requested_by="token:x")),
        lambda: client.AcceptMachine(pb.AcceptMachineRequest(server=server, requested_by="token:x")),
    ):
        begun.append(datetime.now(UTC))
        await act()
    begun.append(datetime.now(UTC))
    told = [event for event in await events.of(agent.server_id) if event.HasField("server_updated")]
    times = [event.occurred_at.ToDatetime(UTC) for event in told]
    assert len(times) == 3
    assert sorted(begun + times) == [begun[0], times[0], begun[1], times[1], begun[2], times[2], begun[3]]


async def test_the_endpoints_revision_grows_with_what_it_tells(registry) -> None:
    server, agent = await new_agent(registry)
    revisions = [(await endpoint(registry, server)).revision]

    async def update(**values: str) -> None:
        request = server_service_pb2.UpdateServerRequest(server=agent.server_id, **values)
        request.update_mask.CopyFrom(FieldMask(paths=list(values)))
        await registry.client("gateway").servers.UpdateServer(request)
        revisions.append((await endpoint(registry, agent.server_id)).revision)

    await update(address="192.0.2.99")
    await update(name=registry.new_name())
    for second, status in enumerate((ONLINE, UNKNOWN, OFFLINE), start=1):
        await send(registry, report(agent.id, second, status))
        revisions.append((await endpoint(registry, agent.server_id)).revision)
    assert revisions == [1, 2, 3, 4, 5, 6]
    await send(registry, report(agent.id, 9, OFFLINE))
    assert (await endpoint(registry, agent.server_id)).revision == 6


async def test_bad_reports_are_refused_naming_the_field_and_nothing_is_stored(registry) -> None:
    server, agent = await new_agent(registry)
    good = report(agent.id, 1, ONLINE)
    ahead = Timestamp()
    ahead.FromDatetime(datetime.now(UTC) + timedelta(minutes=10))
    for bad, reason, field in (
        (pb.HeartbeatReport(agent_id=agent.id, status=ONLINE), "CHECKED_AT_INVALID", "reports[1].checked_at"),
        (report("x", 1, ONLINE), "ID_INVALID", "reports[1].agent_id"),
        (report(agent.id, 1, agent_pb2.AGENT_STATUS_PENDING), "STATUS_INVALID", "reports[1].status"),
        (report(agent.id, 1, 99), "STATUS_INVALID", "reports[1].status"),
        (
            pb.HeartbeatReport(agent_id=agent.id, checked_at=ahead, status=ONLINE),
            "CHECKED_AT_IN_FUTURE",
            "reports[1].checked_at",
        ),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await send(registry, good, bad)
        assert (caught.value.reason, caught.value.fields["field"]) == (reason, field)
    with pytest.raises(InvalidArgument, match="BATCH_TOO_LARGE"):
        await send(registry, *[good] * 501)
    assert (await get(registry, server)).status == agent_pb2.AGENT_STATUS_PENDING
    assert await send(registry) == []


async def test_pages_of_agents_and_endpoints_hold_each_once(registry) -> None:
    made = {(await new_agent(registry))[1].id for _ in range(12)}
    names: list[str] = []
    ids: list[str] = []
    token = ""
    while True:
        page = await registry.client("gateway").agents.ListAgents(pb.ListAgentsRequest(page_size=5, page_token=token))
        names += [agent.id for agent in page.agents]
        if not (token := page.next_page_token):
            break
    while True:
        request = pb.ListAgentEndpointsRequest(page_size=5, page_token=token)
        page = await registry.client("heartbeat").agents.ListAgentEndpoints(request)
        ids += [one.agent_id for one in page.endpoints]
        assert all(one.agent_token and one.secret_key and one.rpc_path for one in page.endpoints)
        if not (token := page.next_page_token):
            break
    assert len(names) == len(set(names)) == len(ids) == len(set(ids))
    assert made <= set(names) == set(ids)


async def test_a_token_of_another_list_is_refused(registry) -> None:
    for _ in range(2):
        await new_agent(registry)
    agents = registry.client("gateway").agents
    token = (await agents.ListAgents(pb.ListAgentsRequest(page_size=1))).next_page_token
    with pytest.raises(InvalidArgument, match="PAGE_TOKEN_INVALID"):
        await registry.client("heartbeat").agents.ListAgentEndpoints(pb.ListAgentEndpointsRequest(page_token=token))


async def test_another_master_key_is_refused_at_start(registry, tmp_path) -> None:
    await new_agent(registry)
    SecretBox.create_file(tmp_path / "other.json")
    settings = registry.settings.model_copy(update={"master_key_file": tmp_path / "other.json"})
    async with AsyncExitStack() as stack:
        with pytest.raises(FailedPrecondition, match="MASTER_KEY_MISMATCH"):
            await app.start(settings, stack)
