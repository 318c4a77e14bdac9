"""Statements on the database as a whole."""

from typing import TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from myx_kit.db import revisions
from myx_registry.models import MIGRATIONS, SCHEMA

# What a unit of work gives, for those who hand it on and make no statement themselves.
Connection: TypeAlias = AsyncConnection


async def check_schema(connection: AsyncConnection) -> None:
    """Unavailable `SCHEMA_MISSING` or `SCHEMA_OUTDATED` before the migrations have run that came with this code."""
    await revisions.check_stored(connection, SCHEMA, MIGRATIONS)
