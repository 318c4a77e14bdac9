"""Who has no token can neither fill the agent's memory nor keep others out."""

import asyncio
import contextlib
import functools
import resource
import ssl
import time

import psutil
import pytest
import uvicorn
from uvicorn.server import ServerState

from myx_agent import server
from myx_testkit.wait import until

MB = 1 << 20
ATTACKER = ("127.0.0.2", 0)


async def connect(caller, *, tls=True, source=None):
    context = caller.tls if tls else None
    name = "x" if tls else None
    port = caller.agent.rpc_port
    return await asyncio.wait_for(
        asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name, local_addr=source), 15
    )


async def close(*writers):
    for writer in writers:
        writer.close()
    for writer in writers:
        with contextlib.suppress(OSError, ssl.SSLError):
            await asyncio.wait_for(writer.wait_closed(), 5)


async def rest_of(reader, timeout_s=5):
    """What comes until the other side closes."""
    data = b""
    with contextlib.suppress(OSError, ssl.SSLError):
        while piece := await asyncio.wait_for(reader.read(MB), timeout_s):
            data += piece
    return data


async def flood(caller, beginning, piece, limit=8 * MB):
    """Send `piece` again and again after `beginning`; what was sent and the answer."""
    reader, writer = await connect(caller)
    sent = 0
    with contextlib.suppress(OSError, ssl.SSLError):
        writer.write(beginning)
        while sent < limit and not reader.at_eof():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
            sent += len(piece)
    answer = await rest_of(reader)
    await close(writer)
    return sent, answer


def rss_bytes(caller):
    return psutil.Process(caller.agent.program.pid).memory_info().rss


