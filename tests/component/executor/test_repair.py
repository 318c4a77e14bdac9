"""Repairs as the executor makes them, up to the login: what runs on the host keeps them off, what waits does not."""

import asyncio

import pytest
import pytest_asyncio
from executor_deployments import Deployments, steps
from executor_tool import SHIPPED, make_bundle

from myx.executor.v1 import command_pb2 as pb
from myx.registry.v1 import agent_pb2
from myx_testkit.wait import until

FAST = {"agent_rpc_retry_base_delay_s": 0.05, "agent_calm_retry_s": 0.3}


@pytest.fixture
def repairing(replica, tmp_path):
    """An executor that looks at agents that are offline all the time."""
    make_bundle(tmp_path / "bundle")
    return replica("a", playbooks_dir=SHIPPED, agent_bundle_dir=tmp_path / "bundle", repair_interval_s=0.3, **FAST)


@pytest_asyncio.fixture
async def client(repairing, tls_dir):
    async with Deployments(f"127.0.0.1:{repairing.port}", tls_dir) as client:
        yield client


@pytest_asyncio.fixture
async def host(registry, own_agent):
    """The name of a server whose agent is to be killed; of SSH it has no more than the first line."""

    async def introduce(reader, writer):
        writer.write(b"SSH-2.0-nobody\r\n")
        await reader.readline()
        writer.close()

    async with await asyncio.start_server(introduce, "127.0.0.1", 0) as ssh:
        port = ssh.sockets[0].getsockname()[1]
        hop = {"serverId": own_agent.server_id, "serverName": own_agent.name, "address": "127.0.0.1", "port": port}
        registry.mark(
            own_agent.server_id, has_credential=True, ssh_port=port, hops=[{**hop, "secret": {"password": "none"}}]
        )
        yield own_agent.name


async def test_a_command_that_waits_for_the_agent_does_not_wait_for_ever(client, host, own_agent, registry):
    await asyncio.to_thread(own_agent.program.kill9)
    waiting = await client.shell(host, "true", offline=pb.OFFLINE_POLICY_QUEUE)
    await client.in_state(waiting.id, pb.COMMAND_STATUS_QUEUED)
    by_hand = await client.ended((await client.create(host, kind="repair_agent")).id)
    assert steps(by_hand)["diagnose"] == "success", by_hand
    assert steps(by_hand)["connect"] == "failed"
    registry.mark(own_agent.server_id, status=agent_pb2.AGENT_STATUS_OFFLINE, cause="refused")

    async def repaired():
        found = (await client.list_deployments(server=host, kind="repair_agent")).deployments
        return next((one for one in found if one.requested_by == "system:repair"), None)

    made = await until(repaired, 20)
    assert steps(await client.ended(made.id))["diagnose"] == "success"
    assert await client.status(waiting.id) == pb.COMMAND_STATUS_QUEUED


async def test_commands_that_run_keep_a_repair_off_that_is_not_forced(client, host, own_agent, registry):
    running = await client.shell(host, "sleep 60")
    await client.running(running.id)
    await asyncio.to_thread(own_agent.program.kill9)
    final = await client.ended((await client.create(host, kind="repair_agent")).id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "commands_running")
    assert "repair with force" in final.cure
    forced = await client.ended((await client.create(host, kind="repair_agent", force=True)).id)
    assert steps(forced)["diagnose"] == "success", forced
    registry.mark(own_agent.server_id, status=agent_pb2.AGENT_STATUS_OFFLINE, cause="refused")

    async def noted():
        request = {"server": host, "statuses": [pb.COMMAND_STATUS_SKIPPED]}
        return (await client.list_deployments(**request)).deployments or None

    (note,) = await until(noted, 20)
    assert (note.requested_by, note.reason) == ("system:repair", "commands_running")
