"""Another port or path for an agent, kept for it until it listens there; and an agent's end."""

from collections.abc import Callable
from datetime import datetime

from myx_kit.db.outbox import Outbox
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import FailedPrecondition, InvalidArgument
from myx_registry.domain import ports
from myx_registry.domain.agents import Agent, Place
from myx_registry.store import agents, rotations, servers
from myx_registry.store.database import Connection
from myx_registry.store.locks import lock_ports
from myx_registry.store.rotations import LockedAgent
from myx_registry.usecases import events
from myx_registry.usecases.identities import new_path, no_free_port
from myx_registry.usecases.references import agent_not_found
from myx_registry.usecases.rotations import lock_agent
from myx_registry.usecases.vault import Vault


class Relocations:
    """Changes of an agent that take effect on its host by an installation, and are in force from their commit on."""

    def __init__(self, uow: UnitOfWork, outbox: Outbox, vault: Vault, now: Callable[[], datetime]) -> None:
        self._uow = uow
        self._outbox = outbox
        self._vault = vault
        self._now = now

    async def reallocate(
        self, reference: str, *, port: bool, path: bool, request_id: str | None
    ) -> tuple[Agent, Place]:
        """The agent, where it stays, and the place that is kept for it: the same one until it is committed or given up.
        Of a request that was the last one to be committed: where the agent is.

        Raises NotFound `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`, ResourceExhausted `NO_FREE_PORT`, InvalidArgument
        `REALLOCATION_EMPTY`.
        """
        if not (port or path):
            raise InvalidArgument("REALLOCATION_EMPTY", "Ask for a new port, a new path or both.", field="new_port")
        async with self._uow.begin() as connection:
            await lock_ports(connection)
            found = await lock_agent(connection, reference)
            present, kept = self._present(found), self._kept(found)
            if request_id is not None and found.reallocation_request_id == request_id:
                return found.agent, present
            next_port = (found.next_rpc_port or await _free_port(connection)) if port else None
            next_path = (kept.rpc_path if found.sealed_next_rpc_path else new_path()) if path else None
            sealed = None if next_path is None else self._vault.seal_next_path(found.agent.id, next_path)
            await rotations.keep_place(connection, found.agent.id, next_port, sealed)
        return found.agent, Place(next_port or present.rpc_port, next_path or present.rpc_path)

    async def commit(self, reference: str, request_id: str | None) -> Agent:
        """The agent at the place that was kept for it; a repetition changes nothing.

        Raises NotFound `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`, FailedPrecondition `REALLOCATION_NOT_FOUND`.
        """
        async with self._uow.begin() as connection:
            found = await lock_agent(connection, reference)
            if found.next_rpc_port is not None or found.sealed_next_rpc_path is not None:
                place = self._kept(found)
                sealed = self._vault.seal_path(found.agent.id, place.rpc_path)
                await rotations.move(connection, found.agent.id, place.rpc_port, sealed, request_id)
                event = events.agent_rotated(found.agent, self._now())
                await self._outbox.add(connection, "agent", "rotated", str(found.agent.id), event)
            elif request_id is None or found.reallocation_request_id != request_id:
                message = "No new port or path is kept for this agent; ask for one."
                raise FailedPrecondition("REALLOCATION_NOT_FOUND", message, server=reference[:80])
            agent = await agents.find_agent(connection, found.agent.server_id)
        if agent is None:
            raise agent_not_found(reference)
        return agent

    async def abort(self, reference: str) -> None:
        """Forgets the place that was kept; of a server or agent that is gone there is none."""
        async with self._uow.begin() as connection:
            server = await servers.find_server(connection, reference)
            found = None if server is None else await rotations.lock_agent(connection, server.id)
            if found is not None:
                await rotations.keep_place(connection, found.agent.id, None, None)

    def _present(self, found: LockedAgent) -> Place:
        return Place(found.agent.rpc_port, self._vault.open_path(found.agent.id, found.sealed_rpc_path))

    def _kept(self, found: LockedAgent) -> Place:
        """What is not kept is as it is now."""
        present, sealed = self._present(found), found.sealed_next_rpc_path
        path = present.rpc_path if sealed is None else self._vault.open_next_path(found.agent.id, sealed)
        return Place(found.next_rpc_port or present.rpc_port, path)

    async def remove(self, reference: str) -> None:
        """Forgets the agent of a server; of a server or agent that is gone nothing changes."""
        async with self._uow.begin() as connection:
            server = await servers.find_server(connection, reference)
            found = None if server is None else await rotations.lock_agent(connection, server.id)
            if found is not None:
                await rotations.delete_agent(connection, found.agent.id)
                event = events.agent_removed(found.agent, self._now())
                await self._outbox.add(connection, "agent", "removed", str(found.agent.id), event)


async def _free_port(connection: Connection) -> int:
    found = ports.candidates(1, await agents.ports_in_use(connection))
    if not found:
        raise no_free_port()
    return found[0]
