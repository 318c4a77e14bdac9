"""What a client without a token may send: trailers and requests in a row have an end."""

import asyncio
import contextlib
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1 << 20
POST = b"POST /api/v1/commands HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side closes."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := await asyncio.wait_for(reader.read(MB), 5):
            data += piece
    return data


async def flood(gateway: Any, beginning: bytes, piece: bytes, limit: int) -> bytes:
    """Send `piece` again and again after `beginning`; what comes until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    sent = 0
    with contextlib.suppress(OSError):
        writer.write(beginning)
        while sent < limit and not reader.at_eof():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
            sent += len(piece)
    answer = await rest_of(reader)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        (POST + b"0\r\n", b"X-A: " + b"a" * 60_000 + b"\r\n"),
        (POST + b"0\r\nX-A: ", b"a" * 16_384),
        (POST + b"0\r\n", b"X: 1\r\n" * 1000),
        (POST + b"5;", b"a" * 16_384),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: 1\r\n" * 1000),
        (b"", b"\r\n" * 8192),
    ],
    ids=["trailers", "trailer", "small trailers", "extension", "small", "blank"],
)
async def test_what_has_no_end_is_cut_off(gateway: Any, beginning: bytes, piece: bytes) -> None:
    before = gateway.rss_bytes()
    await flood(gateway, beginning, piece, 16 * MB)

    assert gateway.rss_bytes() - before < 8 * MB


async def test_trailers_are_no_headers(gateway: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(POST + b"2\r\n{}\r\n0\r\nAuthorization: Bearer " + gateway.token.encode() + b"\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    await writer.wait_closed()

    assert head.startswith(b"HTTP/1.1 401 ")


async def test_a_body_in_pieces_with_trailers_is_taken(gateway: Any, backend: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = POST.replace(b"\r\n\r\n", b"\r\nContent-Type: application/json\r\nConnection: close\r\n")
    writer.write(head + b"Authorization: Bearer " + gateway.token.encode() + b"\r\n\r\n")
    for byte in b'{"server": "web-1", "command": "sh"}':
        writer.write(b"1\r\n%c\r\n" % byte)
    writer.write(b"0\r\nX-Checksum: 1\r\n\r\n")
    answer = await rest_of(reader)
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 201 ")


async def test_of_many_pipelined_requests_the_first_are_answered_and_no_more(gateway: Any) -> None:
    before = gateway.rss_bytes()
    answer = await flood(gateway, b"", GET * 20_000, 1)

    assert 2 <= answer.count(b"HTTP/1.1 200") < 100
    assert answer.count(b"HTTP/1.1") == answer.count(b"HTTP/1.1 200")
    assert gateway.rss_bytes() - before < 8 * MB


async def test_requests_do_not_queue_behind_one_that_waits(gateway: Any, backend: Any) -> None:
    backend.holds["GetCommand"] = asyncio.Event()
    before = gateway.rss_bytes()
    slow = GET.replace(b"/healthz", b"/api/v1/commands/abc").replace(
        b"\r\n\r\n", b"\r\nAuthorization: Bearer " + gateway.token.encode() + b"\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(slow)
    writer.write(GET * 5_000)
    async with gateway.http.get("/healthz") as answer:
        assert answer.status == 200
    backend.holds["GetCommand"].set()
    answers = await rest_of(reader)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()

    assert 2 <= answers.count(b"HTTP/1.1 200") < 100
    assert gateway.rss_bytes() - before < 8 * MB


async def test_a_few_pipelined_requests_are_all_answered(gateway: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    writer.write(GET * 15 + last)
    answer = await rest_of(reader)
    writer.close()
    await writer.wait_closed()

    assert answer.count(b"HTTP/1.1 200") == 16


UPGRADE = (
    b"Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
EVENTS = b"GET /api/v1/events HTTP/1.1\r\n" + UPGRADE


@pytest.mark.parametrize(
    "sent",
    [
        EVENTS + b"Content-Length: 2\r\n\r\n{}",
        EVENTS + b"Content-Length: 2\r\n\r\n",
        EVENTS + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/events HTTP/1.1\r\n" + UPGRADE + b"\r\n",
        b"POST /api/v1/commands HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 2\r\n\r\n{}",
        EVENTS + b"X-A: " + b"a" * 9_000 + b"\r\n\r\n",
        EVENTS + b"X: 1\r\n" * 150 + b"\r\n",
        b"GET /api/v1/\xc3\xa9 HTTP/1.1\r\n" + UPGRADE + b"\r\n",
    ],
    ids=["body", "promised", "chunked", "post", "post with body", "long header", "many headers", "path"],
)
async def test_what_cannot_become_a_websocket_is_refused_at_once(gateway: Any, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(sent)
    answer = await rest_of(reader)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"NOT_HTTP"' in answer


async def test_a_websocket_that_is_refused_is_answered_and_is_no_error(gateway: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(EVENTS + b"\r\n")
    answer = await rest_of(reader)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 401")
    assert "handshake" not in gateway.program.output()
