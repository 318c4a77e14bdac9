"""Statements on failed logins and known places. All run in the caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_gateway.models.access import known_place, login_failure

_KNOWN_FOR = timedelta(days=90)
_FORGET_AFTER = timedelta(days=1)


async def blocked_s(connection: AsyncConnection, keys: Sequence[bytes]) -> float:
    """Seconds until a login by these keys may be tried; 0: now. Others who try by one of them wait for this one."""
    query = (
        sa.select(sa.extract("epoch", login_failure.c.blocked_until - sa.func.clock_timestamp()))
        .where(login_failure.c.key_sha256.in_(keys))
        .order_by(login_failure.c.key_sha256)
        .with_for_update()
    )
    left = (await connection.execute(query)).scalars().all()
    return max(0.0, *(float(seconds) for seconds in left)) if left else 0.0


async def count_failure(
    connection: AsyncConnection, key: bytes, *, free: int, longest_s: float, forget_s: float
) -> None:
    """One failure more, and behind the `free` ones (1 or more) a pause of 1, 2, 4 … seconds up to `longest_s`.

    What lies `forget_s` back does not count any more.
    """
    old = login_failure.c
    now = sa.func.clock_timestamp()
    fresh = old.last_at > now - timedelta(seconds=forget_s)
    failures = sa.case((fresh, old.failures + 1), else_=1)
    # 2^30 s is more than any pause; a greater power would be no number any more.
    pause = sa.func.least(sa.func.power(2, sa.func.least(failures - free - 1, 30)), longest_s)
    blocked = sa.case((failures > free, now + pause * timedelta(seconds=1)), else_=now)
    statement = insert(login_failure).values(key_sha256=key, failures=1, last_at=now, blocked_until=now)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[old.key_sha256], set_={"failures": failures, "last_at": now, "blocked_until": blocked}
        )
    )


async def take_back_failure(connection: AsyncConnection, key: bytes) -> None:
    """One failure less, and no pause: it was a success."""
    statement = sa.update(login_failure).where(login_failure.c.key_sha256 == key)
    await connection.execute(
        statement.values(
            failures=sa.func.greatest(login_failure.c.failures - 1, 0), blocked_until=login_failure.c.last_at
        )
    )


async def forget_failures(connection: AsyncConnection, key: bytes) -> None:
    """None any more."""
    await connection.execute(sa.delete(login_failure).where(login_failure.c.key_sha256 == key))


async def known_places(connection: AsyncConnection, user_id: UUID, places: Sequence[bytes]) -> set[bytes]:
    """Those of the places from which the user logged in lately."""
    query = sa.select(known_place.c.place_sha256).where(
        known_place.c.account_id == user_id,
        known_place.c.place_sha256.in_(places),
        known_place.c.seen_at > sa.func.now() - _KNOWN_FOR,
    )
    return set((await connection.execute(query)).scalars())


async def note_places(connection: AsyncConnection, user_id: UUID, places: Sequence[bytes]) -> None:
    """The user logged in from there now."""
    rows = [{"account_id": user_id, "place_sha256": place} for place in sorted(places)]
    statement = insert(known_place).values(rows)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[known_place.c.account_id, known_place.c.place_sha256], set_={"seen_at": sa.func.now()}
        )
    )


async def forget_places(connection: AsyncConnection, user_id: UUID) -> None:
    """No place is known any more."""
    await connection.execute(sa.delete(known_place).where(known_place.c.account_id == user_id))


async def forget_old(connection: AsyncConnection) -> None:
    """Forget what counts no more."""
    await connection.execute(sa.delete(login_failure).where(login_failure.c.last_at < sa.func.now() - _FORGET_AFTER))
    await connection.execute(sa.delete(known_place).where(known_place.c.seen_at < sa.func.now() - _KNOWN_FOR))
