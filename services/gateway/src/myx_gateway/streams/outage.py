"""A source behind that is away for a while: tried again with growing waits, up to a limit."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from myx_kit.errors import Code, DeadlineExceeded, MyxError, Unavailable
from myx_kit.logging import get_logger

log = get_logger()

_T = TypeVar("_T")

# A call that lived this long was a good one: the next failure begins a new outage.
_GOOD_AFTER_S: Final = 5.0
_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 1.0


class Outage:
    """Bears the failures of one source for `heal_s`; then raises Unavailable `lost_reason`."""

    def __init__(self, heal_s: float, lost_reason: str = "LOG_SOURCE_LOST") -> None:
        self._heal_s = heal_s
        self._lost_reason = lost_reason
        self._opened_at: float | None = None
        self._lost_at: float | None = None
        self._wait_s = _FIRST_WAIT_S

    def opened(self) -> None:
        """A new call was begun."""
        self._opened_at = time.monotonic()

    def over(self) -> None:
        """The source gives again."""
        self._lost_at, self._wait_s = None, _FIRST_WAIT_S

    async def bear(self, error: MyxError, comeback: str, **fields: str) -> None:
        """Wait a little before the next try; raises `error` when it is not one that passes, Unavailable if it lasts.

        `comeback` and `fields` tell the client with what to come back.
        """
        # The deadline of a stream's call is ours: it is renewed, and nobody notices.
        if error.code is not Code.UNAVAILABLE and not isinstance(error, DeadlineExceeded):
            raise error
        now = time.monotonic()
        was_good = self._opened_at is not None and now - self._opened_at > _GOOD_AFTER_S
        self._opened_at = None
        if self._lost_at is None or was_good:
            self._lost_at, self._wait_s = now, _FIRST_WAIT_S
            log.info("stream_source_lost", reason=error.reason, **fields)
        if now - self._lost_at >= self._heal_s:
            raise Unavailable(self._lost_reason, f"it cannot be had now; come back {comeback}", **fields) from error
        await asyncio.sleep(self._wait_s * random.uniform(0.5, 1))  # noqa: S311 - spreads load, guards nothing
        self._wait_s = min(self._wait_s * 2, _LONGEST_WAIT_S)

    async def patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """What `call` gives, tried again while it is Unavailable."""
        while True:
            try:
                answer = await call()
            except MyxError as error:
                await self.bear(error, "later")
            else:
                self.over()
                return answer
