"""Statements on the database as a whole."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_registry.models import SCHEMA, agent


async def schema_is_there(connection: AsyncConnection) -> bool:
    """Whether the migrations have run."""
    return await connection.scalar(sa.select(sa.func.to_regclass(f"{SCHEMA}.{agent.name}"))) is not None
