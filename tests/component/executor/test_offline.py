"""Work for agents that are away: fails, is skipped, or waits; and it is done once, whatever became of replies."""

import asyncio
import uuid
from contextlib import asynccontextmanager

import psycopg
import pytest
import pytest_asyncio
from executor_broken_way import BrokenWay, Silent

from myx.events.v1.events_pb2 import AgentOnline, Event
from myx.executor.v1 import command_pb2 as pb
from myx.registry.v1 import agent_pb2
from myx_kit.events.bus import Bus
from myx_testkit.ports import free_port
from myx_testkit.wait import until

QUEUE, SKIP = pb.OFFLINE_POLICY_QUEUE, pb.OFFLINE_POLICY_SKIP
FAST = {"agent_rpc_retry_base_delay_s": 0.05}
SHORT_LEASE = {"lease_s": 2, "lease_renew_s": 0.5}
# What says that a command is handed over; before it the agent is only looked for.
HANDED = b"execute_command"


@pytest_asyncio.fixture
async def tell(nats, tls_dir):
    """Publishes that an agent is online, as the registry does."""
    bus = await Bus.connect(nats.url, tls_dir, "registry")

    async def online(agent):
        event = Event(
            id=str(uuid.uuid4()), agent_online=AgentOnline(agent_id=agent.server_id, server_id=agent.server_id)
        )
        await bus.publish_event(event.id, f"myx.events.agent.online.{agent.server_id}", event.SerializeToString())

    yield online
    await bus.close()


async def queued(client, command_id):
    return await client.in_state(command_id, pb.COMMAND_STATUS_QUEUED)


def causes(command):
    return [(getattr(change, "from"), change.to, change.cause) for change in command.changes]


@asynccontextmanager
async def away(agent):
    """The agent is not there meanwhile."""
    await asyncio.to_thread(agent.program.kill9)
    yield
    await asyncio.to_thread(agent.start)


async def test_queued_work_is_seen_and_begins_as_soon_as_its_agent_is_back(replica, own_agent, tell):
    one = replica("one", "other", **FAST)[0]
    async with one.client() as client:
        async with away(own_agent):
            command = await client.shell(own_agent.name, "echo here", offline=QUEUE)
            waits = await queued(client, command.id)
            assert (waits.reason, waits.owner) == ("agent_unreachable", "")
            assert "nothing listens on the agent's port" in waits.message
            assert "; waits until " in waits.message
            assert waits.next.startswith("waits for its agent to be back and goes on then")
            assert waits.deadline_at.seconds == waits.created_at.seconds + 3600
            assert causes(waits) == [("", "pending", "accepted"), ("pending", "queued", "agent_unreachable")]
        await tell(own_agent)
        # A look without the event comes after twenty seconds at the earliest.
        log = await asyncio.wait_for(client.log(command.id), 15)
    assert (log.data, log.final.status) == (b"here\n", pb.COMMAND_STATUS_SUCCESS)
    assert causes(log.final)[2:] == [("queued", "pending", "claimed"), ("pending", "success", "ended")]
    assert not log.final.HasField("deadline_at")
    assert not log.final.next


async def test_an_event_that_was_lost_delays_queued_work_until_the_next_look(replica, own_agent, postgres):
    one = replica("one", **FAST)
    async with one.client() as client:
        async with away(own_agent):
            command = await client.shell(own_agent.name, "echo here", offline=QUEUE)
            await queued(client, command.id)
            await look_now(postgres, command.id)
            await until(lambda: looked(postgres, command.id))
            again = await queued(client, command.id)
            # A look that changed nothing is not a change.
            assert causes(again) == [("", "pending", "accepted"), ("pending", "queued", "agent_unreachable")]
        await look_now(postgres, command.id)
        assert (await client.final(command.id)).status == pb.COMMAND_STATUS_SUCCESS


async def look_now(postgres, command_id):
    async with await psycopg.AsyncConnection.connect(postgres.url, autocommit=True) as connection:
        await connection.execute(
            "update executor.command set lease_until = now() where id = %s and status = 'queued'", [command_id]
        )


async def looked(postgres, command_id):
    async with await psycopg.AsyncConnection.connect(postgres.url, autocommit=True) as connection:
        cursor = await connection.execute("select fence from executor.command where id = %s", [command_id])
        return (await cursor.fetchone())[0] >= 4


