"""Statements on browser sessions. All run in the caller's transaction; what has ended is not seen by any of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_gateway.models.access import account, session
from myx_gateway.store.access_records import Session, User
from myx_gateway.store.access_users import ALIVE, USER_COLUMNS, user_of

_TOUCH_AFTER = timedelta(minutes=1)
_COLUMNS = (
    session.c.id,
    account.c.name,
    session.c.account_id,
    session.c.address,
    session.c.user_agent,
    session.c.created_at,
    session.c.last_used_at,
    session.c.expires_at,
)


async def insert_session(
    connection: AsyncConnection,
    *,
    session_id: UUID,
    user_id: UUID,
    secret_sha256: bytes,
    address: str,
    user_agent: str,
    lasts: timedelta,
) -> None:
    """A new session that begins now."""
    await connection.execute(
        sa.insert(session).values(
            id=session_id,
            account_id=user_id,
            secret_sha256=secret_sha256,
            address=address,
            user_agent=user_agent,
            expires_at=sa.func.now() + lasts,
        )
    )


async def find_session(
    connection: AsyncConnection, condition: UUID | bytes, idle: timedelta
) -> tuple[Session, User] | None:
    """A session that lasts and its user, by id or by the digest of its secret."""
    query = sa.select(*_COLUMNS, *USER_COLUMNS).join(account).where(_is(condition), _lasts(idle))
    row = (await connection.execute(query)).first()
    return None if row is None else (_session_of(row[: len(_COLUMNS)]), user_of(row[len(_COLUMNS) :]))


async def touch(connection: AsyncConnection, used: Session) -> None:
    """Note that it was used now, unless that was noted within a minute."""
    if datetime.now(UTC) - used.last_used_at < _TOUCH_AFTER:
        return
    before = sa.func.now() - _TOUCH_AFTER
    statement = sa.update(session).where(session.c.id == used.id, session.c.last_used_at < before)
    await connection.execute(statement.values(last_used_at=sa.func.now()))


async def list_sessions(
    connection: AsyncConnection, user_id: UUID | None, idle: timedelta, *, before: UUID | None, limit: int
) -> list[Session]:
    """Up to `limit` sessions, the newest first, of one user or of all."""
    query = sa.select(*_COLUMNS).join(account).where(_lasts(idle))
    if user_id is not None:
        query = query.where(session.c.account_id == user_id)
    if before is not None:
        query = query.where(session.c.id < before)
    rows = (await connection.execute(query.order_by(session.c.id.desc()).limit(limit))).all()
    return [_session_of(row) for row in rows]


async def delete_session(connection: AsyncConnection, condition: UUID | bytes) -> UUID | None:
    """End one; its id, or None when there was none."""
    statement = sa.delete(session).where(_is(condition)).returning(session.c.id)
    ended: UUID | None = await connection.scalar(statement)
    return ended


async def delete_sessions_of(connection: AsyncConnection, user_id: UUID, *, but: UUID | None = None) -> None:
    """End all of a user, perhaps but one."""
    statement = sa.delete(session).where(session.c.account_id == user_id)
    await connection.execute(statement if but is None else statement.where(session.c.id != but))


async def delete_oldest(connection: AsyncConnection, user_id: UUID, *, keep: int) -> None:
    """End all of a user but the `keep` that were used last."""
    kept = (
        sa.select(session.c.id)
        .where(session.c.account_id == user_id)
        .order_by(session.c.last_used_at.desc(), session.c.id.desc())
        .limit(keep)
    )
    await connection.execute(
        sa.delete(session).where(session.c.account_id == user_id, session.c.id.not_in(kept.scalar_subquery()))
    )


async def delete_ended(connection: AsyncConnection, idle: timedelta) -> None:
    """Forget those that have ended by themselves."""
    over = sa.or_(session.c.expires_at <= sa.func.now(), session.c.last_used_at <= sa.func.now() - idle)
    await connection.execute(sa.delete(session).where(over))


def _lasts(idle: timedelta) -> sa.ColumnElement[bool]:
    return sa.and_(session.c.expires_at > sa.func.now(), session.c.last_used_at > sa.func.now() - idle, ALIVE)


def _is(condition: UUID | bytes) -> sa.ColumnElement[bool]:
    return session.c.id == condition if isinstance(condition, UUID) else session.c.secret_sha256 == condition


def _session_of(row: Sequence[Any]) -> Session:
    return Session(*row)
