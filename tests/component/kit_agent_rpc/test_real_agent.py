"""The client against the agent that we ship, signatures required."""

import base64
import hashlib
import time
from dataclasses import replace

import pytest

from myx_kit.agent_rpc import client as client_module
from myx_kit.agent_rpc.errors import AgentCallError, Cause, JsonRpcError
from myx_kit.agent_rpc.wire import STDERR, STDOUT, LogFinal, LogFrame
from myx_kit.ids import new_id


async def run(client, target, script: str) -> str:
    command_id = str(new_id())
    params = {"command": "/bin/sh", "args": ["-c", script], "command_id": command_id}
    await client.call(target, "execute_command", params)
    return command_id


async def test_a_short_command_comes_back_in_one_request(client, module_agent):
    command_id = str(new_id())
    calls = [
        ("execute_command", {"command": "/bin/echo", "args": ["hello"], "command_id": command_id}),
        ("get_command_log", {"command_id": command_id, "offset": 0, "wait": 5, "until": "final"}),
    ]

    started, log = await client.batch(module_agent.target, calls)

    assert started["command_id"] == command_id
    assert base64.b64decode(log["log_data"]) == b"hello\n"


async def test_the_log_of_a_command_is_streamed_to_its_end(client, module_agent):
    command_id = await run(client, module_agent.target, "echo out; sleep 0.1; echo err >&2; exit 7")

    async with client.open_log(module_agent.target, command_id, 0) as stream:
        items = [item async for item in stream]

    frames = [item for item in items if isinstance(item, LogFrame)]
    assert [(one.stream, one.offset, one.data) for one in frames] == [(STDOUT, 0, b"out\n"), (STDERR, 4, b"err\n")]
    assert isinstance(items[-1], LogFinal)
    assert (items[-1].offset, items[-1].result["return_code"]) == (8, 7)


async def test_a_large_log_is_byte_exact_from_any_offset(client, module_agent):
    command_id = await run(client, module_agent.target, "head -c 20000000 /dev/zero | tr '\\0' x; seq 200000")
    expected = b"x" * 20_000_000 + b"".join(b"%d\n" % number for number in range(1, 200_001))
    skipped = 12_345

    digest = hashlib.sha256()
    offset = skipped
    async with client.open_log(module_agent.target, command_id, skipped) as stream:
        async for item in stream:
            if isinstance(item, LogFrame):
                assert item.offset == offset
                offset += len(item.data)
                digest.update(item.data)

    assert offset == len(expected)
    assert digest.digest() == hashlib.sha256(expected[skipped:]).digest()


async def test_a_follower_comes_back_with_its_offset_after_the_agent_died(client, real_agent):
    command_id = await run(client, real_agent.target, "for i in $(seq 30); do echo line $i; sleep 0.05; done")
    text = b""

    async with client.open_log(real_agent.target, command_id, 0) as stream:
        async for item in stream:
            assert isinstance(item, LogFrame)
            text += item.data
            if text.count(b"\n") >= 5 and real_agent.program.is_running():
                real_agent.kill9()
    real_agent.restart()
    async with client.open_log(real_agent.target, command_id, len(text)) as stream:
        items = [item async for item in stream]

    text += b"".join(item.data for item in items if isinstance(item, LogFrame))
    assert text == b"".join(b"line %d\n" % number for number in range(1, 31))
    assert items[-1].result["return_code"] == 0


async def test_what_is_wrong_with_a_target_is_told(client, real_agent):
    for change, cause in (
        ({"agent_token": "another-token-than-its-own"}, Cause.UNAUTHORIZED),
        ({"secret_key": "another-key-than-its-own"}, Cause.UNAUTHORIZED),
        ({"rpc_path": "0123456789abcdef"}, Cause.WRONG_PATH),
        ({"certificate_sha256": "00" * 32}, Cause.PIN_MISMATCH),
    ):
        target = replace(real_agent.target, **change)

        with pytest.raises(AgentCallError) as caught:
            await client.call(target, "heartbeat", {})
        with pytest.raises(AgentCallError) as stream:
            async with client.open_log(target, str(new_id()), 0):
                pass

        assert (caught.value.cause, stream.value.cause) == (cause, cause)
        assert (caught.value.maybe_delivered, len(caught.value.attempts)) == (False, 1)


async def test_a_skewed_clock_is_told_apart_from_a_wrong_key(client, real_agent, monkeypatch):
    class Later:
        @staticmethod
        def time() -> float:
            return time.time() + 3600

    monkeypatch.setattr(client_module, "time", Later)

    with pytest.raises(AgentCallError) as caught:
        await client.call(real_agent.target, "heartbeat", {})
    with pytest.raises(AgentCallError) as stream:
        async with client.open_log(real_agent.target, str(new_id()), 0):
            pass

    assert (caught.value.cause, stream.value.cause) == (Cause.CLOCK_SKEW, Cause.CLOCK_SKEW)


async def test_an_unknown_command_is_an_error_of_the_call_and_of_the_stream(client, module_agent):
    with pytest.raises(AgentCallError) as caught:
        await client.call(module_agent.target, "cancel_command", {"command_id": str(new_id())})
    async with client.open_log(module_agent.target, str(new_id()), 0) as stream:
        with pytest.raises(AgentCallError) as missing:
            await anext(stream)

    for error in (caught.value, missing.value):
        assert isinstance(error.rpc_error, JsonRpcError)
        assert (error.rpc_error.code, error.rpc_error.reason) == (-32002, "COMMAND_NOT_FOUND")


async def test_an_agent_that_restarted_is_called_again_without_an_attempt_that_counts(client, real_agent):
    await client.call(real_agent.target, "heartbeat", {})
    real_agent.kill9()
    real_agent.restart()
    attempts = []

    await client.call(real_agent.target, "heartbeat", {}, attempts=attempts)

    assert [one.cause for one in attempts] == [None]
