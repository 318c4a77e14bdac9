"""Several replicas behind one channel: one that cannot serve is left."""

import pytest

from myx.registry.v1 import agent_service_pb2 as pb
from myx.registry.v1 import agent_service_pb2_grpc
from myx_kit.errors import Unavailable
from myx_kit.rpc.client import open_channel
from myx_kit.rpc.server import RpcServer
from myx_kit.rpc.serving import ServingWhile
from myx_testkit.wait import until

SERVICE = "myx.registry.v1.AgentService"


class Agents(agent_service_pb2_grpc.AgentServiceServicer):
    def __init__(self):
        self.calls = 0

    async def ListAgents(self, request, context):
        self.calls += 1
        return pb.ListAgentsResponse()


@pytest.fixture
async def pair(tls_dir):
    servers, servicers, addresses = [], [Agents(), Agents()], []
    for servicer in servicers:
        server = RpcServer("127.0.0.1:0", tls_dir, "registry")
        server.add(agent_service_pb2_grpc.add_AgentServiceServicer_to_server, servicer, SERVICE)
        addresses.append(await server.start())
        servers.append(server)
    channel = open_channel("ipv4:" + ",".join(addresses), tls_dir, "executor", "registry")
    yield servers, servicers, agent_service_pb2_grpc.AgentServiceStub(channel)
    await channel.close()
    for server in servers:
        await server.stop(1)


async def test_calls_are_spread_over_those_that_serve(pair):
    servers, servicers, stub = pair

    async def called():
        await stub.ListAgents(pb.ListAgentsRequest())
        return all(servicer.calls for servicer in servicers)

    await until(called)
    await servers[0].serving(now=False)

    async def left():
        before = servicers[0].calls
        for _ in range(6):
            await stub.ListAgents(pb.ListAgentsRequest())
        return servicers[0].calls == before

    await until(left)
    await servers[0].serving(now=True)
    before = servicers[0].calls

    async def back():
        await stub.ListAgents(pb.ListAgentsRequest())
        return servicers[0].calls > before

    await until(back)


async def test_one_that_stops_does_not_serve_again(pair):
    servers, _, _ = pair
    await servers[0].unready()
    await servers[0].serving(now=True)
    assert not servers[0].ready


async def test_a_server_leaves_after_two_failures_and_comes_back_after_a_success(pair):
    server = pair[0][0]
    failing = [Unavailable("DATABASE_UNAVAILABLE", "away")] * 2

    async def check():
        if failing:
            raise failing.pop()

    serving = ServingWhile(server, check)
    await serving.run_once()
    assert server.ready
    await serving.run_once()
    assert not server.ready
    await serving.run_once()
    assert server.ready
