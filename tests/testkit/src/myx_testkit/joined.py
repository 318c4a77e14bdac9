"""More real agents on this machine for a standalone MyX, beside its own one."""

import asyncio
import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from myx.registry.v1.agent_service_pb2 import AllocateAgentRequest, AllocateAgentResponse
from myx.registry.v1.agent_service_pb2_grpc import AgentServiceStub
from myx_kit.files import write_private
from myx_kit.rpc.client import open_channel
from myx_testkit.agent import RealAgent
from myx_testkit.rest import Refused, Rest
from myx_testkit.standalone import Standalone
from myx_testkit.wait import until_sync

CALL_S = 20.0
ONLINE_WITHIN_S = 30.0


def join(myx: Standalone, folder: Path, name: str, labels: dict[str, str] | None = None) -> RealAgent:
    """A server of this name with an agent of its own, which is online when this returns; part() from it."""
    rest = rest_of(myx)
    server = rest.post("/servers", {"name": name, "address": "127.0.0.1", "labels": labels or {}})
    # In a thread of its own: a browser's driver may have an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        identity = thread.submit(lambda: asyncio.run(_allocate(myx, server["id"]))).result()
    agent = RealAgent(
        folder,
        agent_token=identity.agent_token,
        secret_key=identity.secret_key,
        rpc_port=identity.agent.rpc_port,
        rpc_path=identity.rpc_path,
    )
    write_private(folder / "agent.crt", identity.certificate_pem)
    write_private(folder / "agent.key", identity.private_key_pem)
    agent.start()
    until_sync(lambda: _is_online(rest, name), ONLINE_WITHIN_S, interval_s=0.1, what=f"the agent of {name} is online")
    return agent


def part(myx: Standalone, name: str, agent: RealAgent) -> None:
    """Take back what join() did: the agent ends, and MyX knows no such server any more."""
    agent.close()
    rest_of(myx).delete(f"/servers/{name}")


def rest_of(myx: Standalone) -> Rest:
    """The API of a standalone, as the holder of its root token."""
    return Rest(myx.port, str(json.loads(myx.home.standalone_file.read_text())["token"]))


async def _allocate(myx: Standalone, server_id: str) -> AllocateAgentResponse:
    port = json.loads(myx.home.ports_file.read_text())["registry"]
    channel = open_channel(f"127.0.0.1:{port}", myx.home.tls, "standalone", "registry")
    try:
        request = AllocateAgentRequest(server=server_id)
        identity: AllocateAgentResponse = await AgentServiceStub(channel).AllocateAgent(request, timeout=CALL_S)
        return identity
    finally:
        await channel.close()


def _is_online(rest: Rest, name: str) -> bool:
    with contextlib.suppress(Refused):
        rest.post(f"/servers/{name}/check")
    agent: dict[str, Any] = rest.get(f"/servers/{name}").get("agent") or {}
    return agent.get("status") == "online"
