"""uvicorn inside our own lifecycle: listening socket, limits on request heads, connections that can be dropped."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from myx_gateway.problems import MEDIA_TYPE, body_of, status_of
from myx_gateway.streams.outlet import ABORT_EXTENSION, HANG_UP_EXTENSION
from myx_kit.errors import FailedPrecondition, InvalidArgument, MyxError

# Request line, headers and trailers together; sent before anything is authenticated.
MAX_HEAD_BYTES: Final = 64 << 10
MAX_FIELDS: Final = 200
# Requests that wait for the answers to those before them.
MAX_PIPELINED: Final = 16
_HEAD_TIMEOUT_S: Final = 20.0
_KEEP_ALIVE_S: Final = 75
# The most that a client has to say are its offsets in a job of 20,000 targets; more than this is closed with 1009.
_MAX_WEBSOCKET_MESSAGE: Final = 512 << 10
# For a client to read why it was refused.
_LINGER_S: Final = 1.0
# For a close frame to reach a client that has begun to read again.
_HANG_UP_S: Final = 2.0
_BACKLOG: Final = 1024
# A silent peer that vanished is noticed within about a minute, one that acknowledges nothing within two.
# Not every system has all of them.
_TCP_OPTIONS: Final = {
    "TCP_NODELAY": 1,
    "TCP_KEEPIDLE": 30,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 120_000,
}


class HttpServer:
    """Serves an ASGI application on a listening socket until `stop`."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, *, drain_s: float, tls: ssl.SSLContext | None = None
    ) -> None:
        self._listener = listener
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_HttpProtocol,
                ws=_WebSocketProtocol,
                ws_per_message_deflate=False,
                # Pongs of a slow reader come late; our own signs of life and the stall limit take this part.
                ws_ping_interval=None,
                ws_max_size=_MAX_WEBSOCKET_MESSAGE,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=max(1, int(drain_s)),
                ssl_context_factory=None if tls is None else lambda _config, _default: tls,
            )
        )
        # Its info lines hold whole request targets, and so whatever people put into a query.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)

    async def run(self) -> None:
        """Serve; returns after `stop` when the last request has ended or its time is over."""
        await self._server.serve(sockets=[self._listener])

    async def wait_started(self) -> None:
        """Wait until connections are accepted."""
        await self._server.up.wait()

    def stop(self) -> None:
        """Take no new connection and let `run` return."""
        self._server.should_exit = True
        self._server.wake.set()


class _Server(uvicorn.Server):
    """Without signal handlers, and with one tick a second instead of ten."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.wake = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process' own lifecycle."""
        yield

    async def main_loop(self) -> None:
        """Tick until told to stop."""
        self.up.set()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.wake.wait()


