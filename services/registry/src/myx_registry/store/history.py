"""Statements on the history of agents. All run in the caller's transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_kit.ids import new_id
from myx_registry.domain.agents import AgentStatus
from myx_registry.domain.heartbeats import FactChange, StatusChange
from myx_registry.models import agent_transition, fact_change
from myx_registry.store.documents import attempts_document, attempts_of

# Rows that one turn removes of each table: a moment's work.
_PRUNE_ROWS = 5000
# The same of what is too much, which is looked for less often.
_SURPLUS_ROWS = 50_000


async def add_status_changes(connection: AsyncConnection, changes: Iterable[StatusChange]) -> None:
    """Stores them in their order."""
    rows = [
        {
            "id": new_id(),
            "agent_id": one.agent_id,
            "at": one.at,
            "before": one.before.value,
            "after": one.after.value,
            "cause": one.cause,
            "message": one.message,
            "attempts": attempts_document(one.attempts),
        }
        for one in changes
    ]
    if rows:
        await connection.execute(sa.insert(agent_transition), rows)


async def add_fact_changes(connection: AsyncConnection, changes: Iterable[FactChange]) -> None:
    """Stores them in their order."""
    rows = [
        {
            "id": new_id(),
            "agent_id": one.agent_id,
            "at": one.at,
            "fact": one.fact,
            "before": one.before,
            "after": one.after,
        }
        for one in changes
    ]
    if rows:
        await connection.execute(sa.insert(fact_change), rows)


async def status_changes(
    connection: AsyncConnection, agent_id: UUID, *, before_id: UUID | None, limit: int
) -> list[tuple[UUID, StatusChange]]:
    """Up to `limit` changes of an agent before an id, newest first, each with its id."""
    table = agent_transition.c
    columns = (table.id, table.at, table.before, table.after, table.cause, table.message, table.attempts)
    query = _newest(sa.select(*columns), agent_transition, agent_id, before_id, limit)
    return [
        (
            row[0],
            StatusChange(
                agent_id, row[1], AgentStatus(row[2]), AgentStatus(row[3]), row[4], row[5], attempts_of(row[6])
            ),
        )
        for row in (await connection.execute(query)).all()
    ]


async def fact_changes(
    connection: AsyncConnection, agent_id: UUID, *, before_id: UUID | None, limit: int
) -> list[tuple[UUID, FactChange]]:
    """Up to `limit` changes of an agent before an id, newest first, each with its id."""
    table = fact_change.c
    columns = (table.id, table.at, table.fact, table.before, table.after)
    query = _newest(sa.select(*columns), fact_change, agent_id, before_id, limit)
    return [(row[0], FactChange(agent_id, *row[1:])) for row in (await connection.execute(query)).all()]


async def prune_expired(connection: AsyncConnection, before: datetime) -> int:
    """Removes a batch of what was stored before that time; how many rows."""
    first = UUID(int=int(before.timestamp() * 1000) << 80)
    removed = 0
    for table in (agent_transition, fact_change):
        # Ids are UUIDv7: they begin with the time.
        old = sa.select(table.c.id).where(table.c.id < first).order_by(table.c.id).limit(_PRUNE_ROWS)
        removed += (await connection.execute(sa.delete(table).where(table.c.id.in_(old)))).rowcount
    return removed


async def prune_surplus(connection: AsyncConnection, keep_rows: int) -> int:
    """Removes a batch of what agents have beyond their newest `keep_rows`; how many rows. Reads a whole index."""
    removed = 0
    for table in (agent_transition, fact_change):
        place = sa.func.row_number().over(partition_by=table.c.agent_id, order_by=table.c.id.desc()).label("place")
        ranked = sa.select(table.c.id, place).subquery()
        surplus = sa.select(ranked.c.id).where(ranked.c.place > keep_rows).limit(_SURPLUS_ROWS)
        removed += (await connection.execute(sa.delete(table).where(table.c.id.in_(surplus)))).rowcount
    return removed


def _newest(
    query: sa.Select[Any], table: sa.Table, agent_id: UUID, before_id: UUID | None, limit: int
) -> sa.Select[Any]:
    query = query.where(table.c.agent_id == agent_id).order_by(table.c.id.desc()).limit(limit)
    return query if before_id is None else query.where(table.c.id < before_id)


def ids_of(rows: Sequence[tuple[UUID, object]]) -> list[str]:
    """The cursors of a list."""
    return [str(row_id) for row_id, _ in rows]
