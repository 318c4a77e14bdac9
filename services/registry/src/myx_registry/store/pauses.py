"""Statements on pauses of checks. All run in the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_registry.domain.pauses import CheckPause
from myx_registry.models import check_pause

PAUSE_COLUMNS = (check_pause.c.since, check_pause.c.until, check_pause.c.reason, check_pause.c.actor)


async def put_pauses(connection: AsyncConnection, server_ids: Sequence[UUID], pause: CheckPause) -> None:
    """Pauses servers, or moves the end of their pause."""
    values = [
        {
            "server_id": one,
            "since": pause.since,
            "until": pause.until,
            "reason": pause.reason,
            "actor": pause.actor,
        }
        for one in sorted(server_ids)
    ]
    statement = insert(check_pause)
    new = statement.excluded
    # A pause that is over is not prolonged: a new one begins.
    since = sa.case((check_pause.c.until > sa.func.now(), check_pause.c.since), else_=new.since)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[check_pause.c.server_id],
            set_={"since": since, "until": new.until, "reason": new.reason, "actor": new.actor},
        ),
        values,
    )


async def end_pauses(connection: AsyncConnection, server_ids: Sequence[UUID]) -> list[UUID]:
    """Ends pauses; the servers that were paused."""
    wanted = sa.any_(sa.bindparam("ids", list(server_ids), type_=sa.ARRAY(sa.Uuid)))
    statement = sa.delete(check_pause).where(check_pause.c.server_id == wanted).returning(check_pause.c.server_id)
    return list((await connection.execute(statement)).scalars())


async def forget_ended(connection: AsyncConnection, now: datetime) -> None:
    """Removes pauses whose time is over."""
    await connection.execute(sa.delete(check_pause).where(check_pause.c.until < now))


def is_paused() -> sa.ColumnElement[bool]:
    """Whether a pause still holds."""
    return check_pause.c.until > sa.func.now()


def pause_of(row: Sequence[object]) -> CheckPause:
    """The pause in a row of PAUSE_COLUMNS."""
    return CheckPause(*row)  # type: ignore[arg-type]
