"""Connections to PostgreSQL, and what their errors mean."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from myx_kit.errors import Aborted, FailedPrecondition, MyxError, Unavailable

_CONNECT_TIMEOUT_S = 5
_POOL_TIMEOUT_S = 10
_STATEMENT_TIMEOUT_MS = 30_000
_LOCK_TIMEOUT_MS = 10_000
# What a process that is stopped or cut off in mid-transaction has locked is free again before others give up waiting.
_IDLE_IN_TRANSACTION_MS = 9_000

# Of every session of a service. The server, too, notices a host that vanished; through a socket these mean nothing.
SESSION_OPTIONS = (
    f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c lock_timeout={_LOCK_TIMEOUT_MS}"
    f" -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS} -c timezone=UTC"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3"
)

_CONFLICTS = {"40001", "40P01"}
_TIMEOUTS = {"57014", "55P03", "25P03"}
# Classes: connection, insufficient resources, operator intervention, system error; 25006: a standby.
_AWAY = ("08", "53", "57", "58", "25006")


def create_engine(url: str, pool_size: int = 8, *, require_auth: str = "scram-sha-256") -> AsyncEngine:
    """A pool of at most `pool_size` connections to the `postgresql://` URL; close with `await engine.dispose()`.

    `require_auth`: what the server must ask for before it is believed (libpq); empty lets it ask for anything.
    Statements end after 30 s, waits for a lock after 10 s, transactions in which nothing happens after 9 s.
    FailedPrecondition `DATABASE_URL_INVALID` for a bad URL.
    """
    return create_async_engine(
        psycopg_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_pre_ping=False,
        hide_parameters=True,
        connect_args=connect_arguments(require_auth) | {"options": SESSION_OPTIONS},
    )


def psycopg_url(url: str) -> URL:
    """The URL for SQLAlchemy with psycopg 3."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql":
        raise FailedPrecondition("DATABASE_URL_INVALID", "the database address is not a postgresql:// URL")
    return parsed.set(drivername="postgresql+psycopg")


def connect_arguments(require_auth: str) -> dict[str, Any]:
    """libpq parameters: a host that vanished is noticed within about 15 s."""
    arguments: dict[str, Any] = {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }
    return arguments | ({"require_auth": require_auth} if require_auth else {})


@contextmanager
def translate_database_errors() -> Iterator[None]:
    """Raise failures of the database itself as MyxError; constraint violations and wrong SQL pass as they are.

    Unavailable `DATABASE_UNAVAILABLE` (lost or no connection), `DATABASE_TIMEOUT`, `DATABASE_BUSY` (no free
    connection); Aborted `TRANSACTION_CONFLICT` (deadlock, serialization failure). The outcome of a failed commit is
    not known.
    """
    try:
        yield
    except PoolTimeoutError:
        raise Unavailable("DATABASE_BUSY", "no database connection became free in time") from None
    except DBAPIError as error:
        translated = _meaning(error.orig, lost=error.connection_invalidated)
        if translated is None:
            raise
        raise translated from error
    except psycopg.Error as error:
        translated = _meaning(error, lost=False)
        if translated is None:
            raise
        raise translated from error


async def is_reachable(engine: AsyncEngine, timeout_s: float = 2.0) -> bool:
    """Whether the database answers now; for readiness."""
    try:
        async with asyncio.timeout(timeout_s):
            with translate_database_errors():
                async with engine.connect() as connection:
                    await connection.exec_driver_sql("select 1")
    except (MyxError, TimeoutError):
        return False
    return True


def used_connections(engine: AsyncEngine) -> int:
    """How many connections of the pool are in use now."""
    pool = engine.pool
    return pool.checkedout() if isinstance(pool, QueuePool) else 0


def _meaning(error: BaseException | None, *, lost: bool) -> MyxError | None:
    state = getattr(error, "sqlstate", None) or ""
    if state in _CONFLICTS:
        return Aborted("TRANSACTION_CONFLICT", "another transaction came first")
    if state in _TIMEOUTS:
        return Unavailable("DATABASE_TIMEOUT", "the database took too long")
    nameless = not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if lost or nameless or state.startswith(_AWAY):
        return Unavailable("DATABASE_UNAVAILABLE", "the database does not answer")
    return None
