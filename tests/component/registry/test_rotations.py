"""New identities for agents: with an overlap, repeatable, and told."""

import asyncio

import pytest
import pytest_asyncio

from myx.events.v1.events_pb2 import Event
from myx.registry.v1 import agent_pb2
from myx.registry.v1 import agent_service_pb2 as pb
from myx_kit.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from myx_kit.events.bus import Bus
from myx_kit.ids import new_id
from myx_registry.domain import ports
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Calls:
    """The executor's calls, and the events that came of them."""

    def __init__(self, registry) -> None:
        self.registry = registry
        self._agents = registry.client("executor").agents
        self.events: list[Event] = []

    async def collect(self, event: Event) -> None:
        self.events.append(event)

    async def begin(self, server: str) -> pb.BeginRotationResponse:
        return await self._agents.BeginRotation(pb.BeginRotationRequest(server=server))

    async def commit(self, server: str, rotation_id: str) -> agent_pb2.Agent:
        request = pb.CommitRotationRequest(server=server, rotation_id=rotation_id)
        return (await self._agents.CommitRotation(request)).agent

    async def abort(self, server: str, rotation_id: str) -> None:
        await self._agents.AbortRotation(pb.AbortRotationRequest(server=server, rotation_id=rotation_id))

    async def reallocate(self, server: str, request_id: str = "", **values) -> pb.ReallocateAgentResponse:
        request = pb.ReallocateAgentRequest(server=server, request_id=request_id, **values)
        return await self._agents.ReallocateAgent(request)

    async def commit_place(self, server: str, request_id: str) -> agent_pb2.Agent:
        request = pb.CommitReallocationRequest(server=server, request_id=request_id)
        return (await self._agents.CommitReallocation(request)).agent

    async def abort_place(self, server: str) -> None:
        await self._agents.AbortReallocation(pb.AbortReallocationRequest(server=server))

    async def remove(self, server: str) -> None:
        await self._agents.RemoveAgent(pb.RemoveAgentRequest(server=server))

    async def new_agent(self) -> tuple[str, pb.AllocateAgentResponse]:
        server = (await self.registry.create()).name
        return server, await self.registry.allocate(server)

    async def facts(self, agent_id: str) -> list[str]:
        """What was told of an agent up to now."""
        last = (await self.registry.create()).name
        await until(lambda: any(event.server_created.name == last for event in self.events))
        found = [event for event in self.events if agent_id in str(event)]
        revisions = [event.revision for event in found]
        assert revisions == sorted(set(revisions))
        return [event.WhichOneof("fact") or "" for event in found]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls(registry):
    bus = await Bus.connect(registry.nats.url, registry.settings.tls_dir, "executor", wait_s=10)
    made = Calls(registry)
    bus.consume_ephemeral("myx.events.>", made.collect)
    await bus.flush()
    await until(lambda: _hears(registry, made))
    yield made
    await bus.close()


async def _hears(registry, calls: Calls) -> bool:
    await registry.create()
    return bool(calls.events)


async def test_a_rotation_begun_again_is_the_same_one(calls) -> None:
    server, before = await calls.new_agent()
    begun = await asyncio.gather(*(calls.begin(server) for _ in range(8)))
    assert len({one.SerializeToString() for one in begun}) == 1
    upcoming = begun[0]
    assert upcoming.agent_token not in ("", before.agent_token)
    assert upcoming.secret_key not in ("", before.secret_key)
    assert upcoming.private_key_pem != before.private_key_pem
    endpoint = await calls.registry.endpoint(server)
    assert (endpoint.agent_token, endpoint.secret_key) == (before.agent_token, before.secret_key)
    assert endpoint.certificate_sha256 == before.agent.certificate_sha256
    assert endpoint.next_certificate_sha256 == upcoming.certificate_sha256
    assert endpoint.revision > 1
    assert (await calls.registry.agent(server)).rotating


async def test_a_commit_makes_the_next_identity_the_present_one_once(calls) -> None:
    server, before = await calls.new_agent()
    upcoming = await calls.begin(server)
    made = await asyncio.gather(*(calls.commit(server, upcoming.rotation_id) for _ in range(8)))
    assert {one.certificate_sha256 for one in made} == {upcoming.certificate_sha256}
    assert not any(one.rotating for one in made)
    endpoint = await calls.registry.endpoint(server)
    assert (endpoint.agent_token, endpoint.secret_key) == (upcoming.agent_token, upcoming.secret_key)
    assert (endpoint.certificate_sha256, endpoint.next_certificate_sha256) == (upcoming.certificate_sha256, "")
    assert (endpoint.rpc_path, endpoint.rpc_port) == (before.rpc_path, before.agent.rpc_port)
    identity = await calls.registry.allocate(server)
    assert (identity.agent_token, identity.private_key_pem) == (upcoming.agent_token, upcoming.private_key_pem)
    assert identity.certificate_pem == upcoming.certificate_pem
    assert await calls.facts(before.agent.id) == ["agent_registered", "agent_rotated", "agent_rotated"]


