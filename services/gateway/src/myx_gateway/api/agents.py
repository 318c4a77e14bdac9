"""/agents and /servers/{server}/agent"""

from myx.registry.v1 import agent_service_pb2 as registry
from myx_gateway.api.dependencies import ClientsDep, PageSize, PageToken, ServerPath
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import agents as convert
from myx_gateway.schemas.agents import Agent, AgentPage

router = OperationRouter(tags=["agents"])


@router.operation("agents.list")
async def list_agents(clients: ClientsDep, page_size: PageSize = 100, page_token: PageToken = "") -> AgentPage:
    """All agents by server name."""
    answer = await clients.agents.ListAgents(registry.ListAgentsRequest(page_size=page_size, page_token=page_token))
    return AgentPage(
        items=[convert.agent(item) for item in answer.agents], next_page_token=answer.next_page_token or None
    )


@router.operation("agents.get")
async def get_agent(clients: ClientsDep, server: ServerPath) -> Agent:
    """The agent of a server."""
    answer = await clients.agents.GetAgent(registry.GetAgentRequest(server=server))
    return convert.agent(answer.agent)
