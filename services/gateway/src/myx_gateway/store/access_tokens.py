"""Statements on API tokens. All run in the caller's transaction; what has expired opens nothing, but can be listed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_gateway.models.access import account, token
from myx_gateway.store.access_records import Token, User
from myx_gateway.store.access_users import ALIVE, USER_COLUMNS, user_of

_TOUCH_AFTER = timedelta(minutes=1)
_KEEP_EXPIRED = timedelta(days=30)
_COLUMNS = (
    token.c.id,
    token.c.name,
    account.c.name,
    token.c.account_id,
    token.c.role,
    token.c.selector,
    token.c.created_by,
    token.c.created_at,
    token.c.expires_at,
    token.c.last_used_at,
)


async def insert_token(
    connection: AsyncConnection,
    *,
    token_id: UUID,
    user_id: UUID,
    name: str,
    secret_sha256: bytes,
    role: str,
    selector: str,
    created_by: str,
    request_id: str,
    lasts: timedelta | None,
) -> bool:
    """False when the user has one of this name, or the request made one before."""
    statement = (
        insert(token)
        .values(
            id=token_id,
            account_id=user_id,
            name=name,
            secret_sha256=secret_sha256,
            role=role,
            selector=selector,
            created_by=created_by,
            request_id=request_id,
            expires_at=None if lasts is None else sa.func.now() + lasts,
        )
        .on_conflict_do_nothing()
        .returning(token.c.id)
    )
    return (await connection.execute(statement)).first() is not None


async def find_request(connection: AsyncConnection, request_id: str) -> Token | None:
    """The token that a request made."""
    query = sa.select(*_COLUMNS).join(account).where(token.c.request_id == request_id, ALIVE)
    row = (await connection.execute(query)).first()
    return None if row is None else _token_of(row)


async def renew_unused(connection: AsyncConnection, token_id: UUID, secret_sha256: bytes) -> bool:
    """Give a token another secret; False when somebody has used it."""
    statement = sa.update(token).where(token.c.id == token_id, token.c.last_used_at.is_(None))
    return (await connection.execute(statement.values(secret_sha256=secret_sha256))).rowcount == 1


async def find_opened(connection: AsyncConnection, token_id: UUID) -> tuple[Token, bytes, User] | None:
    """A token that has not expired, the digest of its secret, and its user."""
    query = (
        sa.select(*_COLUMNS, token.c.secret_sha256, *USER_COLUMNS)
        .join(account)
        .where(token.c.id == token_id, sa.or_(token.c.expires_at.is_(None), token.c.expires_at > sa.func.now()), ALIVE)
    )
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    width = len(_COLUMNS)
    return Token(*row[:width]), row[width], user_of(row[width + 1 :])


async def touch(connection: AsyncConnection, used: Token) -> None:
    """Note that it was used now, unless that was noted within a minute."""
    if used.last_used_at is not None and datetime.now(UTC) - used.last_used_at < _TOUCH_AFTER:
        return
    before = sa.func.now() - _TOUCH_AFTER
    old = sa.or_(token.c.last_used_at.is_(None), token.c.last_used_at < before)
    await connection.execute(sa.update(token).where(token.c.id == used.id, old).values(last_used_at=sa.func.now()))


async def find_token(connection: AsyncConnection, token_id: UUID) -> Token | None:
    """By id, expired or not."""
    row = (await connection.execute(sa.select(*_COLUMNS).join(account).where(token.c.id == token_id, ALIVE))).first()
    return None if row is None else _token_of(row)


async def list_tokens(
    connection: AsyncConnection, user_id: UUID | None, *, before: UUID | None, limit: int
) -> list[Token]:
    """Up to `limit` tokens, the newest first, of one user or of all."""
    query = sa.select(*_COLUMNS).join(account).where(ALIVE)
    if user_id is not None:
        query = query.where(token.c.account_id == user_id)
    if before is not None:
        query = query.where(token.c.id < before)
    return [_token_of(row) for row in (await connection.execute(query.order_by(token.c.id.desc()).limit(limit))).all()]


async def count_tokens(connection: AsyncConnection, user_id: UUID) -> int:
    """How many tokens a user has."""
    return await connection.scalar(sa.select(sa.func.count()).where(token.c.account_id == user_id)) or 0


async def delete_token(connection: AsyncConnection, token_id: UUID) -> bool:
    """False when there was none."""
    return (await connection.execute(sa.delete(token).where(token.c.id == token_id))).rowcount == 1


async def delete_tokens_of(connection: AsyncConnection, user_id: UUID) -> None:
    """Delete all of a user."""
    await connection.execute(sa.delete(token).where(token.c.account_id == user_id))


async def delete_expired(connection: AsyncConnection) -> None:
    """Forget those that expired a month ago."""
    await connection.execute(sa.delete(token).where(token.c.expires_at < sa.func.now() - _KEEP_EXPIRED))


def _token_of(row: Sequence[Any]) -> Token:
    return Token(*row)
