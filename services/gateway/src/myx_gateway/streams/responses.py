"""Streams as the body of an HTTP response."""

import json
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from myx_gateway.access.standing import Watched
from myx_gateway.streams.feed import Feed
from myx_gateway.streams.outlet import ClientGoneError, ClientStalledError, Outlet, StoppingError
from myx_gateway.streams.parts import StreamParts
from myx_kit.errors import MyxError
from myx_kit.logging import get_logger

log = get_logger()

_RETRY = b"retry: 1000\n\n"


class StreamResponse(Watched, Response):
    """Sends `pieces` as the body; errors before the first byte leave as problems."""

    def __init__(self, parts: StreamParts) -> None:
        super().__init__(media_type=self.media_type)
        del self.headers["content-length"]
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the source, the client or the process ends."""
        with self._parts.book.entry(scope["state"]["principal"].name):
            outlet = Outlet(scope, receive, send, self._parts.patience, self.standing)
            try:
                await self.open()
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                reason = await self._run(outlet)
            finally:
                await self.close()
        log.info("stream_ended", reason=reason, **self.place())

    async def _run(self, outlet: Outlet) -> str:
        write = _writer(outlet)
        try:
            await outlet.run(self._pump(write), lambda: self.ping(write), self._parts.book)
            await self.end(outlet, b"")
        except ClientGoneError:
            return "client gone"
        except ClientStalledError:
            outlet.abort()
            return "client stalled"
        except StoppingError:
            await self.break_off(outlet, "STOPPING", "the gateway is restarting")
            return "stopping"
        except MyxError as error:
            await self.break_off(outlet, error.reason, error.message)
            return error.reason
        except Exception as error:
            log.error("stream_failed", exc_info=error, **self.place())
            await self.break_off(outlet, "INTERNAL", "internal error")
            return "internal error"
        return "complete"

    async def _pump(self, write: "Write") -> None:
        async with aclosing(self.pieces()) as pieces:
            async for piece in pieces:
                await write(piece)

    @abstractmethod
    async def open(self) -> None:
        """See that it is there, and settle status and headers."""

    @abstractmethod
    def pieces(self) -> AsyncGenerator[bytes]:
        """The body."""

    @abstractmethod
    async def close(self) -> None:
        """End the call behind."""

    @abstractmethod
    def place(self) -> dict[str, str | int]:
        """What it is of and how far it came, for the log."""

    async def ping(self, write: "Write") -> None:
        """Say that the stream is alive."""

    async def break_off(self, outlet: Outlet, _reason: str, _detail: str) -> None:
        """End a body that is not complete: without its end mark, so that nobody takes it for all."""
        outlet.abort()

    async def end(self, outlet: Outlet, body: bytes) -> None:
        """Send the last of it and the end mark."""
        try:
            await outlet.send({"type": "http.response.body", "body": body, "more_body": False})
        except ClientStalledError:
            outlet.abort()
        except ClientGoneError:
            pass


Write = Callable[[bytes], Awaitable[None]]


def _writer(outlet: Outlet) -> Write:
    async def write(data: bytes) -> None:
        await outlet.send({"type": "http.response.body", "body": data, "more_body": True})

    return write


class EventStream(StreamResponse):
    """A feed as server-sent events."""

    media_type = "text/event-stream"

    def __init__(self, parts: StreamParts, feed: Feed) -> None:
        super().__init__(parts)
        self.headers["X-Accel-Buffering"] = "no"
        self._feed = feed

    async def open(self) -> None:
        """Open the feed."""
        await self._feed.open()

    async def pieces(self) -> AsyncGenerator[bytes]:
        """How soon to come back, then the events."""
        yield _RETRY
        async for event in self._feed.events():
            yield event

    async def close(self) -> None:
        """Close the feed."""
        await self._feed.close()

    def place(self) -> dict[str, str | int]:
        """Of the feed."""
        return self._feed.place()

    async def ping(self, write: Write) -> None:
        """A comment, and what the feed adds to it."""
        await write(self._feed.ping_event())

    async def break_off(self, outlet: Outlet, reason: str, detail: str) -> None:
        """The event `close`, and the end."""
        text = json.dumps({"reason": reason, "detail": detail})
        await self.end(outlet, f"event: close\ndata: {text}\n\n".encode())
