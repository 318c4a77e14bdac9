"""The open streams of this process: how many may be open, and their common end."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from myx_kit.errors import ResourceExhausted, Unavailable
from myx_kit.logging import get_logger

log = get_logger()


class StreamBook:
    """Counts open streams, up to `limit` in all and `own_limit` of each principal, and tells all of them when the
    process stops.
    """

    def __init__(self, limit: int, own_limit: int) -> None:
        self._limit = limit
        self._own_limit = own_limit
        self._open: Counter[str] = Counter()
        self._stop = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return self._open.total()

    @property
    def stopping(self) -> bool:
        """Whether the process is stopping."""
        return self._stop.is_set()

    @contextmanager
    def entry(self, principal: str) -> Iterator[None]:
        """Be one of the open streams of a principal, who is one by all its sessions and tokens.

        ResourceExhausted `TOO_MANY_OWN_STREAMS`, `TOO_MANY_STREAMS`; Unavailable `STOPPING`.
        """
        if self.stopping:
            raise Unavailable("STOPPING", "this gateway is stopping; try again")
        if self._open[principal] >= self._own_limit:
            raise ResourceExhausted(
                "TOO_MANY_OWN_STREAMS",
                f"{principal} has {self._own_limit} streams, downloads and uploads open here already: close some, or "
                "have MYX_GATEWAY_MAX_STREAMS_PER_PRINCIPAL raised",
                limit=str(self._own_limit),
            )
        if len(self) >= self._limit:
            raise ResourceExhausted(
                "TOO_MANY_STREAMS", f"{self._limit} streams are open here already", limit=str(self._limit)
            )
        self._open[principal] += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._open[principal] -= 1
            if not self._open[principal]:
                del self._open[principal]
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
            log.warning("streams_still_open", streams=len(self), after_s=timeout_s)
