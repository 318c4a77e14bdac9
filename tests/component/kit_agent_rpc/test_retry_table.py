"""CONTRACTS.md "Retry table", row by row, against a real TLS server."""

import asyncio
import socket
import time

import pytest

from myx_kit.agent_rpc.client import AgentClient
from myx_kit.agent_rpc.errors import AgentCallError, Attempt, Cause
from myx_kit.retry import RetryPolicy

ALL = 4
ONCE = 1


@pytest.mark.parametrize(
    ("behaviour", "cause", "tries", "maybe_delivered"),
    [
        ("reset", Cause.CONNECTION_LOST, ALL, True),
        ("closed without an answer", Cause.CONNECTION_LOST, ALL, True),
        ("truncated", Cause.CONNECTION_LOST, ALL, True),
        ("429", Cause.THROTTLED, ALL, False),
        ("500", Cause.SERVER_ERROR, ALL, True),
        ("502", Cause.SERVER_ERROR, ALL, True),
        ("503", Cause.SERVER_ERROR, ALL, True),
        ("-32603", Cause.RPC_ERROR, ALL, True),
        ("-32005 retryable", Cause.RPC_ERROR, ALL, False),
        ("400", Cause.BAD_REQUEST, ONCE, False),
        ("401", Cause.UNAUTHORIZED, ONCE, False),
        ("skew", Cause.CLOCK_SKEW, ONCE, False),
        ("404", Cause.WRONG_PATH, ONCE, False),
        ("413", Cause.TOO_LARGE, ONCE, False),
        ("-32700", Cause.RPC_ERROR, ONCE, False),
        ("-32600", Cause.RPC_ERROR, ONCE, False),
        ("-32601", Cause.RPC_ERROR, ONCE, False),
        ("-32602", Cause.RPC_ERROR, ONCE, False),
        ("-32001", Cause.RPC_ERROR, ONCE, False),
        ("403", Cause.RPC_ERROR, ONCE, True),
        ("301", Cause.RPC_ERROR, ONCE, True),
        ("no HTTP", Cause.RPC_ERROR, ONCE, True),
        ("no JSON", Cause.RPC_ERROR, ONCE, True),
        ("another id", Cause.RPC_ERROR, ONCE, True),
    ],
)
async def test_an_answer_is_retried_as_the_table_says(
    agent, client, behaviours, behaviour, cause, tries, maybe_delivered
):
    agent.script = [behaviours[behaviour]] * 5

    with pytest.raises(AgentCallError) as caught:
        await client.call(agent.target(), "heartbeat", {})

    error = caught.value
    assert (error.cause, len(agent.requests), error.maybe_delivered) == (cause, tries, maybe_delivered)
    assert [attempt.cause for attempt in error.attempts] == [cause] * tries
    assert [attempt.wait_s for attempt in error.attempts] == [0.001, 0.002, 0.004, None][4 - tries :]


async def test_a_call_that_is_not_to_be_retried_is_tried_once(agent, client, behaviours):
    agent.script = [behaviours["500"]]

    with pytest.raises(AgentCallError) as caught:
        await client.call(agent.target(), "heartbeat", {}, retry=False)

    assert len(agent.requests) == len(caught.value.attempts) == 1


async def test_a_success_after_failures_keeps_the_attempts(agent, client, behaviours):
    agent.script = [behaviours["503"], behaviours["truncated"]]
    attempts: list[Attempt] = []

    assert await client.call(agent.target(), "heartbeat", {}, attempts=attempts) == {}

    assert [(one.cause, one.wait_s) for one in attempts] == [
        (Cause.SERVER_ERROR, 0.001),
        (Cause.CONNECTION_LOST, 0.002),
        (None, None),
    ]


async def test_an_answer_that_does_not_come_is_hung_and_may_have_been_delivered(agent, hang):
    agent.script = [hang] * 4
    async with AgentClient(timeout_s=0.15, retry=RetryPolicy(base_delay_s=0.001)) as client:
        with pytest.raises(AgentCallError) as caught:
            await client.call(agent.target(), "heartbeat", {})

    assert (caught.value.cause, caught.value.maybe_delivered, len(agent.requests)) == (Cause.HUNG, True, 4)


async def test_a_port_where_nothing_listens_is_refused_and_retried(client, free_port, agent):
    with pytest.raises(AgentCallError) as caught:
        await client.call(agent.target(rpc_port=free_port), "heartbeat", {})

    assert (caught.value.cause, caught.value.maybe_delivered) == (Cause.REFUSED, False)
    assert len(caught.value.attempts) == ALL


async def test_a_stopped_agent_whose_kernel_still_accepts_is_hung_and_got_nothing(agent):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = agent.target(rpc_port=listener.getsockname()[1])
        async with AgentClient(timeout_s=0.15) as client:
            with pytest.raises(AgentCallError) as caught:
                await client.call(target, "heartbeat", {}, retry=False)

    assert (caught.value.cause, caught.value.maybe_delivered) == (Cause.HUNG, False)


async def test_dropped_packets_are_filtered(agent):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        async with AgentClient(timeout_s=0.15) as client:
            with pytest.raises(AgentCallError) as caught:
                await client.call(agent.target(rpc_port=address[1]), "heartbeat", {}, retry=False)
        for filler in fillers:
            filler.close()

    assert (caught.value.cause, caught.value.maybe_delivered) == (Cause.FILTERED, False)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_a_port_without_tls_is_tls_failed_and_retried(agent, client, greeting):
    connections = 0

    async def serve(reader, writer):
        nonlocal connections
        connections += 1
        await reader.read(1)
        writer.write(greeting)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        target = agent.target(rpc_port=server.sockets[0].getsockname()[1])
        with pytest.raises(AgentCallError) as caught:
            await client.call(target, "heartbeat", {})

    assert (caught.value.cause, caught.value.maybe_delivered) == (Cause.TLS_FAILED, False)
    assert connections == ALL


async def test_a_name_that_does_not_resolve_is_told(agent):
    async with AgentClient(timeout_s=1) as client:
        with pytest.raises(AgentCallError) as caught:
            await client.call(agent.target(address="no-such-host.invalid"), "heartbeat", {}, retry=False)

    assert (caught.value.cause, caught.value.maybe_delivered) == (Cause.NAME_UNRESOLVED, False)


async def test_each_try_has_the_whole_time_limit(agent, hang):
    agent.script = [hang]
    async with AgentClient(timeout_s=0.2, retry=RetryPolicy(base_delay_s=0.001)) as client:
        started = time.monotonic()
        assert await client.call(agent.target(), "heartbeat", {}) == {}

    assert time.monotonic() - started >= 0.2
