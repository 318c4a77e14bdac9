"""Connections for the hot path: autocommit, statements prepared once, one round trip each."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import Composed

from myx_kit.db.engine import SESSION_OPTIONS, connect_arguments, translate_database_errors
from myx_kit.errors import MyxError, Unavailable

_ANSWER_S = 35.0
_ACQUIRE_S = 10.0


class Pool:
    """At most `size` connections, opened when needed, the one used last first (its statements are prepared).

    A lost connection or a server that is away is Unavailable `DATABASE_UNAVAILABLE`; it is not known then whether the
    statement took effect.
    """

    def __init__(
        self, url: str, size: int, *, application: str = "myx-executor", require_auth: str = "scram-sha-256"
    ) -> None:
        self._url = url
        self._require_auth = require_auth
        self._application = application
        self._idle: list[AsyncConnection[TupleRow]] = []
        self._slots = asyncio.Semaphore(size)
        # Connections that are in use.
        self.used = 0
        self._closed = False

    async def rows(self, statement: LiteralString, params: Mapping[str, Any] | None = None) -> list[TupleRow]:
        """Runs one statement that gives rows, in its own transaction."""
        async with self._connection() as connection, connection.cursor(binary=True) as cursor:
            await cursor.execute(statement, params, prepare=True)
            return await cursor.fetchall()

    async def rows_alone(
        self, lock: LiteralString, statement: LiteralString, params: Mapping[str, Any]
    ) -> list[TupleRow]:
        """As `rows`, after the statement `lock` in the same transaction: what it takes is held until the end."""
        async with self._connection() as connection, connection.transaction(), connection.cursor(binary=True) as cursor:
            await cursor.execute(lock, params, prepare=True)
            await cursor.execute(statement, params, prepare=True)
            return await cursor.fetchall()

    async def count(self, statement: LiteralString, params: Mapping[str, Any] | None = None) -> int:
        """Runs one statement in its own transaction; the number of rows that it changed."""
        async with self._connection() as connection, connection.cursor(binary=True) as cursor:
            await cursor.execute(statement, params, prepare=True)
            return cursor.rowcount

    async def change_tables(self, *statements: LiteralString | Composed, lock_timeout_ms: int, limit_ms: int) -> None:
        """Runs statements in one transaction, unprepared. Whoever reads or writes the tables waits behind their locks.

        So it is bounded: Unavailable `DATABASE_TIMEOUT` when a lock is not had or a statement takes too long.
        """
        async with self._connection() as connection, connection.transaction():
            await connection.execute(
                "select set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                (f"{lock_timeout_ms}ms", f"{limit_ms}ms"),
            )
            for statement in statements:
                await connection.execute(statement, prepare=False)

    async def close(self) -> None:
        """Closes the connections that are idle; those in use close when they are given back."""
        self._closed = True
        await self._drop_idle()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        try:
            async with asyncio.timeout(_ACQUIRE_S):
                await self._slots.acquire()
        except TimeoutError:
            raise Unavailable("DATABASE_BUSY", "no database connection became free in time") from None
        self.used += 1
        connection: AsyncConnection[TupleRow] | None = None
        kept = False
        try:
            with translate_database_errors():
                async with asyncio.timeout(_ANSWER_S):
                    connection = self._idle.pop() if self._idle else await self._connect()
                    yield connection
            kept = not self._closed
            if kept:
                self._idle.append(connection)
        except TimeoutError as error:
            raise Unavailable("DATABASE_TIMEOUT", "the database took too long") from error
        except MyxError:
            # What this one has met the others have too: the next statement begins on a new connection.
            if connection is None or connection.broken:
                await self._drop_idle()
            raise
        finally:
            if connection is not None and not kept:
                await connection.close()
            self.used -= 1
            self._slots.release()

    async def _connect(self) -> AsyncConnection[TupleRow]:
        return await AsyncConnection.connect(
            self._url,
            autocommit=True,
            prepare_threshold=0,
            application_name=self._application,
            options=SESSION_OPTIONS,
            **connect_arguments(self._require_auth),
        )

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._idle.pop().close()
