"""The cache of the registry's answers."""

import asyncio
from collections import OrderedDict

import pytest

from myx.events.v1.events_pb2 import AgentOnline, Event, ServerDeleted, ServerUpdated
from myx.registry.v1.agent_pb2 import AgentEndpoint
from myx.registry.v1.agent_service_pb2 import GetAgentEndpointResponse
from myx_executor.adapters import endpoints
from myx_executor.adapters.endpoints import EndpointCache
from myx_kit.errors import FailedPrecondition, NotFound, Unavailable


class FakeStub:
    def __init__(self):
        self.calls = []
        self.error = None
        self.port = 1
        self.quarantined = False

    async def GetAgentEndpoint(self, request, timeout):
        self.calls.append(request.server)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        endpoint = AgentEndpoint(
            server_id="id-1",
            server_name="web",
            agent_id="a-1",
            address="h",
            rpc_port=self.port,
            certificate_sha256="00",
            quarantined=self.quarantined,
        )
        return GetAgentEndpointResponse(endpoint=endpoint)


@pytest.fixture
def stub():
    return FakeStub()


@pytest.fixture
def cache(stub):
    return EndpointCache(stub, 60)


async def test_one_call_serves_all_who_ask_together_and_later_by_name_or_id(cache, stub):
    found = await asyncio.gather(*(cache.endpoint("web") for _ in range(20)))
    assert len({id(one) for one in found}) == 1
    assert (await cache.resolve("id-1")).server_name == "web"
    assert stub.calls == ["web"]


@pytest.mark.parametrize(
    "event",
    [
        Event(agent_online=AgentOnline(agent_id="a-1", server_id="id-1")),
        Event(server_updated=ServerUpdated(server_id="id-1", name="web")),
        Event(server_deleted=ServerDeleted(server_id="id-1", name="web")),
    ],
)
async def test_an_event_makes_it_ask_again(cache, stub, event):
    await cache.endpoint("web")
    stub.port = 2
    await cache.on_event(event)
    assert (await cache.endpoint("web")).target.rpc_port == 2
    assert len(stub.calls) == 2


async def test_a_stale_answer_serves_while_the_registry_is_away(cache, stub):
    await cache.endpoint("web")
    cache.expire_all()
    stub.error = Unavailable("SERVICE_UNAVAILABLE", "away")
    assert (await cache.endpoint("web")).target.rpc_port == 1
    with pytest.raises(Unavailable):
        await cache.endpoint("other")


async def test_a_deleted_server_is_not_served_from_memory(cache, stub):
    await cache.endpoint("web")
    await cache.on_event(Event(server_deleted=ServerDeleted(server_id="id-1", name="web")))
    stub.error = Unavailable("SERVICE_UNAVAILABLE", "away")
    with pytest.raises(Unavailable):
        await cache.endpoint("web")


async def test_a_server_without_an_agent_is_told_apart(cache, stub):
    stub.error = NotFound("AGENT_NOT_FOUND", "no agent")
    with pytest.raises(FailedPrecondition):
        await cache.endpoint("web")
    stub.error = NotFound("SERVER_NOT_FOUND", "no server")
    results = await asyncio.gather(cache.endpoint("web"), cache.endpoint("web"), return_exceptions=True)
    assert [type(result) for result in results] == [NotFound, NotFound]


async def test_a_quarantine_is_asked_for_anew_each_time(cache, stub):
    stub.quarantined = True
    assert (await cache.endpoint("web")).quarantined
    stub.quarantined = False
    assert not (await cache.endpoint("web")).quarantined
    await cache.endpoint("web")
    assert len(stub.calls) == 2


async def test_a_quarantine_holds_while_the_registry_is_away(cache, stub):
    stub.quarantined = True
    await cache.endpoint("web")
    stub.error = Unavailable("SERVICE_UNAVAILABLE", "away")
    assert (await cache.endpoint("web")).quarantined


class Fleet(FakeStub):
    """`host-N` is the name of the server `id-N`, unless it was renamed."""

    def __init__(self):
        super().__init__()
        self.renamed = {}

    async def GetAgentEndpoint(self, request, timeout):
        self.calls.append(request.server)
        number = self.renamed.get(request.server, request.server.rpartition("-")[2])
        endpoint = AgentEndpoint(server_id=f"id-{number}", server_name=f"host-{number}", rpc_port=self.port)
        return GetAgentEndpointResponse(endpoint=endpoint)


class Looked(OrderedDict):
    """Nobody goes through all of it."""

    def values(self):
        raise AssertionError

    items = values


async def test_an_event_and_a_failed_call_touch_the_entries_of_their_server_only(monkeypatch):
    monkeypatch.setattr(endpoints, "_MAX_ENTRIES", 20)
    fleet = Fleet()
    cache = EndpointCache(fleet, 60)
    cache._entries = Looked()
    for number in range(12):
        await cache.endpoint(f"host-{number}")
    # The oldest two are forgotten.
    assert len(cache._entries) == 20
    assert sorted(cache._names) == sorted(f"id-{number}" for number in range(2, 12))
    fleet.calls.clear()
    cache.expire("host-5")
    await cache.on_event(Event(agent_online=AgentOnline(agent_id="a", server_id="id-6")))
    await cache.on_event(Event(server_deleted=ServerDeleted(server_id="id-7", name="host-7")))
    # Its name was another's before.
    await cache.on_event(Event(server_updated=ServerUpdated(server_id="id-8", name="host-9")))
    for number in range(2, 12):
        await cache.endpoint(f"id-{number}")
    assert fleet.calls == ["id-5", "id-6", "id-7", "id-8"]
    fleet.calls.clear()
    for number in range(2, 12):
        await cache.endpoint(f"host-{number}")
    assert fleet.calls == ["host-9"]


async def test_a_name_that_is_another_servers_now_is_not_dropped_with_the_one_that_had_it():
    fleet = Fleet()
    cache = EndpointCache(fleet, 0)
    await cache.endpoint("host-1")
    fleet.renamed["host-1"] = 2
    assert (await cache.resolve("host-1")).server_id == "id-2"
    await cache.on_event(Event(server_deleted=ServerDeleted(server_id="id-1", name="host-1")))
    assert set(cache._entries) == {"host-1", "host-2", "id-2"}
