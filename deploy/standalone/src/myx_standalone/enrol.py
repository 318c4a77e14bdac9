"""Makes this machine a server of MyX: `python -m myx_standalone.enrol HOME REGISTRY running|stopped` (the agent).

Finds or adds the server, gets its agent's identity from the registry and writes it where the agent reads it. Prints the
agent's port. Repeating changes nothing.
"""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from myx.registry.v1.agent_service_pb2 import (
    AllocateAgentRequest,
    AllocateAgentResponse,
    CommitReallocationRequest,
    ReallocateAgentRequest,
)
from myx.registry.v1.agent_service_pb2_grpc import AgentServiceStub
from myx.registry.v1.server_service_pb2 import CreateServerRequest, GetServerRequest
from myx.registry.v1.server_service_pb2_grpc import ServerServiceStub
from myx_kit.errors import MyxError, NotFound
from myx_kit.files import read_private, write_private
from myx_kit.ids import new_id
from myx_kit.rpc.client import open_channel
from myx_standalone.agent_files import agent_places, as_text
from myx_standalone.files import private_folder
from myx_standalone.home import Home, is_free

if TYPE_CHECKING:
    from myx.registry.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from myx.registry.v1.server_service_pb2_grpc import ServerServiceAsyncStub

LOCAL = "local"
ADDRESS = "127.0.0.1"
CALL_S = 10.0
POLL_S = 0.05
PORT_TRIES = 10
REGISTRY_UP_WITHIN_S = 3600.0  # the database may recover, and be migrated; who runs us has the true limit


async def enrol(home: Home, registry_target: str, *, agent_runs: bool) -> int:
    """The port of the local agent, whose configuration is written. MyxError: the registry refuses or is not there."""
    async with asyncio.timeout(REGISTRY_UP_WITHIN_S):
        await _until_it_listens(registry_target)
    channel = open_channel(registry_target, home.tls, "standalone", "registry")
    try:
        server_id = await _server_id(ServerServiceStub(channel), home)
        identity = await _identity(AgentServiceStub(channel), server_id, tries=0 if agent_runs else PORT_TRIES)
    finally:
        await channel.close()
    write_private(home.server_id_file, server_id + "\n")
    write_agent_files(home, identity)
    return identity.agent.rpc_port


async def _identity(agents: "AgentServiceAsyncStub", server_id: str, *, tries: int) -> AllocateAgentResponse:
    """The agent's identity, with another port when somebody else on this machine has taken the one it had."""
    request = AllocateAgentRequest(server=server_id)
    identity: AllocateAgentResponse = await agents.AllocateAgent(request, timeout=CALL_S)
    for _ in range(tries):
        if is_free(identity.agent.rpc_port):
            break
        move = ReallocateAgentRequest(server=server_id, new_port=True, request_id=str(new_id()))
        await agents.ReallocateAgent(move, timeout=CALL_S)
        commit = CommitReallocationRequest(server=server_id, request_id=move.request_id)
        await agents.CommitReallocation(commit, timeout=CALL_S)
        identity = await agents.AllocateAgent(request, timeout=CALL_S)
    return identity


async def _until_it_listens(target: str) -> None:
    """A channel that fails at first would pause for up to two seconds before it tries again."""
    host, port = target.rsplit(":", 1)
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await asyncio.sleep(POLL_S)
        else:
            writer.close()
            return


async def _server_id(servers: "ServerServiceAsyncStub", home: Home) -> str:
    """The server of last time under whatever name it has now, else `local`, added when it is missing."""
    known = [read_private(home.server_id_file)] if home.server_id_file.exists() else []
    for name in (*known, LOCAL):
        try:
            return (await servers.GetServer(GetServerRequest(server=name), timeout=CALL_S)).server.id
        except NotFound:
            continue
    return (await servers.CreateServer(CreateServerRequest(name=LOCAL, address=ADDRESS), timeout=CALL_S)).server.id


def write_agent_files(home: Home, identity: AllocateAgentResponse) -> None:
    """The agent's configuration, certificate and key (all 600), only where they differ from what is there."""
    private_folder(home.agent / "ssl")
    private_folder(home.agent / "spool")
    places = agent_places(home)
    configuration = {
        "agent_token": identity.agent_token,
        "secret_key": identity.secret_key,
        "rpc_port": identity.agent.rpc_port,
        "rpc_path": identity.rpc_path,
        "bind_address": ADDRESS,
        **places,
        "require_signature": True,
    }
    wanted = {
        Path(places["certificate_path"]): identity.certificate_pem,
        Path(places["key_path"]): identity.private_key_pem,
        home.agent_config: as_text(configuration),
    }
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            write_private(path, text)


def main() -> int:
    """Exit status 0 and the port on stdout, or 1 and a sentence on stderr."""
    try:
        port = asyncio.run(enrol(Home(Path(sys.argv[1])), sys.argv[2], agent_runs=sys.argv[3] == "running"))
    except (MyxError, TimeoutError) as error:
        message = error.message if isinstance(error, MyxError) else "the registry did not answer in time"
        sys.stderr.write(f"{message}\n")
        return 1
    sys.stdout.write(f"{port}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
