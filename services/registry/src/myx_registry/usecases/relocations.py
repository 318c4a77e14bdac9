"""Another port or path for an agent, and its end."""

from collections.abc import Callable
from datetime import datetime

from myx_kit.db.outbox import Outbox
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import InvalidArgument
from myx_registry.domain import ports
from myx_registry.domain.agents import Agent
from myx_registry.store import agents, rotations, servers
from myx_registry.store.database import Connection
from myx_registry.usecases import events
from myx_registry.usecases.identities import BLIND_TRIES, INFORMED_TRIES, new_path, no_free_port
from myx_registry.usecases.references import agent_not_found
from myx_registry.usecases.rotations import lock_agent
from myx_registry.usecases.vault import Vault


class Relocations:
    """Changes of an agent that take effect on its host by an installation."""

    def __init__(self, uow: UnitOfWork, outbox: Outbox, vault: Vault, now: Callable[[], datetime]) -> None:
        self._uow = uow
        self._outbox = outbox
        self._vault = vault
        self._now = now

    async def reallocate(self, reference: str, *, port: bool, path: bool, request_id: str | None) -> Agent:
        """The agent at its new place; the request that was the last one to do so changes nothing when it comes again.

        Raises NotFound `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`, ResourceExhausted `NO_FREE_PORT`, InvalidArgument
        `REALLOCATION_EMPTY`.
        """
        if not (port or path):
            raise InvalidArgument("REALLOCATION_EMPTY", "Ask for a new port, a new path or both.", field="new_port")
        async with self._uow.begin() as connection:
            found = await lock_agent(connection, reference)
            if request_id is None or found.reallocation_request_id != request_id:
                if port:
                    await _move(connection, found.agent)
                sealed_path = self._vault.seal_path(found.agent.id, new_path()) if path else None
                await rotations.note_reallocation(connection, found.agent.id, request_id, sealed_path)
                event = events.agent_rotated(found.agent, self._now())
                await self._outbox.add(connection, "agent", "rotated", str(found.agent.id), event)
            agent = await agents.find_agent(connection, found.agent.server_id)
        if agent is None:
            raise agent_not_found(reference)
        return agent

    async def remove(self, reference: str) -> None:
        """Forgets the agent of a server; of a server or agent that is gone nothing changes."""
        async with self._uow.begin() as connection:
            server = await servers.find_server(connection, reference)
            found = None if server is None else await rotations.lock_agent(connection, server.id)
            if found is not None:
                await rotations.delete_agent(connection, found.agent.id)
                event = events.agent_removed(found.agent, self._now())
                await self._outbox.add(connection, "agent", "removed", str(found.agent.id), event)


async def _move(connection: Connection, agent: Agent) -> None:
    blind = [port for port in ports.candidates(BLIND_TRIES) if port != agent.rpc_port]
    if await rotations.move_to_free_port(connection, agent.id, blind) is not None:
        return
    informed = ports.candidates(INFORMED_TRIES, await agents.ports_in_use(connection))
    if await rotations.move_to_free_port(connection, agent.id, informed) is None:
        raise no_free_port()
