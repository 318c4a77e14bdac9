"""Statements on maintenance leases. The database's clock decides, so that replicas need not agree on the time."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_registry.domain.maintenance import Claim, Maintenance
from myx_registry.models import maintenance

# `maintenance_of` reads rows of exactly these columns, in this order.
MAINTENANCE_COLUMNS = (
    maintenance.c.holder,
    maintenance.c.kind,
    maintenance.c.actor,
    maintenance.c.since,
    maintenance.c.expires_at,
)


def is_held() -> sa.ColumnElement[bool]:
    """Whether a lease has not run out."""
    return maintenance.c.expires_at > _now()


async def take_lease(connection: AsyncConnection, server_id: UUID, claim: Claim) -> Maintenance | None:
    """The lease, taken or renewed; None while somebody else holds it. The caller sees to it that the server stays.

    A renewed lease keeps its `since`; one that ran out is taken anew, also by the same holder.
    """
    new = insert(maintenance).values(
        server_id=server_id,
        holder=claim.holder,
        kind=claim.kind,
        actor=claim.actor,
        since=_now(),
        expires_at=_now() + timedelta(seconds=claim.ttl_s),
    )
    since = sa.case((is_held(), maintenance.c.since), else_=new.excluded.since)
    statement = new.on_conflict_do_update(
        index_elements=[maintenance.c.server_id],
        set_={
            "holder": new.excluded.holder,
            "kind": new.excluded.kind,
            "actor": new.excluded.actor,
            "since": since,
            "expires_at": new.excluded.expires_at,
        },
        where=sa.or_(maintenance.c.holder == claim.holder, sa.not_(is_held())),
    ).returning(*MAINTENANCE_COLUMNS)
    row = (await connection.execute(statement)).first()
    return None if row is None else maintenance_of(row)


async def find_lease(connection: AsyncConnection, server_id: UUID) -> Maintenance | None:
    """The lease that is held on a server."""
    query = sa.select(*MAINTENANCE_COLUMNS).where(maintenance.c.server_id == server_id, is_held())
    row = (await connection.execute(query)).first()
    return None if row is None else maintenance_of(row)


async def drop_lease(connection: AsyncConnection, server_id: UUID, holder: str) -> None:
    """Gives a lease back if this holder has it."""
    await connection.execute(
        sa.delete(maintenance).where(maintenance.c.server_id == server_id, maintenance.c.holder == holder)
    )


def maintenance_of(row: Sequence[Any]) -> Maintenance:
    """The lease in a row of MAINTENANCE_COLUMNS."""
    return Maintenance(*row)


def _now() -> sa.Function[Any]:
    # Not now(): a transaction may have waited for its lock for seconds.
    return sa.func.clock_timestamp(type_=sa.DateTime(timezone=True))
