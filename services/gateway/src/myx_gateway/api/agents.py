"""/agents and /servers/{server}/agent"""

from myx.registry.v1 import agent_service_pb2 as registry
from myx.registry.v1 import server_service_pb2
from myx_gateway.api.dependencies import AccessDep, ClientsDep, PageSize, PageToken, ServerPath
from myx_gateway.api.routes import OperationRouter
from myx_gateway.clients import Clients
from myx_gateway.convert import agents as convert
from myx_gateway.schemas.agents import Agent, AgentPage

router = OperationRouter(tags=["agents"])


@router.operation("agents.list")
async def list_agents(
    clients: ClientsDep, access: AccessDep, page_size: PageSize = 100, page_token: PageToken = ""
) -> AgentPage:
    """All agents by server name."""
    selector = await access.narrow("")
    if selector:
        return await _agents_of(clients, selector, page_size, page_token)
    answer = await clients.agents.ListAgents(registry.ListAgentsRequest(page_size=page_size, page_token=page_token))
    return AgentPage(
        items=[convert.agent(item) for item in answer.agents], next_page_token=answer.next_page_token or None
    )


@router.operation("agents.get")
async def get_agent(clients: ClientsDep, server: ServerPath) -> Agent:
    """The agent of a server."""
    answer = await clients.agents.GetAgent(registry.GetAgentRequest(server=server))
    return convert.agent(answer.agent)


async def _agents_of(clients: Clients, selector: str, page_size: int, page_token: str) -> AgentPage:
    """The agents of the servers that a selector matches."""
    request = server_service_pb2.ListServersRequest(page_size=page_size, page_token=page_token)
    request.selector = f"({selector}) and status!=none"
    answer = await clients.servers.ListServers(request)
    return AgentPage(
        items=[convert.agent(server.agent) for server in answer.servers if server.HasField("agent")],
        next_page_token=answer.next_page_token or None,
    )