async def test_a_rotation_that_is_not_under_way_is_not_committed(calls) -> None:
    server, before = await calls.new_agent()
    first = await calls.begin(server)
    await calls.abort(server, first.rotation_id)
    for rotation_id in (first.rotation_id, str(new_id())):
        with pytest.raises(FailedPrecondition, match="ROTATION_NOT_FOUND"):
            await calls.commit(server, rotation_id)
    second = await calls.begin(server)
    assert second.agent_token != first.agent_token
    with pytest.raises(FailedPrecondition, match="ROTATION_NOT_FOUND"):
        await calls.commit(server, first.rotation_id)
    assert (await calls.registry.endpoint(server)).agent_token == before.agent_token
    with pytest.raises(InvalidArgument, match="ID_INVALID"):
        await calls.commit(server, "x")


async def test_an_abort_forgets_its_own_rotation_only(calls) -> None:
    server, _ = await calls.new_agent()
    upcoming = await calls.begin(server)
    await calls.abort(server, str(new_id()))
    assert (await calls.registry.endpoint(server)).next_certificate_sha256 == upcoming.certificate_sha256
    for _ in range(2):
        await calls.abort(server, upcoming.rotation_id)
    assert (await calls.registry.endpoint(server)).next_certificate_sha256 == ""
    await calls.abort("nowhere", upcoming.rotation_id)


async def test_commit_and_abort_at_once_end_one_way_or_the_other(calls) -> None:
    for _ in range(8):
        server, before = await calls.new_agent()
        upcoming = await calls.begin(server)
        commit, _ = await asyncio.gather(
            calls.commit(server, upcoming.rotation_id),
            calls.abort(server, upcoming.rotation_id),
            return_exceptions=True,
        )
        endpoint = await calls.registry.endpoint(server)
        lost = isinstance(commit, FailedPrecondition)
        assert endpoint.agent_token == (before.agent_token if lost else upcoming.agent_token)
        assert endpoint.next_certificate_sha256 == ""


async def test_an_agent_stays_where_it_is_until_its_new_place_is_committed(calls) -> None:
    server, before = await calls.new_agent()
    there = await calls.registry.endpoint(server)
    kept = await calls.reallocate(server, "d1", new_port=True, new_path=True)
    assert kept.rpc_port != before.agent.rpc_port
    assert kept.rpc_port in ports.ALLOWED
    assert kept.rpc_path not in ("", before.rpc_path)
    assert kept.agent == before.agent
    assert await calls.registry.endpoint(server) == there
    assert (await calls.registry.allocate(server)).rpc_path == before.rpc_path

    moved = await calls.commit_place(server, "d1")
    assert moved.rpc_port == kept.rpc_port
    endpoint = await calls.registry.endpoint(server)
    assert (endpoint.rpc_port, endpoint.rpc_path) == (kept.rpc_port, kept.rpc_path)
    assert endpoint.revision > there.revision
    assert (await calls.registry.allocate(server)).agent_token == before.agent_token
    assert await calls.commit_place(server, "d1") == moved
    again = await calls.reallocate(server, "d1", new_port=True, new_path=True)
    assert (again.rpc_port, again.rpc_path) == (kept.rpc_port, kept.rpc_path)
    assert await calls.facts(before.agent.id) == ["agent_registered", "agent_rotated"]


async def test_whoever_asks_again_gets_the_place_that_is_kept(calls) -> None:
    server, before = await calls.new_agent()
    kept = await calls.reallocate(server, "d1", new_port=True, new_path=True)
    assert await calls.reallocate(server, "d2", new_port=True, new_path=True) == kept
    path_only = await calls.reallocate(server, "d3", new_path=True)
    assert (path_only.rpc_port, path_only.rpc_path) == (before.agent.rpc_port, kept.rpc_path)
    await calls.commit_place(server, "d3")
    endpoint = await calls.registry.endpoint(server)
    assert (endpoint.rpc_port, endpoint.rpc_path) == (before.agent.rpc_port, kept.rpc_path)


async def test_a_place_that_was_given_up_is_not_moved_to(calls) -> None:
    server, before = await calls.new_agent()
    kept = await calls.reallocate(server, "d1", new_port=True)
    assert kept.rpc_path == before.rpc_path
    for _ in range(2):
        await calls.abort_place(server)
    with pytest.raises(FailedPrecondition, match="REALLOCATION_NOT_FOUND"):
        await calls.commit_place(server, "d1")
    assert (await calls.registry.endpoint(server)).rpc_port == before.agent.rpc_port
    await calls.abort_place("nowhere")


async def test_a_reallocation_asks_for_something_and_needs_a_free_port(calls, monkeypatch) -> None:
    server, before = await calls.new_agent()
    with pytest.raises(InvalidArgument, match="REALLOCATION_EMPTY"):
        await calls.reallocate(server, "d1")
    monkeypatch.setattr(ports, "ALLOWED", (before.agent.rpc_port,))
    with pytest.raises(ResourceExhausted, match="NO_FREE_PORT"):
        await calls.reallocate(server, "d1", new_port=True, new_path=True)
    with pytest.raises(FailedPrecondition, match="REALLOCATION_NOT_FOUND"):
        await calls.commit_place(server, "d1")


