"""How long to try again."""

import asyncio
import random
from collections.abc import Awaitable, Callable

_FIRST_S = 0.2
_LONGEST_S = 5.0


class Patience:
    """Pauses of 0.2 s growing to 5 s, until `limit_s` has passed since the last progress."""

    def __init__(self, limit_s: float, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._limit_s = limit_s
        self._sleep = sleep
        self._since: float | None = None
        self._pause_s = _FIRST_S

    def progress(self) -> None:
        """All is well; the next trouble gets the full time."""
        self._since, self._pause_s = None, _FIRST_S

    async def pause(self, least_s: float = 0.0) -> bool:
        """Wait before the next try, at least `least_s`. False, at once, when the time is over."""
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        left = self._limit_s - (now - self._since)
        if left <= 0 or least_s > left:
            return False
        # Clients that were cut off together must not come back together.
        await self._sleep(min(left, max(least_s, self._pause_s * random.uniform(0.5, 1.0))))  # noqa: S311
        self._pause_s = min(_LONGEST_S, self._pause_s * 2)
        return True
