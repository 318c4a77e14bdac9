"""Whether a schema has had the migrations that came with this code. Without Alembic: it costs a running service 10 MB.

A revision is a number of four digits, which the name of its file begins with; each is the one before and one more.
"""

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_kit.errors import Unavailable

_UNDEFINED_TABLE = "42P01"


@cache
def newest(script_location: Path) -> str:
    """The newest revision in `<script_location>/versions/`."""
    return max(path.name[:4] for path in (script_location / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def check(schema: str, stored: str | None, script_location: Path) -> None:
    """Unavailable `SCHEMA_MISSING` without a stored revision, `SCHEMA_OUTDATED` when it is before the newest.

    One after it is fine: migrations are additive, and code that is rolled back or not yet replaced finds all it knows.
    """
    needed = newest(script_location)
    remedy = f"run `python -m myx_{schema} migrate`"
    if stored is None:
        raise Unavailable("SCHEMA_MISSING", f"the tables of the schema {schema} are missing: {remedy}")
    if stored < needed:
        raise Unavailable("SCHEMA_OUTDATED", f"the schema {schema} is at {stored} and must be at {needed}: {remedy}")


async def check_stored(connection: AsyncConnection, schema: str, script_location: Path) -> None:
    """`check` of what is stored in the database; the transaction is of no more use when it raises."""
    table = sa.table("alembic_version", sa.column("version_num", sa.Text), schema=schema)
    try:
        stored = await connection.scalar(sa.select(sa.func.max(table.c.version_num)))
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", "") != _UNDEFINED_TABLE:
            raise
        stored = None
    check(schema, stored, script_location)
