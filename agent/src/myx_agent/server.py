"""uvicorn in our loop: no ten ticks a second, no signals of its own, nothing told to strangers."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from enum import Enum

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from myx_agent.auth import on_token_shown
from myx_agent.door import MAX_STRANGERS, Door, Guest, Strangers, raise_descriptor_limit
from myx_agent.tls import Identity

KEEP_ALIVE_S = 300
PING_INTERVAL_S = 30.0
GRACEFUL_S = 1
_REPLY_S = 0.7
_REPLY_CHECK_S = 0.01
# A head with its trailers, and what else is no body. Beyond the piece in which the limit is reached nothing is kept.
MAX_HEAD_BYTES = 32 * 1024
MAX_FIELDS = 100
MAX_PIPELINED = 16
HEAD_S = 10.0
BODY_S = 60.0


_NO_HTTP = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _Part(Enum):
    """What comes next on a connection."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"


class _RefusedError(Exception):
    """Stops the parser."""


class QuietHttp(HttpToolsProtocol):
    """Bounds requests in size and time, answers what is no HTTP barely, and upgrades nothing but the log's path."""

    log_paths = staticmethod(lambda _path: False)
    guest: Guest | None = None

    _part = _Part.NOTHING
    _number = 0
    _fields = 0
    _head_bytes = 0
    _stalled_bytes = 0
    _moved = False
    _timed: tuple[int, _Part] = (0, _Part.NOTHING)
    _timer: asyncio.TimerHandle | None = None
    _answer = _NO_HTTP
    _deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.guest is not None:
            self.guest.transport = transport
            if self.guest.dropped:
                transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.guest is not None:
            self.guest.leave()
        self._cancel_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._moved = False
        shown = on_token_shown.set(self._admit)
        try:
            super().data_received(data)
        finally:
            on_token_shown.reset(shown)
        if self._deaf or self.transport.is_closing():
            return
        self._stalled_bytes = 0 if self._moved else self._stalled_bytes + len(data)
        if self._stalled_bytes > MAX_HEAD_BYTES:
            self._answer = _TOO_LARGE
            self._refuse()
        elif (now := (self._number, self._part)) != self._timed:
            self._timed = now
            self._cancel_timer()
            if self._part is not _Part.NOTHING:
                self._timer = self.loop.call_later(HEAD_S if self._part is _Part.HEAD else BODY_S, self.transport.abort)

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            # Those that wait are answered, the last one closes; a client must reckon with that.
            self._deaf = True
            self.cycle.keep_alive = False
            raise _RefusedError
        self._move(_Part.HEAD)
        self._number += 1
        self._fields = self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._count(len(name) + len(value) + 4)
        if self._part is _Part.HEAD:  # a trailer is no header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._move(_Part.BODY)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._move(_Part.NOTHING)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._deaf = True
        self._cancel_timer()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        if not self._deaf:
            self._refuse()

    def _admit(self) -> None:
        if self.guest is not None:
            self.guest.admit()

    def _move(self, part: _Part) -> None:
        self._part = part
        self._moved = True

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES or self._fields > MAX_FIELDS:
            self._answer = _TOO_LARGE
            raise _RefusedError

    def _refuse(self) -> None:
        """Answer and close; without a word where that would be taken for the answer to another request."""
        self._deaf = True
        self._cancel_timer()
        if self._part is _Part.BODY or (self.cycle is not None and not self.cycle.response_complete):
            self.transport.abort()
        else:
            self.transport.write(self._answer)
            self.transport.close()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _should_upgrade(self) -> bool:
        path = self.url.partition(b"?")[0].decode("latin-1")
        return super()._should_upgrade() and self.parser.get_method() == b"GET" and self.log_paths(path)


class Server(uvicorn.Server):
    """Runs until `stop()`."""

    def __init__(self, config: uvicorn.Config, identity: Identity, http: type[QuietHttp]) -> None:
        super().__init__(config)
        self._identity = identity
        self._http = http
        self._stop = asyncio.Event()
        self.listening = asyncio.Event()
        self._doors: list[Door] = []

    def stop(self) -> None:
        self._stop.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        strangers = Strangers(min(MAX_STRANGERS, raise_descriptor_limit() // 4))
        self.servers = []
        self._doors = [Door(listener, self._identity, strangers, self._make_protocol) for listener in sockets or []]
        for door in self._doors:
            door.open()
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for door in self._doors:
            door.close()
        await self._until_replied()
        await super().shutdown(sockets)

    async def _until_replied(self) -> None:
        """Streams that were told to come back reply to it; uvicorn would hang up before and some would not hear it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REPLY_S):
                while any(getattr(one, "close_sent", False) for one in self.server_state.connections):  # noqa: ASYNC110
                    await asyncio.sleep(_REPLY_CHECK_S)  # it tells nobody when a connection is gone

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self.listening.set()
        await self._stop.wait()

    def _make_protocol(self, guest: Guest) -> QuietHttp:
        protocol = self._http(self.config, self.server_state, self.lifespan.state)
        protocol.guest = guest
        return protocol

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: ASGIApp, identity: Identity, http: type[QuietHttp]) -> Server:
    config = uvicorn.Config(
        app,
        http=http,
        loop="asyncio",
        ws="websockets-sansio",
        ws_max_size=65536,
        ws_ping_interval=PING_INTERVAL_S,
        ws_ping_timeout=PING_INTERVAL_S,
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_S,
    )
    return Server(config, identity, http)


def bind(address: str, port: int) -> socket.socket:
    """A listening socket; with an empty address on IPv6 and IPv4. Raises OSError."""
    if address:
        return _listen(socket.AF_INET6 if ":" in address else socket.AF_INET, address, port)
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return _listen(socket.AF_INET6, "::", port)
    return _listen(socket.AF_INET, "0.0.0.0", port)  # noqa: S104 - the agent serves its network


def _listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    # The protocol must be named: asyncio sets TCP_NODELAY only where it sees it (40 ms an answer otherwise).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "::" else 1)
        listener.bind((address, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener
