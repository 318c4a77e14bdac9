"""A registry that answers `GetAgentEndpoint` from a JSON file: python executor_fake_registry.py LISTEN TLS_DIR FILE."""

import asyncio
import json
import sys
from pathlib import Path

from myx.registry.v1 import agent_pb2, agent_service_pb2, agent_service_pb2_grpc
from myx_kit.errors import NotFound
from myx_kit.lifecycle import notify_ready
from myx_kit.rpc.server import RpcServer


class Agents(agent_service_pb2_grpc.AgentServiceServicer):
    """`{"<server name or id>": {fields of AgentEndpoint}}`, read again for each call; null: a server without agent."""

    def __init__(self, file):
        self._file = file

    async def GetAgentEndpoint(self, request, context):
        servers = json.loads(self._file.read_text())
        if request.server not in servers:
            raise NotFound("SERVER_NOT_FOUND", f"no server {request.server}", server=request.server)
        if servers[request.server] is None:
            raise NotFound("AGENT_NOT_FOUND", f"server {request.server} has no agent", server=request.server)
        return agent_service_pb2.GetAgentEndpointResponse(endpoint=agent_pb2.AgentEndpoint(**servers[request.server]))


async def main(listen, tls_dir, file):
    server = RpcServer(listen, Path(tls_dir), "registry")
    servicer = Agents(Path(file))
    server.add(agent_service_pb2_grpc.add_AgentServiceServicer_to_server, servicer, "myx.registry.v1.AgentService")
    server.allow({"/myx.registry.v1.AgentService/GetAgentEndpoint": {"executor"}})
    await server.start()
    notify_ready()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
