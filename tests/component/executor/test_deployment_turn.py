"""Deployments that wait: for their agent, or for the lock of their server; and what is shown of one that is cut off."""

import asyncio

import psycopg
import pytest
from executor_deployments import Deployments, steps
from executor_tool import make_tool

from myx.executor.v1 import command_pb2 as pb
from myx.executor.v1 import deployment_pb2
from myx_testkit.wait import until

QUEUE, SKIP, EXCLUSIVE = pb.OFFLINE_POLICY_QUEUE, pb.OFFLINE_POLICY_SKIP, pb.LOCK_MODE_EXCLUSIVE
FAST = {"agent_rpc_retry_base_delay_s": 0.05, "agent_calm_retry_s": 0.3}


@pytest.fixture
def tool(tmp_path):
    return make_tool(tmp_path / "tool")


def client_of(executor, tls_dir):
    return Deployments(f"127.0.0.1:{executor.port}", tls_dir)


async def in_state(client, deployment_id, status):
    async def is_there():
        found = await client.deployment(deployment_id)
        return found if found.status == status else None

    return await until(is_there, 40)


def causes(deployment):
    return [(getattr(change, "from"), change.to, change.cause) for change in deployment.changes]


async def test_a_deployment_waits_for_its_agent_and_is_then_run_once(replica, own_agent, tls_dir, tool, postgres):
    executor = replica("a", playbooks_dir=tool, **FAST)
    async with client_of(executor, tls_dir) as client:
        await asyncio.to_thread(own_agent.program.kill9)
        made = await client.create(own_agent.name, playbook="hello.yml", offline=QUEUE)
        waits = await in_state(client, made.id, pb.COMMAND_STATUS_QUEUED)
        assert waits.reason == "agent_unreachable"
        assert "; waits until " in waits.message
        assert waits.next.startswith("waits for its agent to be back")
        assert waits.HasField("deadline_at")
        await asyncio.to_thread(own_agent.start)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("update executor.command set lease_until = now() where id = %s", [made.id])
        final = await client.ended(made.id)
    assert final.status == pb.COMMAND_STATUS_SUCCESS, final
    assert [cause for _, _, cause in causes(final)] == [
        "accepted",
        "agent_unreachable",
        "claimed",
        "confirmed",
        "ended",
    ]


async def test_a_deployment_is_skipped_or_expires_when_its_agent_stays_away(replica, own_agent, tls_dir, tool):
    executor = replica("a", playbooks_dir=tool, **FAST)
    async with client_of(executor, tls_dir) as client:
        await asyncio.to_thread(own_agent.program.kill9)
        by_agent = deployment_pb2.DEPLOYMENT_METHOD_AGENT
        skipped = await client.create(own_agent.name, playbook="hello.yml", offline=SKIP, method=by_agent)
        late = await client.create(own_agent.name, playbook="hello.yml", offline=QUEUE, queue_timeout={"seconds": 2})
        skipped, late = await client.ended(skipped.id), await client.ended(late.id)
        await asyncio.to_thread(own_agent.start)
    assert (skipped.status, skipped.reason) == (pb.COMMAND_STATUS_SKIPPED, "agent_unreachable")
    assert (late.status, late.reason) == (pb.COMMAND_STATUS_FAILED, "queue_timeout")


async def test_a_deployment_that_was_to_be_skipped_is_cancelled_at_once(replica, own_agent, tls_dir, tool, postgres):
    # It would be tried for minutes; and nothing tells the owner of the second wish.
    executor = replica("a", playbooks_dir=tool, agent_rpc_retry_base_delay_s=60, sweep_interval_s=60)
    brief = replica("b", playbooks_dir=tool, agent_rpc_retry_base_delay_s=0.5, sweep_interval_s=60)
    request = {"playbook": "hello.yml", "offline": SKIP, "method": deployment_pb2.DEPLOYMENT_METHOD_AGENT}
    async with client_of(executor, tls_dir) as client, client_of(brief, tls_dir) as other:
        await asyncio.to_thread(own_agent.program.kill9)
        made = await client.create(own_agent.name, **request)
        assert (await client.cancel_deployment(made.id)).status == pb.COMMAND_STATUS_CANCELLING
        heard = await client.ended(made.id, 20)
        made = await other.create(own_agent.name, **request)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            asked = connection.execute(
                "update executor.command set status = 'cancelling', cancel_requested_at = now(), cancel_grace_s = 5"
                " where id = %s and status = 'pending'",
                [made.id],
            )
            assert asked.rowcount == 1
        unheard = await other.ended(made.id, 30)
        await asyncio.to_thread(own_agent.start)
    for final in (heard, unheard):
        assert (final.status, final.message) == (pb.COMMAND_STATUS_CANCELLED, "cancelled before it was begun")


