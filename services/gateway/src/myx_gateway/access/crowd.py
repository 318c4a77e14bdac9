"""How many may log in at the same time: those who flood the door must not take the database from those inside."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from myx_kit.errors import ResourceExhausted

# Of the connections to the database, and of one address.
_AT_ONCE: Final = 2
_OF_ONE: Final = 8
_INSIDE: Final = 64


class Crowd:
    """Those who are about to be looked at; they wait for each other, and only so many of them, and of each place."""

    def __init__(self) -> None:
        self._running = asyncio.Semaphore(_AT_ONCE)
        self._inside: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, place: str) -> AsyncIterator[None]:
        """ResourceExhausted `LOGIN_BUSY`, at once, when too many wait."""
        if self._inside[place] >= _OF_ONE or self._inside.total() >= _INSIDE:
            raise ResourceExhausted("LOGIN_BUSY", "too many people log in at this moment; try again")
        self._inside[place] += 1
        try:
            async with self._running:
                yield
        finally:
            self._inside[place] -= 1
            if not self._inside[place]:
                del self._inside[place]
