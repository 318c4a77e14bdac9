"""Pin, pool, headers and what must not be seen."""

import asyncio
import hashlib
import hmac
import json
import traceback

import pytest

from myx_kit.agent_rpc import client as client_module
from myx_kit.agent_rpc.client import AgentClient
from myx_kit.agent_rpc.errors import AgentCallError, Cause, JsonRpcError
from myx_testkit.wait import until


async def test_nothing_leaves_before_the_pin_is_checked(agent, client, certificates):
    with pytest.raises(AgentCallError) as caught:
        await client.call(agent.target(certificate_sha256=certificates[1].sha256), "heartbeat", {})

    assert (caught.value.cause, caught.value.maybe_delivered) == (Cause.PIN_MISMATCH, False)
    assert len(caught.value.attempts) == 1
    await until(lambda: agent.writers and agent.writers[0].is_closing(), what="the agent sees the client go")
    assert (agent.connections, agent.received_bytes) == (1, 0)


async def test_a_connection_is_kept_for_calls_with_equal_targets(agent, client):
    for _ in range(5):
        await client.call(agent.target(), "heartbeat", {})

    assert [request.connection for request in agent.requests] == [1] * 5


async def test_a_connection_with_another_pin_is_not_reused(agent, client, certificates):
    await client.call(agent.target(), "heartbeat", {})

    with pytest.raises(AgentCallError):
        await client.call(agent.target(certificate_sha256=certificates[1].sha256), "heartbeat", {})

    assert len(agent.requests) == 1


async def test_a_kept_connection_that_the_agent_closed_costs_no_attempt(agent, client, behaviours):
    await client.call(agent.target(), "heartbeat", {})
    agent.script = [behaviours["closed without an answer"]]
    attempts = []

    await client.call(agent.target(), "heartbeat", {}, retry=False, attempts=attempts)

    assert [request.connection for request in agent.requests] == [1, 1, 2]
    assert [one.cause for one in attempts] == [None]


async def test_a_request_that_was_lost_with_a_kept_connection_may_have_been_delivered(agent, client):
    async def die(request, writer):
        await agent.stop_listening()
        writer.transport.abort()

    await client.call(agent.target(), "heartbeat", {})
    agent.script = [die]

    with pytest.raises(AgentCallError) as caught:
        await client.call(agent.target(), "heartbeat", {}, retry=False)

    assert (caught.value.cause, caught.value.maybe_delivered) == (Cause.REFUSED, True)


async def test_every_request_is_signed_anew(agent, client, behaviours):
    agent.script = [behaviours["503"]]

    await client.call(agent.target(), "heartbeat", {"timestamp": 1})

    signatures = [request.headers["x-agent-signature"] for request in agent.requests]
    assert len(set(signatures)) == 2
    for request, signature in zip(agent.requests, signatures, strict=True):
        version, time, nonce, mac = signature.split(";")
        lines = ["POST", request.target, time[2:], nonce[2:], hashlib.sha256(request.body).hexdigest()]
        expected = hmac.new(b"the-secret-key", "\n".join(lines).encode(), hashlib.sha256).hexdigest()
        assert (version, mac) == ("v1", f"s={expected}")
        assert len(nonce) == 2 + 32
        assert request.target == "/a3f8b9c2d1e4f607/rpc"
        assert request.headers["x-agent-token"] == "the-agent-token"


async def test_ipv6_literals_are_addresses(certificates, agent, client):
    try:
        server = await asyncio.start_server(agent.serve, "::1", 0, ssl=certificates[0].context)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    async with server:
        port = server.sockets[0].getsockname()[1]
        for address in ("::1", "[::1]"):
            assert await client.call(agent.target(address=address, rpc_port=port), "heartbeat", {}) == {}
        assert agent.requests[0].headers["host"] == f"[::1]:{port}"
        agent.drop_connections()


async def test_a_batch_is_one_request_answered_in_order(agent, client):
    async def backwards(request, writer):
        one, two = json.loads(request.body)
        error = {"code": -32002, "message": "unknown", "data": {"reason": "COMMAND_NOT_FOUND", "retryable": False}}
        answers = [
            {"jsonrpc": "2.0", "id": two["id"], "error": error},
            {"jsonrpc": "2.0", "id": one["id"], "result": {"method": one["method"], "params": one["params"]}},
        ]
        body = json.dumps(answers).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    agent.script = [backwards]

    first, second = await client.batch(agent.target(), [("one", {"a": 1}), ("two", {})])

    assert first == {"method": "one", "params": {"a": 1}}
    assert isinstance(second, JsonRpcError)
    assert (second.code, second.reason, second.retryable) == (-32002, "COMMAND_NOT_FOUND", False)


async def test_an_answer_beyond_the_limit_is_not_taken_into_memory(agent, client, monkeypatch):
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 100_000)
    written = 0

    async def flood(request, writer):
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            await writer.drain()
            written += 0x10000

    agent.script = [flood]

    with pytest.raises(AgentCallError) as caught:
        await client.call(agent.target(), "heartbeat", {})

    assert caught.value.cause is Cause.RPC_ERROR
    assert "too large" in caught.value.message
    assert written < 0x10000 * 1000


async def test_calls_to_one_agent_do_not_wait_for_each_other(agent, client, hang):
    agent.script = [hang, hang]
    waiting = [asyncio.ensure_future(client.call(agent.target(), "heartbeat", {}, retry=False)) for _ in range(2)]
    await until(lambda: len(agent.requests) == 2)

    assert await client.call(agent.target(), "heartbeat", {}) == {}

    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("behaviour", ["reset", "401", "500", "no HTTP", "no JSON", "hang", "refused", "pin"])
async def test_no_secret_is_in_an_error(agent, behaviours, behaviour, certificates, free_port):
    target = agent.target()
    if behaviour == "refused":
        target = agent.target(rpc_port=free_port)
    elif behaviour == "pin":
        target = agent.target(certificate_sha256=certificates[1].sha256)
    else:
        agent.script = [behaviours[behaviour]]
    async with AgentClient(timeout_s=0.2) as client:
        with pytest.raises(AgentCallError) as caught:
            await client.call(target, "heartbeat", {}, retry=False)

    seen = (
        "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(vars(caught.value)) + repr(target)
    )
    for secret in ("the-agent-token", "the-secret-key", "a3f8b9c2d1e4f607"):
        assert secret not in seen
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
