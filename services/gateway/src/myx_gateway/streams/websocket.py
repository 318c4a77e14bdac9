"""Feeds as WebSockets."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from myx_gateway.access.access import Access
from myx_gateway.access.guard import Guard
from myx_gateway.access.operation import Operation
from myx_gateway.access.standing import Standing
from myx_gateway.streams import frames
from myx_gateway.streams.feed import Feed
from myx_gateway.streams.outlet import (
    ClientGoneError,
    ClientStalledError,
    Outlet,
    StoppingError,
    unless_stopping,
)
from myx_gateway.streams.parts import StreamParts
from myx_kit.errors import Code, MyxError
from myx_kit.logging import get_logger

log = get_logger()

_NORMAL, _POLICY, _INTERNAL, _RESTART, _AGAIN = 1000, 1008, 1011, 1012, 1013
_CODES = {
    Code.UNAVAILABLE: _AGAIN,
    Code.DEADLINE_EXCEEDED: _AGAIN,
    Code.INVALID_ARGUMENT: _POLICY,
    Code.PERMISSION_DENIED: _POLICY,
}

Query = dict[str, str]


@dataclass(frozen=True)
class Opening:
    """What a client asks for: the id in the path (empty where there is none) and the query."""

    parts: StreamParts
    access: Access
    id: str
    queries: dict[str, list[str]]

    @property
    def query(self) -> Query:
        """The last value of each name."""
        return {name: value[-1] for name, value in self.queries.items()}


MakeFeed = Callable[[Opening], Feed]


class FeedSocket:
    """A feed, made of the path's id and the query, then close 1000; `ping` in silence.

    Before the upgrade errors are plain HTTP problems. Afterwards: 1012 the gateway stops, 1013 the source cannot be
    had now, 1008 the client does not read, says something wrong or may not any more, 1011 a fault; each with a reason.
    """

    def __init__(self, operation: Operation, make: MakeFeed) -> None:
        self._operation = operation
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        state = scope["app"].state
        parts: StreamParts = state.stream_parts
        guard: Guard = state.guard
        access = Access(guard, scope["state"]["principal"], self._operation)
        params = await guard.require(access.principal, self._operation, scope["path_params"])
        feed = self._make(Opening(parts, access, next(iter(params.values()), ""), _queries(scope["query_string"])))
        await receive()  # websocket.connect
        with parts.book.entry(access.principal.name):
            standing = Standing(guard, state.renew, access, params, state.recheck_s)
            outlet = Outlet(scope, receive, send, parts.patience, standing)
            try:
                await feed.open()
                await send({"type": "websocket.accept"})
                code, reason = await _talk(parts, feed, outlet, receive)
            finally:
                await feed.close()
        log.info("stream_ended", code=code, reason=reason, **feed.place())


async def _talk(parts: StreamParts, feed: Feed, outlet: Outlet, receive: Receive) -> tuple[int, str]:
    """Run an accepted socket to its end; the close code and its reason."""

    async def ping() -> None:
        await outlet.send({"type": "websocket.send", "text": feed.ping_text()})

    try:
        if feed.listens:
            await unless_stopping(feed.listen(receive), parts.book)
        await outlet.run(_pump(feed, outlet), ping, parts.book)
        code, reason = _NORMAL, ""
    except ClientGoneError:
        return _NORMAL, "client gone"
    except ClientStalledError:
        code, reason = _POLICY, f"nothing was read for {parts.patience.stall_s:g} s"
    except StoppingError:
        code, reason = _RESTART, f"the gateway is restarting; come back with {feed.comeback}"
    except MyxError as error:
        code = _CODES.get(error.code, _INTERNAL)
        reason = frames.close_reason(f"{error.reason}: {error.message}")
    except Exception as error:
        log.error("stream_failed", exc_info=error, **feed.place())
        code, reason = _INTERNAL, "internal error"
    if code == _NORMAL:
        await _close(outlet, code, reason)
    else:
        outlet.hang_up(code, reason)
    return code, reason


async def _close(outlet: Outlet, code: int, reason: str) -> None:
    try:
        await outlet.send({"type": "websocket.close", "code": code, "reason": reason})
    except ClientStalledError:
        outlet.hang_up(_POLICY, "the end was not read")
    except ClientGoneError:
        pass


async def _pump(feed: Feed, outlet: Outlet) -> None:
    async for message in feed.messages():
        kind = "text" if isinstance(message, str) else "bytes"
        await outlet.send({"type": "websocket.send", kind: message})


def _queries(query: bytes) -> dict[str, list[str]]:
    return parse_qs(query.decode("latin-1"), keep_blank_values=True)