async def test_a_port_that_is_kept_is_given_to_nobody_else(calls, monkeypatch) -> None:
    server, before = await calls.new_agent()
    kept = await calls.reallocate(server, "d1", new_port=True)
    monkeypatch.setattr(ports, "ALLOWED", (before.agent.rpc_port, kept.rpc_port))
    with pytest.raises(ResourceExhausted, match="NO_FREE_PORT"):
        await calls.new_agent()
    await calls.abort_place(server)
    _, other = await calls.new_agent()
    assert other.agent.rpc_port == kept.rpc_port


async def test_many_reallocations_at_once_give_each_agent_its_port(calls, monkeypatch) -> None:
    agents = [await calls.new_agent() for _ in range(10)]
    free = [port for port in range(40000, 40020) if port not in ports.ALLOWED]
    monkeypatch.setattr(ports, "ALLOWED", tuple(free))
    moving = [calls.reallocate(server, "d", new_port=True) for server, _ in agents]
    coming = [calls.new_agent() for _ in range(10)]
    places, others = await asyncio.gather(asyncio.gather(*moving), asyncio.gather(*coming))
    for server, _ in agents:
        await calls.commit_place(server, "d")
    assert sorted([one.rpc_port for one in places] + [one.agent.rpc_port for _, one in others]) == free


async def test_a_removed_agent_is_forgotten_and_a_new_one_is_another(calls) -> None:
    server, before = await calls.new_agent()
    for _ in range(2):
        await calls.remove(server)
    with pytest.raises(NotFound, match="AGENT_NOT_FOUND"):
        await calls.registry.agent(server)
    for call in (calls.begin(server), calls.reallocate(server, "d", new_port=True)):
        with pytest.raises(NotFound, match="AGENT_NOT_FOUND"):
            await call
    await calls.remove("nowhere")
    after = await calls.registry.allocate(server)
    assert after.created
    assert after.agent_token != before.agent_token
    assert await calls.facts(before.agent.id) == ["agent_registered", "agent_removed"]


async def test_another_version_that_answers_is_told_once(calls) -> None:
    server, before = await calls.new_agent()
    online, offline = agent_pb2.AGENT_STATUS_ONLINE, agent_pb2.AGENT_STATUS_OFFLINE
    now = before.agent.created_at.seconds
    for second, status, version in (
        (1, online, "0.1.0"),
        (2, online, "0.2.0"),
        (3, offline, ""),
        (4, online, "0.1.0"),
        (5, online, ""),
        (5, online, "0.2.0"),
    ):
        report = pb.HeartbeatReport(agent_id=before.agent.id, status=status, version=version)
        report.checked_at.seconds = now + second
        for _ in range(2):
            request = pb.ReportHeartbeatsRequest(reports=[report])
            await calls.registry.client("heartbeat").agents.ReportHeartbeats(request)
    kinds = await calls.facts(before.agent.id)
    assert kinds == [
        *("agent_registered", "agent_online", "agent_upgraded", "agent_offline", "agent_online", "agent_upgraded")
    ]
    upgrades = [event.agent_upgraded for event in calls.events if event.agent_upgraded.agent_id == before.agent.id]
    assert [(one.previous_version, one.version) for one in upgrades] == [("0.1.0", "0.2.0"), ("0.2.0", "0.1.0")]
    assert (await calls.registry.agent(server)).version == "0.1.0"


async def test_what_an_agent_was_installed_from_is_kept(calls) -> None:
    server, before = await calls.new_agent()
    facts = agent_pb2.AgentFacts(bundle_version="0.1.0", bundle_digest="ab" * 32, capabilities=["put_file", "x" * 999])
    report = pb.HeartbeatReport(agent_id=before.agent.id, status=agent_pb2.AGENT_STATUS_ONLINE, facts=facts)
    report.checked_at.seconds = before.agent.created_at.seconds + 1
    request = pb.ReportHeartbeatsRequest(reports=[report])
    await calls.registry.client("heartbeat").agents.ReportHeartbeats(request)
    seen = (await calls.registry.agent(server)).facts
    assert (seen.bundle_version, seen.bundle_digest) == ("0.1.0", "ab" * 32)
    assert list(seen.capabilities) == ["put_file", "x" * 256]


async def test_no_secret_of_a_rotation_is_stored_in_plain(calls) -> None:
    server, _ = await calls.new_agent()
    upcoming, place = await calls.begin(server), await calls.reallocate(server, new_path=True)
    stored = calls.registry.stored()
    for secret in (
        *(upcoming.agent_token, upcoming.secret_key, upcoming.private_key_pem.splitlines()[1]),
        place.rpc_path,
    ):
        assert secret.encode() not in stored
        assert secret.encode().hex().encode() not in stored
