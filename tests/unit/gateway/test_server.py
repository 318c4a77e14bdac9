"""The time that a connection has until its request."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.responses import PlainTextResponse

from myx_gateway import server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest_asyncio.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Of a server that answers all with `ok` and waits a moment for requests."""
    monkeypatch.setattr(server, "_HEAD_TIMEOUT_S", 0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    running = server.HttpServer(PlainTextResponse("ok"), listener, drain_s=1)
    task = asyncio.create_task(running.run())
    await running.wait_started()
    yield listener.getsockname()[1]
    running.stop()
    await task


@pytest.mark.parametrize(
    ("request_", "then"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (GET + b"\r\n", b"\r\n"),
        (GET + b"\r\n", b"G"),
        (GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", b"x"),
    ],
    ids=["nothing", "a line", "a line behind a request", "a letter", "an upgrade to what is not spoken"],
)
async def test_a_connection_that_sends_no_request_is_closed(port: int, request_: bytes, then: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if request_:
        writer.write(request_)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    writer.write(then)

    with contextlib.suppress(ConnectionError):
        assert b"200" not in await asyncio.wait_for(reader.read(), 10)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_a_websocket_that_is_refused_is_no_error_of_ours(port: int, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    writer.write(GET + upgrade + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"ok")
    assert not caplog.records
