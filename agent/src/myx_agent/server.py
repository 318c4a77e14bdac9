"""uvicorn in our loop: no ten ticks a second, no signals of its own, nothing told to strangers."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEEP_ALIVE_S = 300
PING_INTERVAL_S = 30.0
GRACEFUL_S = 1
FIRST_REQUEST_S = 30
MAX_CONNECTIONS = 1000
_BARE_400 = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class QuietHttp(HttpToolsProtocol):
    """Answers what is no HTTP with a bare 400, and upgrades nothing but the log's path."""

    log_paths = staticmethod(lambda _path: False)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        self.timeout_keep_alive_task = self.loop.call_later(FIRST_REQUEST_S, self.timeout_keep_alive_handler)

    def send_400_response(self, msg: str) -> None:
        self.transport.write(_BARE_400)
        self.transport.close()

    def _should_upgrade(self) -> bool:
        path = self.url.partition(b"?")[0].decode("latin-1")
        return super()._should_upgrade() and self.parser.get_method() == b"GET" and self.log_paths(path)


class Server(uvicorn.Server):
    """Runs until `stop()`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stop = asyncio.Event()
        self.listening = asyncio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self.listening.set()
        await self._stop.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: ASGIApp, context: ssl.SSLContext, http: type[HttpToolsProtocol]) -> Server:
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
        ssl_context_factory=lambda _config, _default: context,
    )
    return Server(config)


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
