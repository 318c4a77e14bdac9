"""The log of a command over a WebSocket, from a server that uses the agent's frames."""

import asyncio
import json
import struct

import pytest
from aiohttp import web

from myx_kit.agent_rpc import log_stream
from myx_kit.agent_rpc.errors import AgentCallError, Cause
from myx_kit.agent_rpc.wire import STDERR, STDOUT, LogEvent, LogFinal, LogFrame, LogGap


def frame(stream: int, offset: int, data: bytes) -> bytes:
    return struct.pack(">BQ", stream, offset) + data


@pytest.fixture
async def serve(certificates, agent):
    """Starts a server whose WebSocket handler is the given one; gives the target."""
    runners = []

    async def start(handler):
        async def handle(request):
            socket = web.WebSocketResponse(compress=False)
            await socket.prepare(request)
            await handler(request, socket)
            await socket.close()
            return socket

        application = web.Application()
        application.router.add_get("/{path}/commands/{id}/log", handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificates[0].context)
        await site.start()
        return agent.target(rpc_port=runner.addresses[0][1])

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_items_come_as_the_agent_sent_them_and_end_with_the_final_one(client, serve):
    asked = []

    async def handler(request, socket):
        asked.append((request.path_qs, "X-Agent-Token" in request.headers, "X-Agent-Signature" in request.headers))
        await socket.send_bytes(frame(STDOUT, 7, b"\x00\xffout"))
        await socket.send_bytes(frame(STDERR, 12, b"err"))
        await socket.send_str(json.dumps({"type": "from a newer agent"}))
        await socket.send_str(json.dumps({"type": "gap", "from": 15, "to": 20, "reason": "command_limit"}))
        await socket.send_str(json.dumps({"type": "event", "seq": 1, "event": {"task": "x"}}))
        await socket.send_str(json.dumps({"type": "final", "offset": 20, "result": {"return_code": 7}}))

    async with client.open_log(await serve(handler), "the-command", 7) as stream:
        items = [item async for item in stream]

    assert items == [
        LogFrame(STDOUT, 7, b"\x00\xffout"),
        LogFrame(STDERR, 12, b"err"),
        LogGap(15, 20, "command_limit"),
        LogEvent(1, {"task": "x"}),
        LogFinal(20, {"return_code": 7}),
    ]
    assert asked == [("/a3f8b9c2d1e4f607/commands/the-command/log?offset=7", True, True)]


async def test_a_connection_that_ends_without_a_final_item_ends_the_iteration(client, serve):
    async def handler(request, socket):
        await socket.send_bytes(frame(STDOUT, 0, b"one"))
        request.transport.abort()

    async with client.open_log(await serve(handler), "c", 0) as stream:
        assert [item async for item in stream] == [LogFrame(STDOUT, 0, b"one")]


async def test_a_slow_consumer_holds_the_agent_back(client, serve):
    total = 400
    sent = 0
    payload = bytes(range(256)) * 1024

    async def handler(request, socket):
        nonlocal sent
        for number in range(total):
            await socket.send_bytes(frame(STDOUT, number * len(payload), payload))
            sent += 1
        await socket.send_str(json.dumps({"type": "final", "offset": total * len(payload), "result": {}}))

    async with client.open_log(await serve(handler), "c", 0) as stream:
        assert await anext(stream) == LogFrame(STDOUT, 0, payload)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.1)
        assert sent * len(payload) < 40_000_000
        assert stream._websocket._reader._size < 3 * len(payload)
        offset = len(payload)
        async for item in stream:
            if isinstance(item, LogFrame):
                assert item.offset == offset
                assert item.data == payload
                offset += len(item.data)
    assert offset == total * len(payload)


async def test_leaving_in_the_middle_of_a_flood_takes_no_time(client, serve):
    async def handler(request, socket):
        while not socket.closed:
            await socket.send_bytes(frame(STDOUT, 0, b"x" * 100_000))

    async with asyncio.timeout(3), client.open_log(await serve(handler), "c", 0) as stream:
        await anext(stream)


async def test_an_agent_that_says_nothing_but_lives_is_waited_for(client, serve, monkeypatch):
    monkeypatch.setattr(log_stream, "PING_AFTER_S", 0.05)

    pings = 0

    async def quiet(request, socket):
        nonlocal pings
        socket._autoping = False
        while pings < 3:
            message = await socket.receive()
            pings += 1
            await socket.pong(message.data)
        await socket.send_str(json.dumps({"type": "final", "offset": 0, "result": {}}))

    async with client.open_log(await serve(quiet), "c", 0) as stream:
        assert [item async for item in stream] == [LogFinal(0, {})]
    assert pings == 3


async def test_an_agent_that_does_not_answer_a_ping_is_gone(client, serve, agent, monkeypatch):
    monkeypatch.setattr(log_stream, "PING_AFTER_S", 0.05)

    async def dead(request, socket):
        await agent.release.wait()

    async with client.open_log(await serve(dead), "c", 0) as stream:
        assert [item async for item in stream] == []
    agent.release.set()


async def test_a_ping_of_the_agent_is_answered(client, serve):
    async def handler(request, socket):
        socket._autoping = False
        await socket.ping(b"there?")
        answer = await socket.receive()
        await socket.send_str(json.dumps({"type": "final", "offset": len(answer.data), "result": {}}))

    async with client.open_log(await serve(handler), "c", 0) as stream:
        assert [item async for item in stream] == [LogFinal(6, {})]


async def test_a_command_that_the_agent_does_not_know_is_told(client, serve):
    async def handler(request, socket):
        error = {"code": -32002, "message": "unknown", "data": {"reason": "COMMAND_NOT_FOUND", "retryable": False}}
        await socket.send_str(json.dumps({"type": "error", "error": error}))

    async with client.open_log(await serve(handler), "c", 0) as stream:
        with pytest.raises(AgentCallError) as caught:
            await anext(stream)
    assert (caught.value.cause, caught.value.rpc_error.reason) == (Cause.RPC_ERROR, "COMMAND_NOT_FOUND")


@pytest.mark.parametrize(
    "message", [b"", b"\x01" + bytes(8), frame(9, 0, b"x"), "[]", "{", '{"type":"final","offset":-1}']
)
async def test_what_is_no_log_stream_is_an_rpc_error(client, serve, message):
    async def handler(request, socket):
        await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))

    async with client.open_log(await serve(handler), "c", 0) as stream:
        with pytest.raises(AgentCallError) as caught:
            await anext(stream)
    assert caught.value.cause is Cause.RPC_ERROR


async def test_a_message_beyond_the_limit_ends_the_stream(client, serve):
    async def handler(request, socket):
        await socket.send_bytes(frame(STDOUT, 0, b"x" * 10_000_000))

    async with client.open_log(await serve(handler), "c", 0) as stream:
        assert [item async for item in stream] == []


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [("401", Cause.UNAUTHORIZED), ("skew", Cause.CLOCK_SKEW), ("404", Cause.WRONG_PATH), ("503", Cause.SERVER_ERROR)],
)
async def test_a_refused_stream_has_the_cause_of_a_refused_call(agent, client, behaviours, behaviour, cause):
    agent.script = [behaviours[behaviour]] * 4

    with pytest.raises(AgentCallError) as caught:
        async with client.open_log(agent.target(), "c", 0):
            pass

    assert caught.value.cause is cause
    assert len(agent.requests) == (4 if cause.retryable else 1)
