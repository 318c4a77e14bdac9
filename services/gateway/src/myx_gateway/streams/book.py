"""The open streams of this process: how many may be open, and their common end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from myx_kit.errors import ResourceExhausted, Unavailable
from myx_kit.logging import get_logger

log = get_logger()


class StreamBook:
    """Counts open streams up to `limit` and tells all of them when the process stops."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = 0
        self._stop = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return self._open

    @property
    def stopping(self) -> bool:
        """Whether the process is stopping."""
        return self._stop.is_set()

    @contextmanager
    def entry(self) -> Iterator[None]:
        """Be one of the open streams. ResourceExhausted `TOO_MANY_STREAMS`, Unavailable `STOPPING`."""
        if self.stopping:
            raise Unavailable("STOPPING", "this gateway is stopping; try again")
        if self._open >= self._limit:
            raise ResourceExhausted(
                "TOO_MANY_STREAMS", f"{self._limit} streams are open here already", limit=str(self._limit)
            )
        self._open += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._empty.set()

    async def wait_stopping(self, timeout_s: float | None) -> bool:
        """True as soon as the process is stopping, False after `timeout_s` (None: never)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._stop.wait()
        return self.stopping

    async def close(self, timeout_s: float) -> None:
        """Tell every stream to end and wait until they have, at most `timeout_s`."""
        self._stop.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            log.warning("streams_still_open", streams=self._open, after_s=timeout_s)
