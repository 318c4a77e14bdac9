"""gRPC servicers: decode, one use case, encode."""
# ruff: noqa: N802 - the methods have the names of the protos

from typing import Any, Final, TypeAlias

import grpc.aio

from myx.registry.v1 import agent_service_pb2 as agent_pb
from myx.registry.v1 import agent_service_pb2_grpc, server_service_pb2_grpc
from myx.registry.v1 import server_service_pb2 as server_pb
from myx_registry import convert
from myx_registry.domain.servers import checked_request_id, checked_spec
from myx_registry.usecases.agents import Agents
from myx_registry.usecases.heartbeats import Heartbeats
from myx_registry.usecases.identities import Identities
from myx_registry.usecases.servers import Servers

SERVER_SERVICE: Final = "myx.registry.v1.ServerService"
AGENT_SERVICE: Final = "myx.registry.v1.AgentService"

# Callers by the name in their certificate; methods that are not named are open to every service.
ALLOWED: Final[dict[str, set[str]]] = {
    f"/{SERVER_SERVICE}/CreateServer": {"gateway", "executor", "standalone"},
    f"/{SERVER_SERVICE}/UpdateServer": {"gateway", "executor", "standalone"},
    f"/{SERVER_SERVICE}/DeleteServer": {"gateway", "executor", "standalone"},
    f"/{AGENT_SERVICE}/AllocateAgent": {"executor", "standalone"},
    f"/{AGENT_SERVICE}/GetAgentEndpoint": {"executor"},
    f"/{AGENT_SERVICE}/ListAgentEndpoints": {"heartbeat"},
    f"/{AGENT_SERVICE}/ReportHeartbeats": {"heartbeat"},
}

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class ServerServicer(server_service_pb2_grpc.ServerServiceServicer):
    """Managed hosts."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def CreateServer(self, request: server_pb.CreateServerRequest, _: Context) -> server_pb.CreateServerResponse:
        spec = checked_spec(request.name, request.address, request.labels)
        server, agent = await self._servers.create(spec, checked_request_id(request.request_id))
        return server_pb.CreateServerResponse(server=convert.server_message(server, agent))

    async def GetServer(self, request: server_pb.GetServerRequest, _: Context) -> server_pb.GetServerResponse:
        server, agent = await self._servers.get(request.server)
        return server_pb.GetServerResponse(server=convert.server_message(server, agent))

    async def ListServers(self, request: server_pb.ListServersRequest, _: Context) -> server_pb.ListServersResponse:
        page = await self._servers.list(request.page_size, request.page_token)
        messages = convert.fitting(convert.server_message(server, agent) for server, agent in page.items)
        return server_pb.ListServersResponse(servers=messages, next_page_token=page.token_after(len(messages)))

    async def UpdateServer(self, request: server_pb.UpdateServerRequest, _: Context) -> server_pb.UpdateServerResponse:
        change = convert.server_change(request)
        server, agent = await self._servers.update(request.server, change, request.etag)
        return server_pb.UpdateServerResponse(server=convert.server_message(server, agent))

    async def DeleteServer(self, request: server_pb.DeleteServerRequest, _: Context) -> server_pb.DeleteServerResponse:
        await self._servers.delete(request.server)
        return server_pb.DeleteServerResponse()


class AgentServicer(agent_service_pb2_grpc.AgentServiceServicer):
    """Agents: identity, connection data, last known state."""

    def __init__(self, agents: Agents, identities: Identities, heartbeats: Heartbeats) -> None:
        self._agents = agents
        self._identities = identities
        self._heartbeats = heartbeats

    async def GetAgent(self, request: agent_pb.GetAgentRequest, _: Context) -> agent_pb.GetAgentResponse:
        return agent_pb.GetAgentResponse(agent=convert.agent_message(await self._agents.get(request.server)))

    async def ListAgents(self, request: agent_pb.ListAgentsRequest, _: Context) -> agent_pb.ListAgentsResponse:
        page = await self._agents.list(request.page_size, request.page_token)
        messages = convert.fitting(convert.agent_message(agent) for agent in page.items)
        return agent_pb.ListAgentsResponse(agents=messages, next_page_token=page.token_after(len(messages)))

    async def AllocateAgent(self, request: agent_pb.AllocateAgentRequest, _: Context) -> agent_pb.AllocateAgentResponse:
        return convert.allocation_message(await self._identities.allocate(request.server))

    async def GetAgentEndpoint(
        self, request: agent_pb.GetAgentEndpointRequest, _: Context
    ) -> agent_pb.GetAgentEndpointResponse:
        endpoint = await self._agents.endpoint(request.server)
        return agent_pb.GetAgentEndpointResponse(endpoint=convert.endpoint_message(endpoint))

    async def ListAgentEndpoints(
        self, request: agent_pb.ListAgentEndpointsRequest, _: Context
    ) -> agent_pb.ListAgentEndpointsResponse:
        page = await self._agents.endpoints(request.page_size, request.page_token)
        messages = [convert.endpoint_message(endpoint) for endpoint in page.items]
        token = page.token_after(len(messages))
        return agent_pb.ListAgentEndpointsResponse(endpoints=messages, next_page_token=token)

    async def ReportHeartbeats(
        self, request: agent_pb.ReportHeartbeatsRequest, _: Context
    ) -> agent_pb.ReportHeartbeatsResponse:
        unknown = await self._heartbeats.report(convert.heartbeat_reports(request.reports))
        return agent_pb.ReportHeartbeatsResponse(unknown_agent_ids=[str(agent_id) for agent_id in unknown])
