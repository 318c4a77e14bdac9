"""Statements that change the identity of an agent. All run in the caller's transaction."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_registry.domain.agents import Agent
from myx_registry.models import agent
from myx_registry.store.agents import AGENT_COLUMNS, agent_of


@dataclass(frozen=True, slots=True)
class SealedNext:
    """The identity that a rotation will bring, its secrets sealed."""

    rotation_id: UUID
    certificate_sha256: str
    certificate_pem: str
    agent_token: bytes
    secret_key: bytes
    private_key: bytes


@dataclass(frozen=True, slots=True)
class LockedAgent:
    """An agent that nobody else changes, with what is known of its rotations."""

    agent: Agent
    next: SealedNext | None
    committed_rotation_id: UUID | None
    reallocation_request_id: str | None


_NEXT_COLUMNS = (
    agent.c.rotation_id,
    agent.c.next_certificate_sha256,
    agent.c.next_certificate_pem,
    agent.c.sealed_next_agent_token,
    agent.c.sealed_next_secret_key,
    agent.c.sealed_next_private_key,
)
_NO_NEXT = {column.name: None for column in _NEXT_COLUMNS}


async def lock_agent(connection: AsyncConnection, server_id: UUID) -> LockedAgent | None:
    """The agent of a server, locked until the transaction ends."""
    query = (
        sa.select(*AGENT_COLUMNS, *_NEXT_COLUMNS, agent.c.committed_rotation_id, agent.c.reallocation_request_id)
        .where(agent.c.server_id == server_id)
        .with_for_update()
    )
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    count = len(AGENT_COLUMNS)
    upcoming, (committed, reallocation) = row[count : count + len(_NEXT_COLUMNS)], row[count + len(_NEXT_COLUMNS) :]
    return LockedAgent(
        agent=agent_of(row[:count]),
        next=None if upcoming[0] is None else SealedNext(*upcoming),
        committed_rotation_id=committed,
        reallocation_request_id=reallocation,
    )


async def begin(connection: AsyncConnection, agent_id: UUID, upcoming: SealedNext) -> None:
    """Keeps the next identity beside the present one."""
    await _update(
        connection,
        agent_id,
        rotation_id=upcoming.rotation_id,
        next_certificate_sha256=upcoming.certificate_sha256,
        next_certificate_pem=upcoming.certificate_pem,
        sealed_next_agent_token=upcoming.agent_token,
        sealed_next_secret_key=upcoming.secret_key,
        sealed_next_private_key=upcoming.private_key,
    )


async def commit(connection: AsyncConnection, agent_id: UUID, present: SealedNext) -> None:
    """Makes an identity, sealed for the present one's columns, the present one."""
    await _update(
        connection,
        agent_id,
        certificate_sha256=present.certificate_sha256,
        certificate_pem=present.certificate_pem,
        sealed_agent_token=present.agent_token,
        sealed_secret_key=present.secret_key,
        sealed_private_key=present.private_key,
        committed_rotation_id=present.rotation_id,
        **_NO_NEXT,
    )


async def forget_next(connection: AsyncConnection, agent_id: UUID) -> None:
    """Forgets the next identity."""
    await _update(connection, agent_id, **_NO_NEXT)


async def move_to_free_port(connection: AsyncConnection, agent_id: UUID, ports: Iterable[int]) -> int | None:
    """The first of the ports that no agent has, which this agent now has; None when all are taken."""
    for port in ports:
        statement = sa.update(agent).where(agent.c.id == agent_id).values(rpc_port=port)
        try:
            async with connection.begin_nested():
                await connection.execute(statement)
        except IntegrityError:
            continue
        return port
    return None


async def note_reallocation(
    connection: AsyncConnection, agent_id: UUID, request_id: str | None, sealed_rpc_path: bytes | None
) -> None:
    """Remembers by which request an agent was reallocated; a path replaces the present one."""
    path = {} if sealed_rpc_path is None else {"sealed_rpc_path": sealed_rpc_path}
    await _update(connection, agent_id, reallocation_request_id=request_id, **path)


async def delete_agent(connection: AsyncConnection, agent_id: UUID) -> None:
    """Forgets an agent."""
    await connection.execute(sa.delete(agent).where(agent.c.id == agent_id))


async def _update(connection: AsyncConnection, agent_id: UUID, **values: object) -> None:
    statement = sa.update(agent).where(agent.c.id == agent_id)
    await connection.execute(statement.values(revision=agent.c.revision + 1, **values))
