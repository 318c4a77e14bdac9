"""Replicas, database, NATS and the way to the agent fail in the middle of a command."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import aclosing
from datetime import timedelta

import psycopg
import pytest
from executor_broken_way import BrokenWay
from executor_schedules import Schedules

from myx.executor.v1 import command_pb2 as pb
from myx.executor.v1.schedule_service_pb2 import ListSchedulesRequest
from myx_kit.errors import MyxError, Unavailable
from myx_testkit.wait import until

PYTHON = sys.executable
NUMBERED = (
    "import sys,time\nfor i in range({n}):\n sys.stdout.write('%d\\n' % i); sys.stdout.flush(); time.sleep({pause})\n"
    "sys.exit(5)"
)


def numbers(n):
    return b"".join(b"%d\n" % i for i in range(n))


async def numbered(client, agent, n=150, pause=0.02):
    return await client.run(agent.name, PYTHON, "-Sc", NUMBERED.format(n=n, pause=pause))


async def grown(client, command_id, size=20):
    async def enough():
        return (await client.get(command_id)).log_size_bytes >= size

    await until(enough)


def right(log, n=150):
    assert log.data == numbers(n)
    assert (log.final.status, log.final.exit_code) == (pb.COMMAND_STATUS_FAILED, 5)
    assert log.final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE


async def faithful(client, command_id, offset=0, timeout_s=60):
    """The log as a caller gets it that comes back with its offset after each broken stream."""
    data, loop = b"", asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        try:
            async with aclosing(client.follow(command_id, offset + len(data))) as responses:
                async for response in responses:
                    for frame in response.frames:
                        assert frame.offset == offset + len(data)
                        data += frame.data
                    if response.HasField("final"):
                        return data, response.final.command
        except MyxError:
            assert loop.time() < deadline
        await asyncio.sleep(0.05)


async def test_a_killed_replicas_command_is_taken_over_at_the_stored_offset(replica, agent):
    one, other = replica("one", "other", lease_s=2, lease_renew_s=0.5)
    async with one.client() as owner, other.client() as stranger:
        command = await numbered(owner, agent, n=150)
        following = asyncio.create_task(stranger.log(command.id))
        await grown(owner, command.id)
        one.program.kill9()
        right(await following, 150)


async def test_a_stopped_replica_hands_its_commands_over_at_once(replica, agent):
    one, other = replica("one", "other")
    async with one.client() as owner, other.client() as stranger:
        command = await numbered(owner, agent, n=100)
        following = asyncio.create_task(stranger.log(command.id))
        await grown(owner, command.id)
        asyncio.get_running_loop().call_soon(one.program.process.terminate)
        log = await following
        right(log, 100)
        # Without the hand-over the lease of ten seconds would have to run out first.
        took_s = (log.final.ended_at.ToNanoseconds() - log.final.started_at.ToNanoseconds()) / 1e9
        assert took_s < 8
    await until(lambda: not one.program.is_running())
    assert one.program.process.returncode == 0


async def test_a_restarted_replica_goes_on_with_its_own_commands(replica, agent):
    one = replica("one", lease_s=2, lease_renew_s=0.5)
    async with one.client() as client:
        command = await numbered(client, agent, n=150)
        await grown(client, command.id)
        one.program.kill9()
        one.start()
        data, final = await faithful(client, command.id)
    assert data == numbers(150)
    assert final.exit_code == 5


async def test_a_replica_that_wakes_up_too_late_writes_nothing(replica, agent, postgres):
    one, other = replica("one", "other", lease_s=1, lease_renew_s=0.3)
    async with one.client() as owner, other.client() as stranger:
        command = await numbered(owner, agent, n=150)
        await grown(owner, command.id)
        os.kill(one.program.pid, signal.SIGSTOP)
        try:
            await until(lambda: taken_over(postgres.url, command.id))
        finally:
            os.kill(one.program.pid, signal.SIGCONT)
        right(await stranger.log(command.id), 150)
        right(await owner.log(command.id), 150)
    assert await fence(postgres.url, command.id) == 2
    assert "command_left_to_its_owner" in one.program.output() or "lease_lost" in one.program.log.read_text()


async def lease_until(url, command_id):
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("select lease_until from executor.command where id = %s", [command_id])
        return (await cursor.fetchone())[0]


async def test_reads_that_hold_every_connection_cost_no_lease(replica, agent, postgres):
    """Those of one who only looks; the table that they wait for is locked for longer than the lease lasts."""
    one = replica("one", lease_s=2, lease_renew_s=0.5, pool_size=2)
    async with one.client() as client, Schedules(one, postgres) as reader:
        command = await numbered(client, agent)
        await grown(client, command.id)
        async with await psycopg.AsyncConnection.connect(postgres.url) as connection:
            await connection.execute("lock table executor.schedule")
            reads = [reader.stub.ListSchedules(ListSchedulesRequest()) for _ in range(10)]
            await until(lambda: is_waited_for(postgres.url, 2))
            begun = await lease_until(postgres.url, command.id)

            async def was_renewed():
                return await lease_until(postgres.url, command.id) - begun > timedelta(seconds=4)

            await until(was_renewed)
            assert not any(read.done() for read in reads)
        await asyncio.gather(*reads)
        right(await client.log(command.id))
    assert await fence(postgres.url, command.id) == 1


async def is_waited_for(url, count):
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("select count(*) from pg_locks where not granted")
        return (await cursor.fetchone())[0] >= count


async def fence(url, command_id):
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("select fence from executor.command where id = %s", [command_id])
        return (await cursor.fetchone())[0]


async def taken_over(url, command_id):
    return await fence(url, command_id) > 1


async def test_nats_killed_and_back_costs_no_follower_a_byte(replica, agent, nats):
    one, other = replica("one", "other")
    async with one.client() as owner, other.client() as stranger:
        command = await numbered(owner, agent, n=180)
        following = [asyncio.create_task(client.log(command.id)) for client in (owner, stranger)]
        await grown(owner, command.id)
        nats.kill9()
        await grown(owner, command.id, 400)
        nats.restart()
        for task in following:
            right(await task, 180)


async def test_a_nats_that_hangs_costs_no_follower_a_byte(replica, agent, nats):
    one, other = replica("one", "other")
    async with one.client() as owner, other.client() as stranger:
        command = await numbered(owner, agent, n=150)
        await grown(owner, command.id)
        os.kill(nats.program.pid, signal.SIGSTOP)
        try:
            right(await stranger.log(command.id), 150)
            right(await owner.log(command.id), 150)
        finally:
            os.kill(nats.program.pid, signal.SIGCONT)


async def test_without_nats_a_follower_on_another_replica_sees_lines_within_two_seconds(replica, agent, nats):
    one, other = replica("one", "other")
    nats.kill9()
    try:
        async with one.client() as owner, other.client() as stranger:
            command = await owner.shell(agent.name, "sleep 1; echo line; sleep 30")
            async with aclosing(stranger.follow(command.id)) as responses:
                async with asyncio.timeout(4):
                    response = await anext(responses)
            assert response.frames[0].data == b"line\n"
            await owner.cancel(command.id)
            await owner.final(command.id)
    finally:
        nats.restart()


async def test_postgresql_killed_and_back_delays_a_command_and_loses_nothing(replica, agent, postgres):
    one = replica("one")
    async with one.client() as client:
        command = await numbered(client, agent, n=150)
        following = asyncio.create_task(faithful(client, command.id))
        await grown(client, command.id)
        postgres.kill9()
        try:

            async def refuses():
                try:
                    await client.get(command.id)
                except Unavailable:
                    return True

            await until(refuses)
        finally:
            postgres.restart()
        data, final = await following
        assert data == numbers(150)
        assert (final.exit_code, final.log_completeness) == (5, pb.LOG_COMPLETENESS_COMPLETE)
        right(await client.log(command.id), 150)


async def test_a_killed_agent_delays_a_command_and_loses_nothing(replica, own_agent):
    one = replica("one")
    async with one.client() as client:
        command = await numbered(client, own_agent, n=150)
        following = asyncio.create_task(client.log(command.id))
        await grown(client, command.id)
        own_agent.program.kill9()
        await asyncio.to_thread(own_agent.start)
        right(await following)


async def test_a_lost_reply_runs_the_command_once(replica, own_agent, registry, tmp_path):
    async with BrokenWay(own_agent) as way:
        registry.put(own_agent.endpoint(rpc_port=way.port))
        one = replica("one")
        async with one.client() as client:
            way.swallow_replies(1)
            command = await client.shell(own_agent.name, f"echo ran >> {tmp_path}/marks; echo out")
            log = await client.log(command.id)
    assert way.swallowed == 1
    assert (tmp_path / "marks").read_text() == "ran\n"
    assert (log.data, log.final.status) == (b"out\n", pb.COMMAND_STATUS_SUCCESS)
    assert [attempt.cause for attempt in log.final.attempts] == ["connection_lost", ""]


async def test_an_agent_that_is_never_reached_fails_the_command_with_all_attempts(replica, agent, registry):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    registry.put(agent.endpoint(server_id="3f0b8f8e-0000-4000-8000-000000000002", server_name="gone", rpc_port=port))
    one = replica("one", agent_rpc_retry_base_delay_s=0.05)
    async with one.client() as client:
        final = await client.final((await client.run("gone", "true")).id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "agent_unreachable")
    assert [attempt.cause for attempt in final.attempts] == ["refused"] * 4
    assert [attempt.wait.ToNanoseconds() // 1_000_000 for attempt in final.attempts] == [50, 100, 200, 0]


async def test_a_wrong_token_fails_the_command_at_once_with_its_cause(replica, agent, registry):
    registry.put(
        agent.endpoint(server_id="3f0b8f8e-0000-4000-8000-000000000003", server_name="locked", agent_token="x" * 40)
    )
    one = replica("one")
    async with one.client() as client:
        final = await client.final((await client.run("locked", "true")).id, 3)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "unauthorized")
    assert len(final.attempts) == 1


@pytest.mark.parametrize(("changed", "cause"), [("agent_token", "unauthorized"), ("rpc_path", "wrong_path")])
async def test_an_address_that_is_out_of_date_is_asked_for_anew(replica, own_agent, registry, changed, cause):
    one = replica("one", endpoint_ttl_s=3600)
    async with one.client() as client:
        first = await client.final((await client.run(own_agent.name, "true")).id)
        assert first.status == pb.COMMAND_STATUS_SUCCESS
        # Without the event of it.
        await asyncio.to_thread(own_agent.restart_with, **{changed: "y" * 40})
        registry.put(own_agent.endpoint())
        second = await client.final((await client.run(own_agent.name, "true")).id)
    assert second.status == pb.COMMAND_STATUS_SUCCESS
    assert [attempt.cause for attempt in second.attempts] == [cause, ""]


async def test_a_command_that_perhaps_arrived_is_unknown_after_its_deadline_and_never_run_again(
    replica, own_agent, registry, tmp_path
):
    async with BrokenWay(own_agent) as way:
        registry.put(own_agent.endpoint(rpc_port=way.port))
        one = replica("one", delivery_deadline_s=2, agent_rpc_retry_base_delay_s=0.1, agent_calm_retry_s=0.5)
        async with one.client() as client:
            way.swallow_replies(1000)
            command = await client.shell(own_agent.name, f"echo ran >> {tmp_path}/marks")
            final = await client.final(command.id)
            assert (final.status, final.reason) == (pb.COMMAND_STATUS_UNKNOWN, "delivery_unknown")
    assert (tmp_path / "marks").read_text() == "ran\n"


async def test_a_command_that_its_agent_has_forgotten_is_lost(replica, own_agent):
    one = replica("one")
    async with one.client() as client:
        command = await client.run(own_agent.name, "sleep", "60")
        await client.running(command.id)
        await asyncio.to_thread(own_agent.stop)
        await asyncio.to_thread(own_agent.forget_everything)
        await asyncio.to_thread(own_agent.start)
        log = await client.log(command.id)
    assert log.final.status == pb.COMMAND_STATUS_LOST
    assert log.final.log_completeness == pb.LOG_COMPLETENESS_INCOMPLETE


async def test_without_a_websocket_the_log_is_polled(replica, own_agent, registry):
    async with BrokenWay(own_agent) as way:
        registry.put(own_agent.endpoint(rpc_port=way.port))
        way.refuse_streams = True
        one = replica("one")
        async with one.client() as client:
            command = await numbered(client, own_agent, n=100)
            right(await client.log(command.id), 100)
    assert way.refused_streams > 0


async def test_the_registry_may_be_away_for_servers_that_are_known(replica, agent, registry):
    one = replica("one", endpoint_ttl_s=1)
    async with one.client() as client:
        await client.final((await client.run(agent.name, "true")).id)
        registry.program.kill9()
        try:

            async def stale():
                final = await client.final((await client.run(agent.name, "true")).id)
                assert final.status == pb.COMMAND_STATUS_SUCCESS
                return "stale_endpoint_used" in one.program.log.read_text()

            await until(stale, 10, interval_s=0.2)
        finally:
            registry.start()