async def test_work_that_waits_too_long_fails_with_what_it_waited_for(replica, own_agent):
    one = replica("one", **FAST)
    async with one.client() as client, away(own_agent):
        command = await client.run(own_agent.name, "true", offline=QUEUE, queue_timeout={"seconds": 2})
        await queued(client, command.id)
        final = (await client.log(command.id)).final
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "queue_timeout")
    assert "its queue limit of 2 s: the agent could not be reached" in final.message
    assert "waits until" not in final.message
    assert final.changes[-1].actor.startswith("executor:")


async def test_work_that_finds_no_replica_with_room_fails_at_its_queue_limit(replica, agent):
    narrow = replica("narrow", max_active_commands=1)
    async with narrow.client() as client:
        first = await client.run(agent.name, "sleep", "60")
        await client.running(first.id)
        waiting = await client.run(agent.name, "true", queue_timeout={"seconds": 1})
        assert waiting.next.startswith("waits for a replica with room; at ")
        final = await client.final(waiting.id)
        assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "queue_timeout")
        await client.cancel(first.id)
        await client.final(first.id)


async def test_work_is_skipped_when_its_policy_says_so(replica, own_agent):
    one = replica("one", **FAST)
    async with one.client() as client, away(own_agent):
        final = await client.final((await client.run(own_agent.name, "true", offline=SKIP)).id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_SKIPPED, "agent_unreachable")
    assert causes(final)[1:] == [("pending", "skipped", "agent_unreachable")]


async def test_a_cancel_that_came_just_before_it_was_skipped_counts(replica, own_agent, postgres):
    # Nothing tells the owner of the wish in time.
    one = replica("one", agent_rpc_retry_base_delay_s=0.5, sweep_interval_s=60)
    async with one.client() as client, away(own_agent):
        command = await client.run(own_agent.name, "true", offline=SKIP)
        async with await psycopg.AsyncConnection.connect(postgres.url, autocommit=True) as connection:
            asked = await connection.execute(
                "update executor.command set status = 'cancelling', cancel_requested_at = now(), cancel_grace_s = 5"
                " where id = %s and status = 'pending'",
                [command.id],
            )
            assert asked.rowcount == 1
        final = await client.final(command.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_CANCELLED, "cancelled")
    assert final.message == "cancelled before it was sent to the agent"


async def test_queued_work_is_cancelled_at_once(replica, own_agent, tell, tmp_path):
    one, other = replica("one", "other", **FAST)
    async with one.client() as client, other.client() as stranger:
        async with away(own_agent):
            command = await client.shell(own_agent.name, f"echo ran >> {tmp_path}/marks", offline=QUEUE)
            await queued(client, command.id)
            ended = await stranger.cancel(command.id)
            assert (ended.status, ended.message) == (
                pb.COMMAND_STATUS_CANCELLED,
                "cancelled before it was sent to the agent",
            )
            assert ended.changes[-1].actor == "token:test"
            assert await client.cancel(command.id) == ended
        await tell(own_agent)
        assert (await client.final((await client.run(own_agent.name, "true")).id)).status == pb.COMMAND_STATUS_SUCCESS
    assert not (tmp_path / "marks").exists()


async def test_work_whose_reply_was_lost_is_adopted_not_queued(replica, own_agent, registry, tmp_path):
    async with BrokenWay(own_agent) as way:
        registry.put(own_agent.endpoint(rpc_port=way.port))
        one = replica("one", agent_calm_retry_s=0.3, **FAST)
        async with one.client() as client:
            way.swallow_replies(1000, HANDED)
            command = await client.shell(own_agent.name, f"echo ran >> {tmp_path}/marks; echo out", offline=QUEUE)
            await until(lambda: way.swallowed > 6)
            doubtful = await client.get(command.id)
            assert doubtful.status == pb.COMMAND_STATUS_PENDING
            way.swallow_replies(0)
            log = await client.log(command.id)
    assert (tmp_path / "marks").read_text() == "ran\n"
    assert (log.data, log.final.status) == (b"out\n", pb.COMMAND_STATUS_SUCCESS)


