"""One use case, one transaction, one commit at the edge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from myx_kit.db.engine import translate_database_errors
from myx_kit.db.outbox import Outbox


class UnitOfWork:
    """Use: `async with uow.begin() as connection: await store.add_server(connection, server)`; no network inside."""

    def __init__(self, engine: AsyncEngine, outbox: Outbox | None = None) -> None:
        self._engine = engine
        self._outbox = outbox

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed at the end of the block, rolled back when it raises; then the outbox is woken.

        Raises what `translate_database_errors` says. Nothing is retried here: who made the call repeats it.
        """
        with translate_database_errors():
            async with self._engine.connect() as connection:
                try:
                    async with connection.begin():
                        yield connection
                except BaseException:
                    self._ended(connection, committed=False)
                    raise
                self._ended(connection, committed=True)

    def _ended(self, connection: AsyncConnection, *, committed: bool) -> None:
        if self._outbox is not None:
            self._outbox.transaction_ended(connection, committed=committed)
