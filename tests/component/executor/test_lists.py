"""Lists of commands."""

import pytest

from myx.executor.v1 import command_pb2 as pb
from myx.executor.v1.command_service_pb2 import ListCommandsRequest
from myx_kit.errors import InvalidArgument


async def test_pages_are_newest_first_and_hold_every_command_once(client, agent, own_agent):
    ids = [(await client.run(agent.name, "true")).id for _ in range(5)]
    other = (await client.run(own_agent.name, "false")).id
    for command_id in [*ids, other]:
        await client.final(command_id)
    seen, token = [], ""
    while True:
        page = await client.stub.ListCommands(ListCommandsRequest(page_size=2, page_token=token, server=agent.name))
        assert len(page.commands) <= 2
        seen += [command.id for command in page.commands]
        token = page.next_page_token
        if not token:
            break
    assert seen == ids[::-1]
    everything = await client.stub.ListCommands(ListCommandsRequest())
    assert [command.id for command in everything.commands] == [other, *ids[::-1]]
    failed = await client.stub.ListCommands(ListCommandsRequest(statuses=[pb.COMMAND_STATUS_FAILED]))
    assert [command.id for command in failed.commands] == [other]
    by_id = await client.stub.ListCommands(ListCommandsRequest(server=own_agent.server_id))
    assert [command.id for command in by_id.commands] == [other]
    assert not (await client.stub.ListCommands(ListCommandsRequest(server="nowhere"))).commands


async def test_a_list_within_servers_has_full_pages_of_theirs_alone(client, agent, own_agent):
    ids = [(await client.run(agent.name, "true")).id for _ in range(3)]
    others = [(await client.run(own_agent.name, "true")).id for _ in range(3)]
    within = pb.ServerSet(ids=[agent.server_id, "no-such"])
    page = await client.stub.ListCommands(ListCommandsRequest(within=within, page_size=3))
    assert [command.id for command in page.commands] == ids[::-1]
    page = await client.stub.ListCommands(ListCommandsRequest(within=within, server=own_agent.name))
    assert not page.commands
    assert not (await client.stub.ListCommands(ListCommandsRequest(within=pb.ServerSet()))).commands
    everything = await client.stub.ListCommands(ListCommandsRequest(page_size=6))
    assert {command.id for command in everything.commands} == {*ids, *others}


@pytest.mark.parametrize("wrong", [{"page_token": "x"}, {"page_size": -1}, {"statuses": [99]}])
async def test_malformed_lists_are_refused(client, wrong):
    with pytest.raises(InvalidArgument):
        await client.stub.ListCommands(ListCommandsRequest(**wrong))


async def test_commands_with_long_arguments_leave_the_list_readable(client, registry):
    endpoint = {"server_id": "11111111-1111-4111-8111-111111111111", "server_name": "far", "address": "127.0.0.1"}
    registry.put(endpoint | {"agent_id": "a", "rpc_port": 1, "rpc_path": "p", "agent_token": "t", "secret_key": "s"})
    ids = [(await client.run("far", "true", "x" * 100_000, *["y" * 100_000] * 9)).id for _ in range(18)]
    seen, token, pages = [], "", 0
    while pages == 0 or token:
        page = await client.stub.ListCommands(ListCommandsRequest(page_token=token, server="far"))
        seen += [command.id for command in page.commands]
        token, pages = page.next_page_token, pages + 1
    assert seen == ids[::-1]
    assert pages > 1
