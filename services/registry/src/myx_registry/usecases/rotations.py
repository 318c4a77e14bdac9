"""A new token, secret key and certificate for an agent, with a time in which the old and the new ones are right."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from myx_kit.db.outbox import Outbox
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import FailedPrecondition
from myx_registry.domain.agents import Agent, NextIdentity
from myx_registry.store import agents, rotations, servers
from myx_registry.store.database import Connection
from myx_registry.store.rotations import LockedAgent
from myx_registry.usecases import events
from myx_registry.usecases.identities import next_identity
from myx_registry.usecases.references import agent_not_found, the_server
from myx_registry.usecases.vault import Vault


class Rotations:
    """Begin, then hand the next identity to the agent, then commit; or abort."""

    def __init__(self, uow: UnitOfWork, outbox: Outbox, vault: Vault, now: Callable[[], datetime]) -> None:
        self._uow = uow
        self._outbox = outbox
        self._vault = vault
        self._now = now

    async def begin(self, reference: str) -> NextIdentity:
        """The next identity, the same until it is committed or aborted. From now on its certificate is right too,
        which an `agent.rotated` event tells whoever keeps endpoints.

        Raises NotFound `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`.
        """
        made = next_identity()
        async with self._uow.begin() as connection:
            found = await lock_agent(connection, reference)
            if found.next is not None:
                return self._vault.open_next(found.agent.id, found.next)
            await rotations.begin(connection, found.agent.id, self._vault.seal_next(found.agent.id, made))
            await self._tell(connection, found.agent)
        return made

    async def commit(self, reference: str, rotation_id: UUID) -> Agent:
        """The agent, whose present identity is now the next one; a repetition changes nothing.

        Raises NotFound `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`, FailedPrecondition `ROTATION_NOT_FOUND`.
        """
        async with self._uow.begin() as connection:
            found = await lock_agent(connection, reference)
            if found.next is not None and found.next.rotation_id == rotation_id:
                upcoming = self._vault.open_next(found.agent.id, found.next)
                await rotations.commit(connection, found.agent.id, self._vault.seal_present(found.agent.id, upcoming))
                await self._tell(connection, found.agent)
            elif found.committed_rotation_id != rotation_id:
                raise FailedPrecondition(
                    "ROTATION_NOT_FOUND", "There is no such rotation under way; begin a new one.", server=reference[:80]
                )
            return await _agent(connection, found.agent, reference)

    async def abort(self, reference: str, rotation_id: UUID) -> None:
        """Forgets the next identity, if it is of this rotation; of a server or agent that is gone there is none."""
        async with self._uow.begin() as connection:
            server = await servers.find_server(connection, reference)
            found = None if server is None else await rotations.lock_agent(connection, server.id)
            if found is not None and found.next is not None and found.next.rotation_id == rotation_id:
                await rotations.forget_next(connection, found.agent.id)
                await self._tell(connection, found.agent)

    async def _tell(self, connection: Connection, before: Agent) -> None:
        event = events.agent_rotated(before, self._now())
        await self._outbox.add(connection, "agent", "rotated", str(before.id), event)


async def lock_agent(connection: Connection, reference: str) -> LockedAgent:
    """The agent of a server, locked. Raises NotFound `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`."""
    server = await the_server(connection, reference)
    found = await rotations.lock_agent(connection, server.id)
    if found is None:
        raise agent_not_found(reference)
    return found


async def _agent(connection: Connection, locked: Agent, reference: str) -> Agent:
    agent = await agents.find_agent(connection, locked.server_id)
    if agent is None:
        raise agent_not_found(reference)
    return agent