class _Part(Enum):
    """What comes next on a connection."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"


class _RefusedError(Exception):
    """Stops the parser."""


class _HttpProtocol(HttpToolsProtocol):
    """Bounds requests in size, number and (their heads) in time, answers what is no HTTP with a problem."""

    _part = _Part.NOTHING
    _fields = 0
    _head_bytes = 0
    _stalled_bytes = 0
    _moved = False
    _head_timer: asyncio.TimerHandle | None = None
    _too_large = False
    _deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._moved = False
        super().data_received(data)
        if self._deaf or self.transport.is_closing():
            return
        # The parser keeps an unfinished field to itself: what brings a message no further is counted here.
        self._stalled_bytes = 0 if self._moved else self._stalled_bytes + len(data)
        if self._stalled_bytes > MAX_HEAD_BYTES:
            self._too_large = True
            self._refuse()
        elif self._waits:
            self._await_head()

    @property
    def _waits(self) -> bool:
        """Whether a request is to come, and what arrived has taken away the time that an idle connection has."""
        answered = self.cycle is None or self.cycle.response_complete
        return self._part is _Part.NOTHING and answered and self.timeout_keep_alive_task is None

    def handle_websocket_upgrade(self) -> None:
        # From now on the connection is another protocol's, with its own time limits.
        self._deaf = True
        self._cancel_head_timer()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            # Those that wait are answered, the last one closes; a client must reckon with that.
            self._deaf = True
            self.cycle.keep_alive = False
            raise _RefusedError
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_EXTENSION: self.transport.abort}  # type: ignore[dict-item]
        self._move(_Part.HEAD)
        self._fields = self._head_bytes = 0
        self._await_head()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._count(len(name) + len(value) + 4)
        if self._part is _Part.HEAD:  # a trailer is no header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self._should_upgrade() and not self._is_handshake():
            raise _RefusedError
        self._move(_Part.BODY)
        self._cancel_head_timer()
        super().on_headers_complete()

    def _is_handshake(self) -> bool:
        """Whether the WebSocket protocol can make something of it: RFC 6455 4.1, alone and without a body."""
        if self.parser.get_method() != b"GET" or not self.url.isascii():
            return False
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        lengths = {value for name, value in self.headers if name == b"content-length"}
        return lengths <= {b"0"} and all(name != b"transfer-encoding" for name, _ in self.headers)

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._move(_Part.NOTHING)
        super().on_message_complete()

    def _move(self, part: _Part) -> None:
        self._part = part
        self._moved = True

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES or self._fields > MAX_FIELDS:
            self._too_large = True
            raise _RefusedError

    def send_400_response(self, msg: str) -> None:
        if not self._deaf:
            self._refuse()

    def _refuse(self) -> None:
        self._deaf = True
        self._cancel_head_timer()
        if self._part is _Part.BODY or (self.cycle is not None and not self.cycle.response_complete):
            # Whatever we say would be taken for the answer to a request that is being answered.
            self.transport.abort()
            return
        if self._too_large:
            text = f"request line and headers are larger than {MAX_HEAD_BYTES} bytes or more than {MAX_FIELDS} lines"
            error = InvalidArgument("HEAD_TOO_LARGE", text)
        else:
            error = InvalidArgument("NOT_HTTP", "this is not a valid HTTP request")
        _send_away(self.loop, self.transport, error)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(_HEAD_TIMEOUT_S, self._head_too_late)

    def _head_too_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.abort()

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _send_away(loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, error: MyxError) -> None:
    body = body_of(error, "")
    status = status_of(error)
    head = f"HTTP/1.1 {status} \r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
    transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
    if transport.can_write_eof():  # TLS has no half-closed connections
        transport.write_eof()
    # What is still on its way is read and thrown away: closing now would reset the connection under our answer.
    loop.call_later(_LINGER_S, transport.abort)


class _WebSocketProtocol(WebSocketsSansIOProtocol):
    """Can be closed past what its client has not read, and then goes away for certain."""

    _hanging_up = False
    _deaf = False

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            # The first data is the whole handshake. What its parser does not like it would wait behind for ever.
            self._deaf = True
            _send_away(self.loop, self.transport, InvalidArgument("NOT_HTTP", "this is not a valid handshake"))

    async def send(self, message: Any) -> None:
        """Pass on; a refusal before the handshake is an answer too."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            # Else the server logs an error for each of them, that no answer was given.
            self.handshake_complete = True

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"][HANG_UP_EXTENSION] = self.hang_up  # type: ignore[assignment]

    def hang_up(self, code: int, reason: str) -> None:
        """Put a close frame behind what waits and drop the connection soon after, read or not."""
        if self.disconnected or self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_HANG_UP_S, self.transport.abort)
        self._hanging_up = True

    def shutdown(self) -> None:
        """Close with 1012, unless it is being closed already: waiting for the client's answer has its own end."""
        if not self._hanging_up:
            super().shutdown()


def open_listener(listen: str, listen_fd: int | None) -> socket.socket:
    """The listening socket: the inherited `listen_fd`, or a new one at `listen` ("host:port").

    FailedPrecondition `LISTEN_FAILED` when the address cannot be had, `LISTEN_FD_UNUSABLE` when it does not
    listen.
    """
    listener = _inherited(listen_fd) if listen_fd is not None else _bound(listen)
    # Accepted connections inherit these.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS.items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    listener.setblocking(False)
    return listener


def _inherited(number: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=number)
        listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        listening, cause = 0, error.strerror
    else:
        cause = "it does not listen"
    if not listening:
        raise FailedPrecondition("LISTEN_FD_UNUSABLE", f"descriptor {number} is no listening socket: {cause}")
    listener.set_inheritable(False)
    return listener


def _bound(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG, reuse_port=False)
    except OSError as error:
        text = f"cannot listen on {listen}: {error.strerror or error}; is the port in use?"
        raise FailedPrecondition("LISTEN_FAILED", text, address=listen) from None
