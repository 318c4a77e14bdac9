"""Statements on servers. All run in the caller's transaction."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_registry.domain.agents import Agent
from myx_registry.domain.servers import Server, ServerSpec, is_id, is_name
from myx_registry.models import agent, server
from myx_registry.store.agents import AGENT_COLUMNS, agent_of

_SERVER_COLUMNS = (
    server.c.id,
    server.c.name,
    server.c.address,
    server.c.labels,
    server.c.revision,
    server.c.created_at,
    server.c.updated_at,
)


async def insert_server(
    connection: AsyncConnection, new: Server, *, request_id: str | None, request_digest: bytes | None
) -> bool:
    """False when a server of this name or of this request id exists; it is visible to the next statement then."""
    result = await connection.execute(
        insert(server)
        .values(
            id=new.id,
            name=new.spec.name,
            address=new.spec.address,
            labels=dict(new.spec.labels),
            revision=new.revision,
            request_id=request_id,
            request_digest=request_digest,
            created_at=new.created_at,
            updated_at=new.updated_at,
        )
        .on_conflict_do_nothing()
        .returning(server.c.id)
    )
    return result.first() is not None


async def find_request(connection: AsyncConnection, request_id: str) -> tuple[UUID, bytes] | None:
    """Server id and content digest of the request that created a server."""
    query = sa.select(server.c.id, server.c.request_digest).where(server.c.request_id == request_id)
    row = (await connection.execute(query)).first()
    return None if row is None else (row.id, row.request_digest)


async def find_server(connection: AsyncConnection, reference: str, *, lock: bool = False) -> Server | None:
    """The server of an id or name. With `lock` nobody else changes it until the transaction ends."""
    query = sa.select(*_SERVER_COLUMNS).where(_matches(reference))
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    return None if row is None else _server_of(row)


async def find_server_with_agent(connection: AsyncConnection, reference: str) -> tuple[Server, Agent | None] | None:
    """A server and its agent by id or name."""
    row = (await connection.execute(_with_agent().where(_matches(reference)))).first()
    return None if row is None else _pair_of(row)


async def list_servers_with_agents(
    connection: AsyncConnection, *, after_name: str, limit: int
) -> list[tuple[Server, Agent | None]]:
    """Up to `limit` servers after a name, by name."""
    query = _with_agent().where(server.c.name > after_name).order_by(server.c.name).limit(limit)
    return [_pair_of(row) for row in (await connection.execute(query)).all()]


async def update_server(connection: AsyncConnection, changed: Server) -> bool:
    """Stores a server that `find_server` locked; False, and nothing changed, when another server has its name."""
    statement = (
        sa.update(server)
        .where(server.c.id == changed.id, server.c.revision == changed.revision - 1)
        .values(
            name=changed.spec.name,
            address=changed.spec.address,
            labels=dict(changed.spec.labels),
            revision=changed.revision,
            updated_at=changed.updated_at,
        )
    )
    try:
        async with connection.begin_nested():
            return (await connection.execute(statement)).rowcount == 1
    except IntegrityError:
        return False


async def delete_server(connection: AsyncConnection, server_id: UUID) -> bool:
    """Deletes a server with its agent; False when there is none."""
    return (await connection.execute(sa.delete(server).where(server.c.id == server_id))).rowcount == 1


def _matches(reference: str) -> sa.ColumnElement[bool]:
    if is_id(reference):
        return server.c.id == UUID(reference)
    return server.c.name == reference if is_name(reference) else sa.false()


def _with_agent() -> sa.Select[Any]:
    agent_columns = (column.label(f"agent_{column.name}") for column in AGENT_COLUMNS)
    return sa.select(*_SERVER_COLUMNS, *agent_columns).outerjoin_from(server, agent, agent.c.server_id == server.c.id)


def _server_of(row: Sequence[Any]) -> Server:
    server_id, name, address, labels, revision, created_at, updated_at = row
    return Server(
        id=server_id,
        spec=ServerSpec(name=name, address=address, labels=dict(sorted(labels.items()))),
        revision=revision,
        created_at=created_at,
        updated_at=updated_at,
    )


def _pair_of(row: Sequence[Any]) -> tuple[Server, Agent | None]:
    count = len(_SERVER_COLUMNS)
    found = None if row[count] is None else agent_of(row[count:])
    return _server_of(row[:count]), found
