"""Waiting for a database that is away for a moment."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from myx_kit.errors import Unavailable

_T = TypeVar("_T")

# For what an owner writes: a database that is away delays it, and whoever has lost the row learns that from the answer.
UNTIL_LOST = float("inf")
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


async def patiently(attempt: Callable[[], Awaitable[_T]], patience_s: float) -> _T:
    """The result of `attempt`, repeated with growing pauses while it raises Unavailable, for `patience_s` at most.

    Only for what may be done twice: it is not known whether a failed attempt took effect.
    """
    deadline = asyncio.get_running_loop().time() + patience_s
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return await attempt()
        except Unavailable:
            if asyncio.get_running_loop().time() + pause_s > deadline:
                raise
        await asyncio.sleep(pause_s * (1 - 0.3 * random.random()))  # noqa: S311 - spreads load, guards nothing
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
