"""Waiting for a condition with a deadline, the only way tests wait."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(
    condition: Callable[[], T | Awaitable[T]], timeout_s: float = 10, *, interval_s: float = 0.01, what: str = ""
) -> T:
    """The first true value that `condition` (plain or async) gives. AssertionError: none within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        outcome = condition()
        value = await outcome if inspect.isawaitable(outcome) else outcome
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or describe(condition)}"
        await asyncio.sleep(interval_s)


def until_sync(condition: Callable[[], T], timeout_s: float = 10, *, interval_s: float = 0.01, what: str = "") -> T:
    """`until` for fixtures and tests without a loop."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or describe(condition)}"
        time.sleep(interval_s)
    return value


def describe(condition: Callable[[], object]) -> str:
    """The source of a condition where it can be had, for the message of a failed wait."""
    try:
        return inspect.getsource(condition).strip()
    except (OSError, TypeError):
        return repr(condition)
