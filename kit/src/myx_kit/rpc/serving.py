"""A server that says whether it can serve: clients of several replicas leave one that has lost what it works with."""

import asyncio
from collections.abc import Awaitable, Callable

from myx_kit.errors import Unavailable
from myx_kit.logging import get_logger
from myx_kit.rpc.server import RpcServer

log = get_logger()

# One slow answer is no loss: what is merely busy must not look away.
_FAILURES = 2
_LIMIT_S = 5.0


class ServingWhile:
    """`run_once`, every second or so: the server serves after a `check` that passed, and not after two that failed.

    A check fails by Unavailable, or by taking longer than `limit_s`. `on_lost` is called when it serves no more.
    """

    def __init__(
        self,
        server: RpcServer,
        check: Callable[[], Awaitable[object]],
        *,
        on_lost: Callable[[], None] = lambda: None,
        limit_s: float = _LIMIT_S,
    ) -> None:
        self._server = server
        self._check = check
        self._on_lost = on_lost
        self._limit_s = limit_s
        self._failures = 0

    async def run_once(self) -> None:
        """One look."""
        reason = await self._failure()
        self._failures = self._failures + 1 if reason else 0
        if self._failures == _FAILURES:
            log.warning("not_serving", reason=reason)
            await self._server.serving(now=False)
            self._on_lost()
        elif not reason and not self._server.ready:
            await self._server.serving(now=True)

    async def _failure(self) -> str:
        try:
            async with asyncio.timeout(self._limit_s):
                await self._check()
        except Unavailable as error:
            return error.reason
        except TimeoutError:
            return "TIMEOUT"
        return ""
