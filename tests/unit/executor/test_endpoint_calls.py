"""Questions to the registry: one by one when there are few, together when many wait."""

import asyncio

import pytest

from myx.registry.v1.agent_pb2 import AgentEndpoint
from myx.registry.v1.agent_service_pb2 import (
    AgentEndpointAnswer,
    BatchGetAgentEndpointsResponse,
    GetAgentEndpointResponse,
)
from myx_executor.adapters.endpoint_calls import EndpointCalls
from myx_kit.errors import Internal, NotFound, Unavailable


class Registry:
    """Answers when `go` is set; servers whose names begin with "no" do not exist."""

    def __init__(self):
        self.go = asyncio.Event()
        self.singles = []
        self.batches = []
        self.batch_error = None

    async def GetAgentEndpoint(self, request, timeout):
        self.singles.append(request.server)
        await self.go.wait()
        return GetAgentEndpointResponse(endpoint=AgentEndpoint(server_name=request.server))

    async def BatchGetAgentEndpoints(self, request, timeout):
        self.batches.append(list(request.servers))
        await self.go.wait()
        if self.batch_error is not None:
            raise self.batch_error
        return BatchGetAgentEndpointsResponse(answers=[self.answer(server) for server in request.servers])

    def answer(self, server):
        if server.startswith("no"):
            return AgentEndpointAnswer(reason="SERVER_NOT_FOUND")
        return AgentEndpointAnswer(endpoint=AgentEndpoint(server_name=server))


@pytest.fixture
def registry():
    return Registry()


async def ask(registry, calls, names, cancelled=()):
    """What each name comes to; those in `cancelled` are given up before the registry answers."""
    tasks = {name: asyncio.create_task(calls.ask(name)) for name in names}
    await asyncio.sleep(0)
    for name in cancelled:
        tasks[name].cancel()
    registry.go.set()
    return dict(zip(names, await asyncio.gather(*tasks.values(), return_exceptions=True), strict=True))


async def test_what_waits_is_asked_for_in_one_call(registry):
    names = [f"s{number}" for number in range(100)] + ["none"]

    found = await ask(registry, EndpointCalls(registry), names)

    assert all(found[name].server_name == name for name in names[:-1])
    assert isinstance(found["none"], NotFound)
    assert [len(batch) for batch in registry.batches] == [94]
    assert len(registry.singles) == 7


async def test_few_are_asked_for_one_by_one(registry):
    await ask(registry, EndpointCalls(registry), ["a", "b"])
    assert (registry.singles, registry.batches) == (["a", "b"], [])


@pytest.mark.parametrize("gone", [["s0"], ["s4"], ["s5"], ["s4", "s5", "s6"], ["s0", "s1", "s2", "s3"]])
async def test_one_who_gives_up_holds_up_nobody(registry, gone):
    calls = EndpointCalls(registry)
    names = [f"s{number}" for number in range(10)]

    found = await ask(registry, calls, names, cancelled=gone)

    assert {name for name in names if isinstance(found[name], AgentEndpoint)} == set(names) - set(gone)
    assert (await calls.ask("later")).server_name == "later"


async def test_who_leads_may_give_up_on_the_way(registry):
    calls = EndpointCalls(registry)
    names = [f"s{number}" for number in range(8)]
    tasks = [asyncio.create_task(calls.ask(name)) for name in names]
    await asyncio.sleep(0)
    tasks[0].cancel()
    while not registry.batches:
        await asyncio.sleep(0)
    leader = names.index(registry.batches[0][0])
    tasks[leader].cancel()
    await asyncio.sleep(0)
    registry.go.set()

    found = await asyncio.gather(*tasks, return_exceptions=True)

    assert sum(isinstance(one, AgentEndpoint) for one in found) == len(names) - 2


async def test_a_registry_that_is_away_is_so_for_all_who_waited(registry):
    registry.batch_error = Unavailable("SERVICE_UNAVAILABLE", "away")
    found = await ask(registry, EndpointCalls(registry), [f"s{number}" for number in range(20)])
    (batch,) = registry.batches
    assert len(batch) == 13
    assert {name for name, answer in found.items() if isinstance(answer, Unavailable)} == set(batch)


async def test_a_registry_of_the_release_before_is_asked_one_by_one(registry):
    registry.batch_error = Internal("UNIMPLEMENTED", "no such method")
    found = await ask(registry, EndpointCalls(registry), [f"s{number}" for number in range(20)])
    assert registry.batches
    assert all(isinstance(one, AgentEndpoint) for one in found.values())
