"""The gateway's database as a whole."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import Unavailable

_UNDEFINED_TABLE: Final = "42P01"


class Database(UnitOfWork):
    """Units of work. Tables that are not there yet are as good as a database that is away: the gateway starts first."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction; Unavailable `SCHEMA_MISSING` before the migrations have run, else as UnitOfWork says."""
        try:
            async with super().begin() as connection:
                yield connection
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", "") != _UNDEFINED_TABLE:
                raise
            text = "the tables are missing: run `python -m myx_gateway migrate`"
            raise Unavailable("SCHEMA_MISSING", text) from None