async def test_work_that_waited_and_may_have_been_sent_is_not_queued_again(
    replica, own_agent, registry, postgres, tmp_path
):
    async with BrokenWay(own_agent) as way:
        one = replica("one", agent_calm_retry_s=0.3, lease_s=2, lease_renew_s=0.5, **FAST)
        async with one.client() as owner, away(own_agent):
            command = await owner.shell(own_agent.name, f"echo ran >> {tmp_path}/marks; echo out", offline=QUEUE)
            await queued(owner, command.id)
        registry.put(own_agent.endpoint(rpc_port=way.port))
        way.swallow_replies(1000, HANDED)
        await until(lambda: looked_at(postgres, command.id, way))
        one.program.kill9()
        registry.mark(own_agent.server_id, status=agent_pb2.AGENT_STATUS_OFFLINE)
        other = replica("other", agent_calm_retry_s=0.3, lease_s=2, lease_renew_s=0.5, **FAST)
        async with other.client() as client:
            swallowed = way.swallowed
            await until(lambda: way.swallowed > swallowed + 2)
            assert (await client.get(command.id)).status == pb.COMMAND_STATUS_PENDING
            way.swallow_replies(0)
            log = await client.log(command.id)
    assert (tmp_path / "marks").read_text() == "ran\n"
    assert (log.data, log.final.status) == (b"out\n", pb.COMMAND_STATUS_SUCCESS)
    assert [to for _, to, _ in causes(log.final)].count("queued") == 1


@pytest.mark.parametrize("end", ["kill9", "stop"])
@pytest.mark.parametrize("has_waited", [False, True])
async def test_work_goes_on_waiting_when_its_replica_ends_while_it_tries_the_agent(
    replica, own_agent, registry, postgres, tmp_path, end, has_waited
):
    one = replica("one", **FAST, **SHORT_LEASE)
    async with Silent() as way:
        registry.put(own_agent.endpoint(rpc_port=free_port() if has_waited else way.port))
        async with one.client() as owner:
            command = await owner.shell(own_agent.name, f"echo ran >> {tmp_path}/marks; echo out", offline=QUEUE)
            if has_waited:
                await queued(owner, command.id)
                registry.put(own_agent.endpoint(rpc_port=way.port))
                await look_now(postgres, command.id)
            await until(lambda: way.tried)
        await asyncio.to_thread(getattr(one.program, end))
    registry.put(own_agent.endpoint(rpc_port=free_port()))
    other = replica("other", **FAST, **SHORT_LEASE)
    async with other.client() as client:
        waits = await queued(client, command.id)
        assert waits.reason == "agent_unreachable"
        assert waits.deadline_at.seconds == waits.created_at.seconds + 3600
        registry.put(own_agent.endpoint())
        await look_now(postgres, command.id)
        log = await client.log(command.id)
    assert (tmp_path / "marks").read_text() == "ran\n"
    assert (log.data, log.final.status) == (b"out\n", pb.COMMAND_STATUS_SUCCESS)


async def test_work_that_waits_and_is_just_being_tried_is_cancelled_at_once(replica, own_agent, registry):
    one, other = replica("one", "other", **FAST)
    async with Silent() as way, one.client() as owner, other.client() as stranger:
        registry.put(own_agent.endpoint(rpc_port=way.port))
        command = await owner.run(own_agent.name, "true", offline=QUEUE)
        await until(lambda: way.tried)
        ended = await stranger.cancel(command.id)
        assert (ended.status, ended.message) == (
            pb.COMMAND_STATUS_CANCELLED,
            "cancelled before it was sent to the agent",
        )


async def looked_at(postgres, command_id, way):
    if not way.swallowed:
        await look_now(postgres, command_id)
    return way.swallowed > 2


async def test_what_runs_on_an_agent_that_was_cut_off_is_adopted_by_another_replica(
    replica, own_agent, registry, tmp_path
):
    one, other = replica("one", "other", agent_calm_retry_s=0.3, lease_s=2, lease_renew_s=0.5, **FAST)
    way = await BrokenWay(own_agent).__aenter__()
    registry.put(own_agent.endpoint(rpc_port=way.port))
    script = f"echo ran >> {tmp_path}/marks; echo begun; while [ ! -e {tmp_path}/go ]; do sleep 0.1; done; echo over"
    async with one.client() as owner, other.client() as stranger:
        command = await owner.shell(own_agent.name, script, offline=QUEUE)

        async def begun():
            return (await owner.get(command.id)).log_size_bytes >= 6

        await until(begun)
        await way.__aexit__(None, None, None)
        one.program.kill9()

        async def cut_off():
            return "the agent cannot be reached" in (await stranger.get(command.id)).message

        await until(cut_off)
        seen = await stranger.get(command.id)
        assert seen.status == pb.COMMAND_STATUS_RUNNING
        (tmp_path / "go").touch()
        registry.put(own_agent.endpoint())
        log = await stranger.log(command.id)
    assert (tmp_path / "marks").read_text() == "ran\n"
    assert (log.data, log.final.status) == (b"begun\nover\n", pb.COMMAND_STATUS_SUCCESS)
    assert log.final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE


