"""The client's side of a stream: bounded waiting, signs of life, and three ways to end."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from myx_gateway.access.standing import Standing
from myx_gateway.observed import STALLED_STREAMS
from myx_gateway.streams.book import StreamBook

Abort = Callable[[], None]
# Under this key of scope["extensions"] the server gives a way to drop the connection with all that waits in it.
ABORT_EXTENSION = "myx.abort"
# Under this one, for WebSockets, a way to send a close frame past what waits and to drop the connection soon after.
HANG_UP_EXTENSION = "myx.hang_up"


class ClientStalledError(Exception):
    """The client has taken nothing for too long."""


class ClientGoneError(Exception):
    """The client has left."""


class StoppingError(Exception):
    """The process is stopping."""


async def unless_stopping(work: Coroutine[Any, Any, None], book: StreamBook) -> None:
    """Do `work`; StoppingError as soon as the process is stopping."""
    working = asyncio.create_task(work, name="stream-work")
    stopping = asyncio.create_task(book.wait_stopping(None), name="stream-stopping")
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise StoppingError
        await working
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


@dataclass(frozen=True)
class Patience:
    """How long a stream waits for its client, and for output before it says that it is alive; seconds."""

    stall_s: float
    ping_s: float


class Outlet:
    """Sends to one client. What is not taken stays in front of `send`, so nothing piles up here."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, patience: Patience, standing: Standing | None = None
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._patience = patience
        self._standing = standing
        self._sending = False
        self._last_sent = time.monotonic()

    async def send(self, message: Message) -> None:
        """Send; ClientStalledError after `stall_s`, ClientGoneError when nobody is there."""
        self._sending = True
        try:
            async with asyncio.timeout(self._patience.stall_s):
                await self._send(message)
        except TimeoutError:
            STALLED_STREAMS.inc()
            raise ClientStalledError from None
        except OSError:
            raise ClientGoneError from None
        finally:
            self._sending = False
        self._last_sent = time.monotonic()

    async def run(self, pump: Coroutine[Any, Any, None], ping: Callable[[], Awaitable[None]], book: StreamBook) -> None:
        """Run `pump` to its end, with `ping` in silence.

        Raises what pump raises, ClientGoneError when the client leaves, StoppingError when the process stops,
        PermissionDenied `FORBIDDEN` when the client may not any more.
        """
        pumping = asyncio.create_task(pump, name="stream-pump")
        tasks = [
            pumping,
            asyncio.create_task(self._attend(ping, book), name="stream-attend"),
            asyncio.create_task(self._wait_gone(), name="stream-gone"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    return await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def abort(self) -> None:
        """Drop the connection, and with it all that the client has not taken."""
        abort: Abort | None = self._scope.get("extensions", {}).get(ABORT_EXTENSION)
        if abort is not None:
            abort()

    def hang_up(self, code: int, reason: str) -> None:
        """Say why and drop a WebSocket whose client may not be reading."""
        hang_up: Callable[[int, str], None] | None = self._scope.get("extensions", {}).get(HANG_UP_EXTENSION)
        if hang_up is not None:
            hang_up(code, reason)

    async def _attend(self, ping: Callable[[], Awaitable[None]], book: StreamBook) -> None:
        standing, turn_s = self._standing, self._patience.ping_s
        if standing is not None:
            turn_s = min(turn_s, standing.interval_s)
        checked_at = time.monotonic()
        while not await book.wait_stopping(turn_s):
            now = time.monotonic()
            if standing is not None and now - checked_at >= standing.interval_s * 0.9:
                await standing.check()
                checked_at = now
            if not self._sending and now - self._last_sent >= self._patience.ping_s * 0.9:
                await ping()
        raise StoppingError

    async def _wait_gone(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] in {"http.disconnect", "websocket.disconnect"}:
                raise ClientGoneError
