"""Agents as they are known: state and connection data."""

from collections.abc import Sequence
from uuid import UUID

from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import InvalidArgument
from myx_kit.ids import parse_id
from myx_kit.pagination import clamp
from myx_registry.domain.agents import Agent, AgentEndpoint
from myx_registry.domain.names import is_id, is_name
from myx_registry.store import agents
from myx_registry.usecases.pages import Page, cursor
from myx_registry.usecases.references import agent_not_found, the_server
from myx_registry.usecases.vault import Vault

_AGENTS = "agents"
_ENDPOINTS = "endpoints"
MAX_BATCH = 500


class Agents:
    """The reading use cases on agents. A server is named by id or name everywhere."""

    def __init__(self, uow: UnitOfWork, vault: Vault) -> None:
        self._uow = uow
        self._vault = vault

    async def get(self, reference: str) -> Agent:
        """The agent of a server. Raises NotFound `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`."""
        async with self._uow.begin() as connection:
            server = await the_server(connection, reference)
            agent = await agents.find_agent(connection, server.id)
        if agent is None:
            raise agent_not_found(reference)
        return agent

    async def list(self, page_size: int, page_token: str) -> Page[Agent]:
        """A page of all agents, by server name. Raises InvalidArgument `PAGE_TOKEN_INVALID`."""
        after = cursor(page_token, _AGENTS)
        limit = clamp(page_size, 100, 1000)
        async with self._uow.begin() as connection:
            found = await agents.list_agents(connection, after_name=after, limit=limit + 1)
        items = found[:limit]
        return Page(_AGENTS, [agent for _, agent in items], [name for name, _ in items], more=len(found) > limit)

    async def endpoint(self, reference: str) -> AgentEndpoint:
        """Connection data of a server's agent. Raises NotFound `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`."""
        async with self._uow.begin() as connection:
            server = await the_server(connection, reference)
            sealed = await agents.find_endpoint(connection, server.id)
        if sealed is None:
            raise agent_not_found(reference)
        return self._vault.open_endpoint(sealed)

    async def endpoints_of(self, references: Sequence[str]) -> Sequence[AgentEndpoint | str]:
        """Connection data of the agents of many servers in their order, or the reason why there is none.

        Reasons: `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`. InvalidArgument for none or more than MAX_BATCH.
        """
        if not 0 < len(references) <= MAX_BATCH:
            message = f"servers must hold 1 to {MAX_BATCH} ids or names"
            raise InvalidArgument("ARGUMENT_INVALID", message, field="servers")
        ids = [UUID(one) for one in references if is_id(one)]
        names = [one for one in references if not is_id(one) and is_name(one)]
        async with self._uow.begin() as connection:
            found = await agents.find_endpoints(connection, ids, names)
            # Those without an agent are told apart from those that do not exist.
            known = await agents.find_names(connection, ids, names) if len(found) < len(references) else []
        answers: dict[str, AgentEndpoint | str] = {}
        for server_id, name in known:
            answers[str(server_id)] = answers[name] = "AGENT_NOT_FOUND"
        for sealed in found:
            opened = self._vault.open_endpoint(sealed)
            answers[str(opened.server_id)] = answers[opened.server_name] = opened
        return [answers.get(one, "SERVER_NOT_FOUND") for one in references]

    async def endpoints(self, page_size: int, page_token: str) -> Page[AgentEndpoint]:
        """A page of the connection data of all agents, by agent id. Raises InvalidArgument `PAGE_TOKEN_INVALID`."""
        key = cursor(page_token, _ENDPOINTS)
        after = parse_id(key, field="page_token") if key else None
        limit = clamp(page_size, 500, 1000)
        async with self._uow.begin() as connection:
            found = await agents.list_endpoints(connection, after_id=after, limit=limit + 1)
        items = [self._vault.open_endpoint(sealed) for sealed in found[:limit]]
        return Page(_ENDPOINTS, items, [str(item.agent_id) for item in items], more=len(found) > limit)
