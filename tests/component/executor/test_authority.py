"""Work that waited begins only if whoever ordered it still may."""

import pytest
from executor_jobs import Fleet, JobClient, counts, options, shell, status
from executor_schedules import gateway

from myx.executor.v1 import command_pb2 as pb
from myx_testkit.ports import free_port
from myx_testkit.wait import until

EXCLUSIVE = pb.LOCK_MODE_EXCLUSIVE
QUEUED, FAILED, SUCCESS = pb.COMMAND_STATUS_QUEUED, pb.COMMAND_STATUS_FAILED, pb.COMMAND_STATUS_SUCCESS


@pytest.fixture
def listen():
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def held(tmp_path):
    """A script that holds its lock until the file is there."""
    return tmp_path / "open", f"while [ ! -e {tmp_path}/open ]; do sleep 0.05; done"


async def queued(client, command_id, reason):
    async def waits():
        command = await client.get(command_id)
        return command if (command.status, command.reason) == (QUEUED, reason) else None

    return await until(waits, 40)


async def test_a_queued_command_of_somebody_whose_right_is_gone_never_runs(
    replica, tls_dir, agent, listen, held, tmp_path
):
    opened, script = held
    executor = replica("a", gateway_target=listen)
    async with gateway(listen, tls_dir) as access, executor.client() as client:
        holder = await client.shell(agent.name, script, lock=EXCLUSIVE, requested_by="user:gone")
        waits = await client.shell(agent.name, f"touch {tmp_path}/ran", lock=EXCLUSIVE, requested_by="user:gone")
        await queued(client, waits.id, "lock_held")
        assert access.asked == []  # what begins at once was judged when it was accepted
        access.denied = "user:gone is no operator (any more)"
        opened.touch()
        assert (await client.final(holder.id)).status == SUCCESS
        final = await client.final(waits.id, 60)
        assert (final.status, final.reason, final.message) == (FAILED, "access_denied", access.denied)
        assert (access.asked[0].principal, access.asked[0].operation) == ("user:gone", "commands.run")
        assert not (tmp_path / "ran").exists()
        other = await client.shell(agent.name, "true", lock=EXCLUSIVE)
        assert (await client.final(other.id)).status == SUCCESS


@pytest.mark.long
async def test_while_nobody_can_tell_it_waits_and_then_runs(replica, tls_dir, agent, listen, held):
    opened, script = held
    executor = replica("a", gateway_target=listen)
    async with executor.client() as client:
        await client.shell(agent.name, script, lock=EXCLUSIVE)
        waits = await client.shell(agent.name, "true", lock=EXCLUSIVE, requested_by="user:alice")
        await queued(client, waits.id, "lock_held")
        opened.touch()
        told = await queued(client, waits.id, "access_unknown")
        assert told.next.startswith("waits for the gateway's word")
        async with gateway(listen, tls_dir):
            assert (await client.final(waits.id, 60)).status == SUCCESS


async def test_a_job_starts_nothing_for_somebody_whose_right_is_gone(replica, registry, tls_dir, agents, listen):
    executor = replica("a", gateway_target=listen)
    fleet = Fleet(registry, agents, 3)
    async with gateway(listen, tls_dir) as access, JobClient(executor) as jobs:
        access.denied = "user:gone is no operator on 1 of 3 servers"
        made = await jobs.create(fleet.selector, shell("true"), requested_by="user:gone", opts=options(concurrency=1))
        final = await jobs.final(made.id)
        assert (status(final), final.reason) == ("stopped", "access_denied")
        assert access.denied in [change.evidence for change in final.changes]
        assert counts(final) == {"not_started": 3}
        assert sorted(access.asked[0].server_ids) == sorted(fleet.ids)