@pytest.mark.parametrize("timeout_s", [0, 600])
async def test_a_command_whose_agent_vanished_is_lost_at_its_deadline(replica, own_agent, tmp_path, timeout_s):
    one = replica("one", lost_after_s=2, agent_calm_retry_s=0.3, **FAST)
    async with one.client() as client:
        if timeout_s:
            # Its own limit counts first; asking for the end makes the deadline come sooner.
            command = await client.run(own_agent.name, "sleep", "60", timeout_s=timeout_s)
        else:
            command = await client.run(own_agent.name, "sleep", "60", timeout_s=0)

        async def runs():
            return (await client.get(command.id)).status == pb.COMMAND_STATUS_RUNNING

        await until(runs)
        await asyncio.to_thread(own_agent.program.kill9)
        if timeout_s:
            asked = await client.cancel(command.id, grace_s=1)
            assert asked.deadline_at.seconds <= asked.cancel_requested_at.seconds + 4
            assert "until it has proved it" in asked.next

            async def told():
                return (await client.get(command.id)).message.startswith("cancel not delivered: nothing listens")

            await until(told)
        final = (await client.log(command.id)).final
        await asyncio.to_thread(own_agent.start)
    expected = "cancel_not_proved" if timeout_s else "agent_gone"
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_LOST, expected)
    assert "it is not run again" in final.message
    assert final.changes[-1].evidence


async def test_a_quiet_command_without_a_limit_lives_as_long_as_its_agent_is_heard_of(replica, agent):
    one = replica("one", lost_after_s=2)
    async with one.client() as client:
        command = await client.shell(agent.name, "sleep 6; echo over", timeout_s=0)
        log = await client.log(command.id)
    assert (log.data, log.final.status) == (b"over\n", pb.COMMAND_STATUS_SUCCESS)


async def test_a_command_has_its_own_connect_limit(replica, own_agent, registry, tmp_path):
    async with BrokenWay(own_agent) as way:
        registry.put(own_agent.endpoint(rpc_port=way.port))
        one = replica("one", agent_calm_retry_s=0.3, **FAST)
        async with one.client() as client:
            way.swallow_replies(1000, HANDED)
            command = await client.shell(
                own_agent.name, f"echo ran >> {tmp_path}/marks", offline=QUEUE, connect_timeout={"seconds": 2}
            )
            await until(lambda: way.swallowed)
            way.swallow_replies(1000)
            final = await client.final(command.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_UNKNOWN, "delivery_unknown")
    assert (tmp_path / "marks").read_text() == "ran\n"


async def test_nothing_is_sent_to_another_machine_and_nothing_waits_for_it(replica, own_agent, registry, tmp_path):
    one = replica("one", **FAST)
    registry.put(own_agent.endpoint(quarantined=True) | {"_": {"status": agent_pb2.AGENT_STATUS_OFFLINE}})
    async with one.client() as client:
        for policy in (pb.OFFLINE_POLICY_FAIL, QUEUE, SKIP):
            command = await client.shell(own_agent.name, f"echo ran >> {tmp_path}/marks", offline=policy)
            final = await client.final(command.id)
            assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "other_machine")
            assert [one.cause for one in final.attempts] == ["other_machine"]
            assert not final.attempts[0].HasField("wait")
        assert not (tmp_path / "marks").exists()

        registry.put(own_agent.endpoint())
        final = await client.final((await client.shell(own_agent.name, f"echo ran >> {tmp_path}/marks")).id)
    assert final.status == pb.COMMAND_STATUS_SUCCESS


async def test_what_waited_for_an_agent_ends_when_another_machine_is_there(replica, own_agent, registry, tell):
    one = replica("one", **FAST)
    async with one.client() as client:
        async with away(own_agent):
            command = await client.run(own_agent.name, "true", offline=QUEUE)
            await queued(client, command.id)
        registry.put(own_agent.endpoint(quarantined=True))
        await tell(own_agent)
        final = await client.final(command.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "other_machine")