async def test_a_queued_deployment_is_cancelled_at_once(replica, own_agent, tls_dir, tool):
    executor = replica("a", playbooks_dir=tool, **FAST)
    async with client_of(executor, tls_dir) as client:
        await asyncio.to_thread(own_agent.program.kill9)
        made = await client.create(own_agent.name, playbook="hello.yml", offline=QUEUE)
        await in_state(client, made.id, pb.COMMAND_STATUS_QUEUED)
        assert (await client.cancel_deployment(made.id)).status == pb.COMMAND_STATUS_CANCELLED
        await asyncio.to_thread(own_agent.start)


async def test_a_deployment_and_a_command_exclude_each_other(replica, own_agent, tls_dir, tool):
    executor = replica("a", playbooks_dir=tool)
    async with client_of(executor, tls_dir) as client:
        command = await client.run(own_agent.name, "sleep", "60", lock=EXCLUSIVE)
        await client.running(command.id)
        made = await client.create(own_agent.name, playbook="hello.yml", lock=EXCLUSIVE)
        waits = await in_state(client, made.id, pb.COMMAND_STATUS_QUEUED)
        assert waits.message.startswith(f"waits for the exclusive lock of command {command.id}; waits until ")
        await client.cancel(command.id, grace_s=0)
        final = await client.ended(made.id)
        assert final.status == pb.COMMAND_STATUS_SUCCESS
        after = await client.run(own_agent.name, "true", lock=EXCLUSIVE)
        assert (await client.final(after.id)).status == pb.COMMAND_STATUS_SUCCESS


async def test_a_play_whose_agent_vanished_says_so_and_is_lost_in_the_end(replica, own_agent, tls_dir, tool):
    executor = replica("a", playbooks_dir=tool, lost_after_s=4, **FAST)
    async with client_of(executor, tls_dir) as client:
        made = await client.create(own_agent.name, playbook="slow.yml", vars={"seconds": 300})

        async def plays():
            return steps(await client.deployment(made.id)).get("play") == "running"

        await until(plays, 40)
        await in_state(client, made.id, pb.COMMAND_STATUS_RUNNING)
        await until(lambda: begun(client, made.id), 40)
        await asyncio.to_thread(own_agent.program.kill9)
        asked = await client.cancel_deployment(made.id)
        assert asked.status == pb.COMMAND_STATUS_CANCELLING

        async def told():
            return (await client.deployment(made.id)).message.startswith("cancel not delivered: ")

        await until(told)
        final = await client.ended(made.id)
        await asyncio.to_thread(own_agent.start)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_LOST, "cancel_not_proved")


async def begun(client, deployment_id):
    return any(event.event["type"] == "task_started" for event in (await client.events(deployment_id)).events)


async def test_a_deployment_whose_secrets_cannot_be_read_ends(replica, own_agent, tls_dir, tool, postgres):
    executor = replica("a", playbooks_dir=tool)
    async with client_of(executor, tls_dir) as client:
        command = await client.run(own_agent.name, "sleep", "60", lock=EXCLUSIVE)
        await client.running(command.id)
        made = await client.create(
            own_agent.name, playbook="hello.yml", lock=EXCLUSIVE, secret_vars={"greeting": "hidden"}
        )
        await in_state(client, made.id, pb.COMMAND_STATUS_QUEUED)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("update executor.command set sealed = '\\x00'::bytea where id = %s", [made.id])
        await client.cancel(command.id, grace_s=0)
        final = await client.ended(made.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "secret_unreadable"), final
