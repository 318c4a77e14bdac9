"""The small HTTP port of a service: probes and Prometheus."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from myx_kit.errors import FailedPrecondition
from myx_kit.metrics import measure

_REQUEST_TIMEOUT_S = 5
_HEAD_LIMIT_BYTES = 8192


class HttpPort:
    """Serves GET /metrics, /livez and /readyz over plain HTTP/1.1, one request per connection; close with `close()`."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    @property
    def address(self) -> str:
        """The host:port it listens on."""
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def close(self) -> None:
        """Stop listening."""
        self._server.close()


async def serve_http(listen: str, ready: Callable[[], bool]) -> HttpPort | None:
    """Open the port at `listen` ("host:port"; empty: none). /readyz answers 503 while `ready()` is false.

    FailedPrecondition `LISTEN_FAILED` when the address cannot be had.
    """
    if not listen:
        return None

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await _answer(head, ready))
                await writer.drain()
        writer.close()

    host, _, port = listen.rpartition(":")
    try:
        server = await asyncio.start_server(on_connection, host.strip("[]"), int(port), limit=_HEAD_LIMIT_BYTES)
    except OSError as error:
        message = f"cannot listen on {listen}: {error.strerror}"
        raise FailedPrecondition("LISTEN_FAILED", message, address=listen) from None
    return HttpPort(server)


async def _answer(head: bytes, ready: Callable[[], bool]) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method != b"GET":
        return _response("405 Method Not Allowed", b"GET only\n")
    if path == b"/metrics":
        await measure()
        return _response("200 OK", generate_latest(), CONTENT_TYPE_LATEST)
    if path == b"/livez":
        return _response("200 OK", b"ok\n")
    if path == b"/readyz":
        return _response("200 OK", b"ok\n") if ready() else _response("503 Service Unavailable", b"not ready\n")
    return _response("404 Not Found", b"not found\n")


def _response(status: str, body: bytes, content_type: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