def health(agent):
    body = b'{"jsonrpc":"2.0","id":1,"method":"health_check"}'
    head = f"POST /{agent.rpc_path}/rpc HTTP/1.1\r\nHost: x\r\nX-Agent-Token: {agent.agent_token}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class TestSizes:
    @pytest.mark.parametrize(
        ("beginning", "piece"),
        [
            (GET, b"X-A: " + b"a" * 60_000 + b"\r\n"),
            (GET, b"X: 1\r\n" * 1000),
            (GET + b"X-A: ", b"a" * 16_384),
            (GET, b"a" * 16_384),
            (b"GET /", b"a" * 16_384),
            (POST + b"0\r\n", b"X-A: " + b"a" * 60_000 + b"\r\n"),
            (POST + b"0\r\nX-A: ", b"a" * 16_384),
            (POST + b"0\r\n", b"X: 1\r\n" * 1000),
            (POST + b"5;", b"a" * 16_384),
            (b"", b"\r\n" * 8192),
        ],
        ids=["fields", "small", "value", "name", "url", "trailers", "trailer", "small trailers", "extension", "blank"],
    )
    async def test_what_has_no_end_is_cut_off(self, call, beginning, piece):
        before = rss_bytes(call)
        sent, _answer = await flood(call, beginning, piece)

        assert sent < 8 * MB
        assert rss_bytes(call) - before < 8 * MB
        assert (await call("health_check"))["status"]

    @pytest.mark.parametrize("fields", [b"X: 1\r\n" * 101, b"X: " + b"a" * 33_000 + b"\r\n"])
    async def test_a_head_too_large_is_a_bare_431(self, call, fields):
        reader, writer = await connect(call)
        writer.write(GET + fields + b"\r\n")
        answer = await rest_of(reader)
        await close(writer)

        assert answer.startswith(b"HTTP/1.1 431 ")
        assert answer.endswith(b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    async def test_a_large_head_within_the_limits_is_read(self, call, shared_agent):
        more = {f"X-{number}": "a" * 300 for number in range(80)}
        body = b'{"jsonrpc":"2.0","id":1,"method":"health_check"}'

        assert (await call.post(body, **more))[0] == 200

    async def test_trailers_are_no_headers(self, call, shared_agent):
        reader, writer = await connect(call)
        path = f"POST /{shared_agent.rpc_path}/rpc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(f"{path}1\r\n \r\n0\r\nX-Agent-Token: {shared_agent.agent_token}\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        await close(writer)

        assert answer.startswith(b"HTTP/1.1 401 ")

    async def test_of_many_pipelined_requests_the_first_are_answered_and_no_more(self, call):
        before = rss_bytes(call)
        reader, writer = await connect(call)
        with contextlib.suppress(OSError, ssl.SSLError):
            writer.write((GET + b"\r\n") * 20_000)
            await writer.drain()
        answer = await rest_of(reader)
        await close(writer)

        assert 2 <= answer.count(b"HTTP/1.1 404") < 100
        assert rss_bytes(call) - before < 8 * MB

    async def test_a_few_pipelined_requests_are_all_answered(self, call, shared_agent):
        reader, writer = await connect(call)
        writer.write(health(shared_agent) * 8)
        for _ in range(8):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert (await reader.readexactly(length)).startswith(b'{"jsonrpc"')
        await close(writer)


async def test_who_shows_no_token_is_gone_in_ten_seconds(call, shared_agent):
    async def lifetime(words=(), *, tls=True, every_s=0.5):
        reader, writer = await connect(call, tls=tls)
        began = time.monotonic()

        async def talk():
            with contextlib.suppress(OSError, ssl.SSLError):
                for word in words:
                    writer.write(word)
                    await writer.drain()
                    await asyncio.sleep(every_s)

        talking = asyncio.create_task(talk())
        await rest_of(reader, 30)
        took = time.monotonic() - began
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        await close(writer)
        return took

    reader, writer = await connect(call)
    writer.write(health(shared_agent))
    await reader.readuntil(b"\r\n\r\n")
    took = await asyncio.gather(
        lifetime(tls=False),
        lifetime([b"\x16\x03\x01"], tls=False),
        lifetime(),
        lifetime([GET, *[b"X: 1\r\n"] * 60]),
        lifetime([GET + b"\r\n"] * 60),
        lifetime([POST, *[b"1\r\na\r\n"] * 60]),
    )

    assert all(8 < seconds < 13 for seconds in took), took
    writer.write(health(shared_agent))
    assert b"200" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    await close(writer)


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(server, "BODY_S", 0.3)

    async def app(scope, receive, send):
        while (await receive())["type"] == "http.request":
            pass

    protocol = functools.partial(server.QuietHttp, uvicorn.Config(app, lifespan="off"), ServerState(), {})
    listening = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    writer.write(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nbegun")
    began = time.monotonic()

    assert await rest_of(reader) == b""
    assert 0.2 < time.monotonic() - began < 3
    await close(writer)
    listening.close()
    await listening.wait_closed()


async def try_to_connect(caller, count, *, tls, source=ATTACKER):
    async def one():
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            return (await connect(caller, tls=tls, source=source))[1]

    return [writer for writer in await asyncio.gather(*(one() for _ in range(count))) if writer is not None]


async def healthy(caller):
    """Whether a call over a new connection is answered."""
    reader, writer = await connect(caller)
    writer.write(health(caller.agent))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    await close(writer)
    return head.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("tls", [True, False])
async def test_a_crowd_of_strangers_keeps_nobody_out(own, own_agent, tls):
    before = rss_bytes(own)
    process = psutil.Process(own_agent.program.pid)
    reader, kept = await connect(own)
    kept.write(health(own_agent))
    await reader.readuntil(b"\r\n\r\n")
    crowd = []
    try:
        for _ in range(5):
            crowd += await try_to_connect(own, 60, tls=tls)
            assert await healthy(own)
        assert process.num_fds() < 150
        assert rss_bytes(own) - before < 64 * MB
        kept.write(health(own_agent))
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        crowd += await try_to_connect(own, 100, tls=tls, source=("127.0.0.1", 0))
        assert await healthy(own)
    finally:
        await close(kept, *crowd)


async def test_without_descriptors_the_log_stays_small_and_calls_get_through(own, own_agent):
    process = psutil.Process(own_agent.program.pid)
    limit = process.num_fds() + 12
    resource.prlimit(own_agent.program.pid, resource.RLIMIT_NOFILE, (limit, limit))
    size = len(own_agent.program.output())
    crowd = await try_to_connect(own, 200, tls=False)
    try:
        for _ in range(3):
            assert await healthy(own)
    finally:
        await close(*crowd)

    said = own_agent.program.output()[size:]
    assert "Traceback" not in said
    assert said.count("\n") <= 2
    await until(lambda: process.num_fds() < limit, 5)


async def test_as_many_descriptors_as_allowed_are_used(own, own_agent):
    soft, hard = resource.prlimit(own_agent.program.pid, resource.RLIMIT_NOFILE)

    assert soft == min(hard, 65536)
