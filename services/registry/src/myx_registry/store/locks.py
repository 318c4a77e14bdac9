"""Locks that are not rows."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

# Any constant of ours: advisory locks of one database share their numbers.
_WAYS = 0x6D79785F77617973
_PORTS = 0x6D79785F706F7274


async def lock_ways(connection: AsyncConnection) -> None:
    """Nobody else changes who is reached through whom until the transaction ends."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WAYS)))


async def lock_ports(connection: AsyncConnection) -> None:
    """Nobody else gives or keeps a port until the transaction ends."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_PORTS)))


async def share_ports(connection: AsyncConnection) -> None:
    """Nobody keeps a port for later until the transaction ends; those that are given at once cannot be given twice."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_PORTS)))
