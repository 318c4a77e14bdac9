"""The gateway's database as a whole."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from myx_gateway.models import MIGRATIONS, SCHEMA
from myx_kit.db import revisions
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import Unavailable

_UNDEFINED_TABLE: Final = "42P01"


class Database(UnitOfWork):
    """Units of work. Tables that are not there yet, or not all that there is to them, are as good as a database that is
    away: the gateway starts first."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        # None: it was away until now.
        self.is_migrated: bool | None = None

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction; else as UnitOfWork says, and Unavailable `SCHEMA_MISSING` or `SCHEMA_OUTDATED` before the
        migrations have run that came with this code."""
        try:
            async with super().begin() as connection:
                if not self.is_migrated:
                    self.is_migrated = False
                    await revisions.check_stored(connection, SCHEMA, MIGRATIONS)
                    self.is_migrated = True
                yield connection
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", "") != _UNDEFINED_TABLE:
                raise
            text = "the tables are missing: run `python -m myx_gateway migrate`"
            raise Unavailable("SCHEMA_MISSING", text) from None
