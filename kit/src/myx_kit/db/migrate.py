"""Schema migrations: Alembic without a file of settings, one schema and one version table per service.

A service keeps its revisions in `<script_location>/versions/`; nothing else is needed there.
"""

import hashlib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, NullPool, create_engine, text

from myx_kit.db import revisions
from myx_kit.db.engine import connect_arguments, psycopg_url, translate_database_errors

# Replicas that start together wait for the first one's migrations for this long.
_WAIT_FOR_OTHERS_S = 300
# A migration that cannot lock a table fails rather than stopping all traffic behind it.
_LOCK_TIMEOUT_S = 10


def upgrade(
    url: str, schema: str, script_location: Path, revision: str = "head", *, require_auth: str = "scram-sha-256"
) -> None:
    """Bring `schema` to `revision`, all or nothing; creates the schema. Safe when several replicas do it at once.

    Blocking. Unavailable when the database is away or a lock is not had in time.
    """
    _run(url, schema, script_location, "upgrade", revision, require_auth)


def downgrade(
    url: str, schema: str, script_location: Path, revision: str = "base", *, require_auth: str = "scram-sha-256"
) -> None:
    """Take `schema` back to `revision`, all or nothing. Blocking."""
    _run(url, schema, script_location, "downgrade", revision, require_auth)


def check_drift(url: str, metadata: MetaData, *, require_auth: str = "scram-sha-256") -> list[str]:
    """How the tables in the database differ from `metadata`, one line each; empty when the migrations are complete."""

    with _connection(url, require_auth) as connection:
        found = connection.execute(text("select relname from pg_class where relispartition and relkind = 'r'"))
        partitions = set(found.scalars())

        def ours(name: str | None, kind: str, _parents: object) -> bool:
            if kind == "schema":
                return name == metadata.schema
            # Partitions come and go by themselves.
            return kind != "table" or name not in partitions

        options = {"include_schemas": True, "include_name": ours, "version_table_schema": metadata.schema}
        found_differences: list[str] = _alembic().differences(connection, metadata, options)
        return found_differences


def _run(  # noqa: PLR0917 - the two verbs above pass on what they were given
    url: str, schema: str, script_location: Path, verb: str, revision: str, require_auth: str
) -> None:
    with _connection(url, require_auth) as connection:
        connection.execute(text(f"set local lock_timeout = '{_WAIT_FOR_OTHERS_S}s'"))
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _lock_key(schema)})
        connection.execute(text(f"set local lock_timeout = '{_LOCK_TIMEOUT_S}s'"))
        quoted = connection.dialect.identifier_preparer.quote_identifier(schema)
        connection.execute(text(f"create schema if not exists {quoted}"))
        if (verb, revision) == ("upgrade", "head") and _is_ahead(connection, schema, script_location):
            return
        getattr(_alembic(), verb)(connection, schema, script_location, revision)


def _is_ahead(connection: Connection, schema: str, script_location: Path) -> bool:
    """Whether a newer release has migrated the schema. This one finds all it knows there (`revisions.check`)."""
    quoted = connection.dialect.identifier_preparer.quote_identifier(schema)
    if connection.scalar(text("select to_regclass(:table)"), {"table": f"{quoted}.alembic_version"}) is None:
        return False
    stored = connection.scalar(text(f"select max(version_num) from {quoted}.alembic_version"))  # noqa: S608 - ours
    return stored is not None and stored > revisions.newest(script_location)


def _alembic() -> Any:
    return importlib.import_module("myx_kit.db.alembic_runs")


@contextmanager
def _connection(url: str, require_auth: str) -> Iterator[Connection]:
    arguments = connect_arguments(require_auth) | {"options": "-c timezone=UTC"}
    engine = create_engine(psycopg_url(url), poolclass=NullPool, connect_args=arguments, hide_parameters=True)
    with translate_database_errors(), engine.begin() as connection:
        yield connection


def _lock_key(schema: str) -> int:
    return int.from_bytes(hashlib.sha256(f"myx-migrate:{schema}".encode()).digest()[:8], signed=True)
