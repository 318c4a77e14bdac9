"""Locks that are not rows."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

# Any constant of ours: advisory locks of one database share their numbers.
_WAYS = 0x6D79785F77617973


async def lock_ways(connection: AsyncConnection) -> None:
    """Nobody else changes who is reached through whom until the transaction ends."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WAYS)))
