"""Statements that change the identity of an agent. All run in the caller's transaction."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
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
    sealed_rpc_path: bytes
    next_rpc_port: int | None
    sealed_next_rpc_path: bytes | None


_NEXT_COLUMNS = (
    agent.c.rotation_id,
    agent.c.next_certificate_sha256,
    agent.c.next_certificate_pem,
    agent.c.sealed_next_agent_token,
    agent.c.sealed_next_secret_key,
    agent.c.sealed_next_private_key,
)
_NO_NEXT = {column.name: None for column in _NEXT_COLUMNS}
# In the order of LockedAgent.
_OTHER_COLUMNS = (
    agent.c.committed_rotation_id,
    agent.c.reallocation_request_id,
    agent.c.sealed_rpc_path,
    agent.c.next_rpc_port,
    agent.c.sealed_next_rpc_path,
)
_NO_MOVE = {"next_rpc_port": None, "sealed_next_rpc_path": None}


async def lock_agent(connection: AsyncConnection, server_id: UUID) -> LockedAgent | None:
    """The agent of a server, locked until the transaction ends."""
    query = (
        sa.select(*AGENT_COLUMNS, *_NEXT_COLUMNS, *_OTHER_COLUMNS)
        .where(agent.c.server_id == server_id)
        .with_for_update()
    )
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    count = len(AGENT_COLUMNS)
    upcoming, others = row[count : count + len(_NEXT_COLUMNS)], row[count + len(_NEXT_COLUMNS) :]
    return LockedAgent(agent_of(row[:count]), None if upcoming[0] is None else SealedNext(*upcoming), *others)


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


async def keep_place(
    connection: AsyncConnection, agent_id: UUID, rpc_port: int | None, sealed_rpc_path: bytes | None
) -> None:
    """Keeps where an agent is to move beside where it is; None: that stays, and nothing is kept."""
    statement = sa.update(agent).where(agent.c.id == agent_id)
    await connection.execute(statement.values(next_rpc_port=rpc_port, sealed_next_rpc_path=sealed_rpc_path))


async def move(
    connection: AsyncConnection, agent_id: UUID, rpc_port: int, sealed_rpc_path: bytes, request_id: str | None
) -> None:
    """Makes a place, its path sealed for the present one's column, the present one; remembers by which request."""
    place = {"rpc_port": rpc_port, "sealed_rpc_path": sealed_rpc_path}
    await _update(connection, agent_id, reallocation_request_id=request_id, **place, **_NO_MOVE)


async def delete_agent(connection: AsyncConnection, agent_id: UUID) -> None:
    """Forgets an agent."""
    await connection.execute(sa.delete(agent).where(agent.c.id == agent_id))


async def _update(connection: AsyncConnection, agent_id: UUID, **values: object) -> None:
    statement = sa.update(agent).where(agent.c.id == agent_id)
    await connection.execute(statement.values(revision=agent.c.revision + 1, **values))
