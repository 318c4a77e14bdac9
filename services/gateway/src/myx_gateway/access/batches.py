"""Work that many wait for at once, done together: while one batch is under way the next one gathers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from myx_kit.errors import Unavailable
from myx_kit.loops import TaskOwner

_T = TypeVar("_T")
# Of one batch.
_MOST = 200


class Batches(Generic[_T]):
    """Gives items to `flush`, in order and many at a time; what it raises, all that waited for the batch raise."""

    def __init__(
        self, name: str, owner: TaskOwner, flush: Callable[[list[_T]], Awaitable[None]], limit: int | None = None
    ) -> None:
        self._name = name
        self._owner = owner
        self._flush = flush
        self._limit = limit
        self._waiting: list[tuple[_T, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    def put(self, item: _T) -> "asyncio.Future[None]":
        """Done when `item` has been flushed, or with the error that the flush raised.

        Unavailable `OVERLOADED` when more than the limit wait already.
        """
        if self._limit is not None and len(self._waiting) >= self._limit:
            raise Unavailable("OVERLOADED", f"{self._limit} wait already", what=self._name)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Nobody may be waiting any more.
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._waiting.append((item, done))
        if self._task is None:
            self._task = self._owner.start(self._run(), name=self._name)
        return done

    async def drained(self) -> None:
        """Return when nothing waits."""
        while self._task is not None:
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                await self._flush_one(batch)
        finally:
            self._task = None

    async def _flush_one(self, batch: list[tuple[_T, "asyncio.Future[None]"]]) -> None:
        try:
            await self._flush([item for item, _ in batch])
        except BaseException as error:
            for _, done in batch:
                if not done.done():
                    done.set_exception(error) if isinstance(error, Exception) else done.cancel()
            if not isinstance(error, Exception):
                raise
            return
        for _, done in batch:
            if not done.done():
                done.set_result(None)
