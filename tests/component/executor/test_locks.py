"""Locks of servers: who excludes waits its turn in the order of acceptance, nobody else is held up."""

import asyncio

import pytest

from myx.executor.v1 import command_pb2 as pb

SHARED, EXCLUSIVE = pb.LOCK_MODE_SHARED, pb.LOCK_MODE_EXCLUSIVE


@pytest.fixture
def gate(tmp_path):
    """A script that runs until its file is there, and leaves a mark."""

    def script(name):
        return (
            f"echo {name} begins >> {tmp_path}/marks; while [ ! -e {tmp_path}/{name} ]; do sleep 0.05; done;"
            f" echo {name} ends >> {tmp_path}/marks"
        )

    return script


def marks(tmp_path):
    return (tmp_path / "marks").read_text().splitlines()


async def test_exclusive_work_waits_in_order_and_what_asks_for_no_lock_does_not(replica, agent, gate, tmp_path):
    one, other = replica("one", "other")
    async with one.client() as client, other.client() as stranger:
        first = await client.shell(agent.name, gate("first"), lock=EXCLUSIVE)
        await client.running(first.id)
        second = await stranger.shell(agent.name, gate("second"), lock=EXCLUSIVE)
        waits = await client.in_state(second.id, pb.COMMAND_STATUS_QUEUED)
        assert waits.reason == "lock_held"
        assert waits.message.startswith(f"waits for the exclusive lock of command {first.id}; waits until ")
        assert waits.next.startswith("waits for the lock of its server")
        third = await client.shell(agent.name, gate("third"), lock=SHARED)
        await client.in_state(third.id, pb.COMMAND_STATUS_QUEUED)
        free = await client.run(agent.name, "true")
        assert (await client.final(free.id)).status == pb.COMMAND_STATUS_SUCCESS
        (tmp_path / "first").touch()
        await client.running(second.id)
        behind = await client.in_state(third.id, pb.COMMAND_STATUS_QUEUED)
        assert behind.status == pb.COMMAND_STATUS_QUEUED
        (tmp_path / "third").touch()
        (tmp_path / "second").touch()
        assert (await client.final(third.id)).status == pb.COMMAND_STATUS_SUCCESS
    assert marks(tmp_path) == [f"{name} {what}" for name in ("first", "second", "third") for what in ("begins", "ends")]


async def test_work_that_shares_runs_together_and_keeps_out_what_excludes(replica, agent, gate, tmp_path):
    one = replica("one")
    async with one.client() as client:
        shared = [await client.shell(agent.name, gate(f"shared{n}"), lock=SHARED) for n in range(2)]
        for command in shared:
            await client.running(command.id)
        alone = await client.shell(agent.name, gate("alone"), lock=EXCLUSIVE)
        await client.in_state(alone.id, pb.COMMAND_STATUS_QUEUED)
        late = await client.shell(agent.name, gate("late"), lock=SHARED)
        held = await client.in_state(late.id, pb.COMMAND_STATUS_QUEUED)
        assert held.message.startswith(f"waits behind command {alone.id}, which waits for the exclusive lock")
        for name in ("shared0", "shared1", "alone", "late"):
            (tmp_path / name).touch()
        for command in (*shared, alone, late):
            assert (await client.final(command.id)).status == pb.COMMAND_STATUS_SUCCESS
    seen = marks(tmp_path)
    assert seen.index("alone ends") < seen.index("late begins")
    assert max(seen.index("shared0 ends"), seen.index("shared1 ends")) < seen.index("alone begins")


async def test_a_lock_outlives_its_replica_but_not_its_command(replica, agent, gate, tmp_path):
    one, other = replica("one", "other", lease_s=2, lease_renew_s=0.5)
    async with one.client() as client, other.client() as stranger:
        first = await client.shell(agent.name, gate("first"), lock=EXCLUSIVE)
        await client.running(first.id)
        one.program.kill9()
        second = await stranger.shell(agent.name, gate("second"), lock=EXCLUSIVE)
        await stranger.in_state(second.id, pb.COMMAND_STATUS_QUEUED)
        (tmp_path / "second").touch()
        await stranger.cancel(first.id, grace_s=1)
        assert (await stranger.final(first.id)).status == pb.COMMAND_STATUS_CANCELLED
        assert (await stranger.final(second.id)).status == pb.COMMAND_STATUS_SUCCESS
    assert marks(tmp_path) == ["first begins", "second begins", "second ends"]


async def test_who_stops_waiting_lets_the_next_one_go(replica, agent, gate, tmp_path):
    one = replica("one")
    async with one.client() as client:
        first = await client.shell(agent.name, gate("first"), lock=SHARED)
        await client.running(first.id)
        alone = await client.shell(agent.name, gate("alone"), lock=EXCLUSIVE)
        await client.in_state(alone.id, pb.COMMAND_STATUS_QUEUED)
        late = await client.shell(agent.name, gate("late"), lock=SHARED)
        await client.in_state(late.id, pb.COMMAND_STATUS_QUEUED)
        (tmp_path / "late").touch()
        assert (await client.cancel(alone.id)).status == pb.COMMAND_STATUS_CANCELLED
        # A look by itself comes after twenty seconds at the earliest.
        assert (await client.final(late.id, 15)).status == pb.COMMAND_STATUS_SUCCESS
        (tmp_path / "first").touch()
        await client.final(first.id)


async def test_many_that_exclude_each_other_run_one_at_a_time(replica, agent, tmp_path):
    one, other = replica("one", "other")
    script = f"mkdir {tmp_path}/only || exit 7; echo x >> {tmp_path}/marks; rmdir {tmp_path}/only"
    async with one.client() as client, other.client() as stranger:
        commands = await asyncio.gather(
            *((client, stranger)[n % 2].shell(agent.name, script, lock=EXCLUSIVE) for n in range(12))
        )
        finals = await asyncio.gather(*(client.final(command.id, 60) for command in commands))
    assert [final.exit_code for final in finals] == [0] * 12
    assert marks(tmp_path) == ["x"] * 12
