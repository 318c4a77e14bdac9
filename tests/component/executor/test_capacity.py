"""More commands than a replica works on at once wait in the database, and all of them run."""

import asyncio

from myx.executor.v1 import command_pb2 as pb


async def test_waiting_commands_are_taken_as_slots_become_free(replica, agent):
    one = replica("one", max_active_commands=5, sweep_interval_s=30)
    async with one.client() as client:
        loop = asyncio.get_running_loop()
        began = loop.time()
        commands = await asyncio.gather(*(client.shell(agent.name, f"sleep 0.1; echo {n}") for n in range(40)))
        logs = await asyncio.gather(*(client.log(command.id) for command in commands))
        took_s = loop.time() - began
    assert [log.data for log in logs] == [b"%d\n" % n for n in range(40)]
    assert {log.final.status for log in logs} == {pb.COMMAND_STATUS_SUCCESS}
    assert took_s < 20


async def test_another_replica_takes_what_waits(replica, agent):
    narrow, wide = replica("narrow", "wide", max_active_commands=3)
    async with narrow.client() as client, wide.client() as helper:
        commands = await asyncio.gather(*(client.shell(agent.name, f"sleep 0.5; echo {n}") for n in range(6)))
        logs = await asyncio.gather(*(helper.log(command.id) for command in commands))
    assert [log.data for log in logs] == [b"%d\n" % n for n in range(6)]
    assert "command_claimed" in wide.program.log.read_text()
