"""Cancel takes effect on the host before it is shown as done."""

import asyncio
import socket
import sys
import time

import pytest
from executor_broken_way import BrokenWay

from myx.executor.v1 import command_pb2 as pb
from myx_kit.errors import InvalidArgument
from myx_testkit.wait import until

PYTHON = sys.executable


async def test_a_running_command_is_cancelled_when_the_agent_has_proved_it(client, agent):
    command = await client.shell(agent.name, "echo begun; sleep 60")
    await client.running(command.id)
    asked = await client.cancel(command.id)
    assert asked.status == pb.COMMAND_STATUS_CANCELLING
    assert asked.HasField("cancel_requested_at")
    log = await client.log(command.id)
    assert (log.data, log.final.status, log.final.reason) == (b"begun\n", pb.COMMAND_STATUS_CANCELLED, "cancelled")
    again = await client.cancel(command.id)
    assert again == log.final


async def test_a_command_that_ignores_term_is_killed_after_the_grace(client, agent):
    command = await client.shell(agent.name, "trap '' TERM; echo deaf; while :; do sleep 0.1; done")
    await client.running(command.id)
    await client.cancel(command.id, grace_s=0.3)
    log = await client.log(command.id)
    assert log.final.status == pb.COMMAND_STATUS_CANCELLED


async def test_cancelling_at_once_never_leaves_a_command_open(client, agent):
    async def one(pause):
        command = await client.run(agent.name, "sleep", "30")
        await asyncio.sleep(pause)
        await client.cancel(command.id, grace_s=1)
        return await client.final(command.id)

    finals = await asyncio.gather(*(one(number * 0.003) for number in range(12)))
    assert {final.status for final in finals} == {pb.COMMAND_STATUS_CANCELLED}


async def test_a_command_for_an_agent_that_is_away_is_cancelled_at_once(client, registry, agent):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    registry.put(agent.endpoint(server_id="3f0b8f8e-0000-4000-8000-000000000001", server_name="away", rpc_port=port))
    command = await client.run("away", "true")
    await client.cancel(command.id)
    final = await client.final(command.id, 1)
    assert (final.status, final.message) == (
        pb.COMMAND_STATUS_CANCELLED,
        "cancelled before it was sent to the agent",
    )


@pytest.mark.parametrize("grace_s", [-1, 4000])
async def test_a_grace_that_cannot_be_is_refused(client, agent, grace_s):
    command = await client.run(agent.name, "sleep", "0.2")
    with pytest.raises(InvalidArgument):
        await client.cancel(command.id, grace_s)
    assert (await client.final(command.id)).status == pb.COMMAND_STATUS_SUCCESS


async def test_a_replica_cancels_what_another_one_runs(replica, agent):
    one, other = replica("one", "other")
    async with one.client() as owner, other.client() as stranger:
        command = await owner.run(agent.name, "sleep", "60")
        await owner.running(command.id)
        await stranger.cancel(command.id)
        log = await stranger.log(command.id)
    assert log.final.status == pb.COMMAND_STATUS_CANCELLED


async def test_a_waiting_command_is_cancelled_without_being_sent(replica, agent, tmp_path):
    narrow = replica("narrow", max_active_commands=1)
    async with narrow.client() as client:
        first = await client.run(agent.name, "sleep", "60")
        await client.running(first.id)
        waiting = await client.shell(agent.name, f"touch {tmp_path}/ran")
        ended = await client.cancel(waiting.id)
        assert ended.status == pb.COMMAND_STATUS_CANCELLED
        next_one = await client.shell(agent.name, "echo next")
        await client.cancel(first.id)
        assert (await client.log(next_one.id)).data == b"next\n"
    assert not (tmp_path / "ran").exists()


async def test_the_end_of_what_perhaps_arrived_is_asked_for_past_its_connect_limit_by_any_replica(
    replica, own_agent, registry
):
    settings = {"agent_calm_retry_s": 0.3, "agent_rpc_retry_base_delay_s": 0.05, "lease_s": 2, "lease_renew_s": 0.5}
    one = replica("one", **settings)
    async with BrokenWay(own_agent) as way:
        registry.put(own_agent.endpoint(rpc_port=way.port))
        async with one.client() as owner:
            way.swallow_replies(1000)
            command = await owner.run(own_agent.name, "sleep", "60", connect_timeout={"seconds": 2})
            await until(lambda: way.swallowed)
            asked = await owner.cancel(command.id, grace_s=1)
            assert asked.deadline_at.seconds > asked.cancel_requested_at.seconds + 86_400
            await until(lambda: past_limit(owner, command))
        one.program.kill9()
        other = replica("other", **settings)
        async with other.client() as client:
            await until(lambda: taken_over(client, command, asked), 20)
            way.swallow_replies(0)
            final = await client.final(command.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_CANCELLED, "cancelled")
    assert final.HasField("started_at")


async def past_limit(client, command):
    """Its agent was tried after the connect limit, and it is still asked for."""
    now = await client.get(command.id)
    assert now.status == pb.COMMAND_STATUS_CANCELLING
    assert now.message.startswith("cancel not delivered: ") or not now.message
    return time.time() > command.created_at.seconds + 4


async def taken_over(client, command, before):
    now = await client.get(command.id)
    assert (now.status, now.deadline_at) == (pb.COMMAND_STATUS_CANCELLING, before.deadline_at)
    return now.owner not in ("", before.owner)
