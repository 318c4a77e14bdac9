"""Statements on the database as a whole."""

from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_registry.models import SCHEMA, maintenance

# What a unit of work gives, for those who hand it on and make no statement themselves.
Connection: TypeAlias = AsyncConnection


async def schema_is_there(connection: AsyncConnection) -> bool:
    """Whether the migrations have run, the latest that brought a table included."""
    return await connection.scalar(sa.select(sa.func.to_regclass(f"{SCHEMA}.{maintenance.name}"))) is not None
