"""A registry that answers from a JSON file: python executor_fake_registry.py LISTEN TLS_DIR FILE.

`{"<server name or id>": {fields of AgentEndpoint, "_": {"status", "has_credential", "repair_policy"}}}`, read again for
each call; null: a server without agent, one without `rpc_port` gets its agent by AllocateAgent. `_` may hold `labels`.
What the executor changes is kept in memory. Selectors: `all`, `name=a`, `name in (a,b)`, `key=value`.
"""

import asyncio
import json
import secrets
import sys
import time
from pathlib import Path

from google.protobuf.json_format import ParseDict

from myx.registry.v1 import (
    agent_pb2,
    agent_service_pb2,
    agent_service_pb2_grpc,
    server_pb2,
    server_service_pb2,
    server_service_pb2_grpc,
)
from myx_kit.errors import FailedPrecondition, InvalidArgument, NotFound
from myx_kit.lifecycle import notify_ready
from myx_kit.rpc.server import RpcServer
from myx_kit.tls import make_agent_certificate

AGENTS = "myx.registry.v1.AgentService"
SERVERS = "myx.registry.v1.ServerService"
EXECUTOR = {
    AGENTS: (
        "GetAgentEndpoint",
        "ListAgents",
        "AllocateAgent",
        "AcceptMachine",
        "BeginRotation",
        "CommitRotation",
        "AbortRotation",
        "RemoveAgent",
    ),
    SERVERS: (
        "GetServer",
        "ResolveServers",
        "GetSshAccess",
        "RecordHostKey",
        "AcquireMaintenance",
        "ReleaseMaintenance",
    ),
}
STATUSES = {
    agent_pb2.AGENT_STATUS_PENDING: "pending",
    agent_pb2.AGENT_STATUS_ONLINE: "online",
    agent_pb2.AGENT_STATUS_OFFLINE: "offline",
    agent_pb2.AGENT_STATUS_UNKNOWN: "unknown",
}


class World:
    """What the file says, and what was changed since."""

    def __init__(self, file):
        self.file = file
        self.rotations = {}
        self.rotated = {}
        self.leases = {}
        self.allocated = {}
        self.checked = []

    def entries(self):
        return json.loads(self.file.read_text())

    def find(self, server):
        servers = self.entries()
        if server not in servers:
            raise NotFound("SERVER_NOT_FOUND", f"no server {server}", server=server)
        return servers[server]

    def endpoint(self, server):
        entry = self.find(server)
        if entry is None:
            raise NotFound("AGENT_NOT_FOUND", f"server {server} has no agent", server=server)
        if "rpc_port" not in entry and entry["server_id"] not in self.allocated:
            raise NotFound("AGENT_NOT_FOUND", f"server {server} has no agent", server=server)
        entry = entry | self.allocated.get(entry["server_id"], {})
        fields = {name: value for name, value in entry.items() if name not in ("_", "pems")}
        return fields | self.rotated.get(fields["server_id"], {})


class Agents(agent_service_pb2_grpc.AgentServiceServicer):
    def __init__(self, world):
        self._world = world

    async def GetAgentEndpoint(self, request, context):
        endpoint = self._world.endpoint(request.server)
        return agent_service_pb2.GetAgentEndpointResponse(endpoint=agent_pb2.AgentEndpoint(**endpoint))

    async def BatchGetAgentEndpoints(self, request, context):
        def answer(server):
            try:
                endpoint = agent_pb2.AgentEndpoint(**self._world.endpoint(server))
            except NotFound as error:
                return agent_service_pb2.AgentEndpointAnswer(reason=error.reason)
            return agent_service_pb2.AgentEndpointAnswer(endpoint=endpoint)

        answers = [answer(server) for server in request.servers]
        return agent_service_pb2.BatchGetAgentEndpointsResponse(answers=answers)

    async def AllocateAgent(self, request, context):
        entry = self._world.find(request.server)
        server_id = entry["server_id"]
        created = server_id not in self._world.allocated
        if created:
            certificate, key, sha256 = make_agent_certificate(entry["server_name"])
            self._world.allocated[server_id] = {
                "agent_id": f"agent-{server_id}",
                "rpc_port": entry["_"].get("port", 18443),
                "rpc_path": secrets.token_hex(12),
                "agent_token": secrets.token_urlsafe(32),
                "secret_key": secrets.token_urlsafe(32),
                "certificate_sha256": sha256,
                "pems": [certificate, key],
            }
        made = self._world.allocated[server_id]
        return agent_service_pb2.AllocateAgentResponse(
            agent=agent_pb2.Agent(
                id=made["agent_id"],
                server_id=server_id,
                rpc_port=made["rpc_port"],
                certificate_sha256=made["certificate_sha256"],
            ),
            agent_token=made["agent_token"],
            secret_key=made["secret_key"],
            rpc_path=made["rpc_path"],
            certificate_pem=made["pems"][0],
            private_key_pem=made["pems"][1],
            created=created,
        )

    async def AcceptMachine(self, request, context):
        self._world.find(request.server)
        return agent_service_pb2.AcceptMachineResponse()

    async def RemoveAgent(self, request, context):
        self._world.allocated.pop(self._world.find(request.server)["server_id"], None)
        return agent_service_pb2.RemoveAgentResponse()

    async def ListAgents(self, request, context):
        unique = {entry["server_id"]: entry for entry in self._world.entries().values() if entry}
        whole = [entry | self._world.allocated.get(entry["server_id"], {}) for entry in unique.values()]
        agents = [agent_of(entry) for entry in whole if "rpc_port" in entry]
        return agent_service_pb2.ListAgentsResponse(agents=agents)

    async def BeginRotation(self, request, context):
        server_id = self._world.endpoint(request.server)["server_id"]
        if server_id not in self._world.rotations:
            certificate, key, sha256 = make_agent_certificate("next")
            self._world.rotations[server_id] = {
                "rotation_id": secrets.token_hex(16),
                "agent_token": secrets.token_urlsafe(32),
                "secret_key": secrets.token_urlsafe(32),
                "certificate_pem": certificate,
                "private_key_pem": key,
                "certificate_sha256": sha256,
            }
        return agent_service_pb2.BeginRotationResponse(**self._world.rotations[server_id])

    async def CommitRotation(self, request, context):
        server_id = self._world.endpoint(request.server)["server_id"]
        rotation = self._world.rotations.pop(server_id, None)
        if rotation is not None:
            names = ("agent_token", "secret_key", "certificate_sha256")
            self._world.rotated[server_id] = {name: rotation[name] for name in names}
        return agent_service_pb2.CommitRotationResponse()

    async def AbortRotation(self, request, context):
        self._world.rotations.pop(self._world.endpoint(request.server)["server_id"], None)
        return agent_service_pb2.AbortRotationResponse()


class Servers(server_service_pb2_grpc.ServerServiceServicer):
    def __init__(self, world):
        self._world = world

    async def GetServer(self, request, context):
        entry = self._world.find(request.server)
        if entry is None:
            server = server_pb2.Server(id=request.server, name=request.server)
            return server_service_pb2.GetServerResponse(server=server)
        extra = entry.get("_", {})
        server = server_pb2.Server(
            id=entry["server_id"],
            name=entry["server_name"],
            address=entry["address"],
            agent=self._agent(entry),
            ssh=server_pb2.SshSettings(
                has_credential=extra.get("has_credential", False), port=extra.get("ssh_port", 0)
            ),
            repair_policy=extra.get("repair_policy", server_pb2.REPAIR_POLICY_AUTOMATIC),
        )
        return server_service_pb2.GetServerResponse(server=server)

    def _agent(self, entry):
        whole = entry | self._world.allocated.get(entry["server_id"], {})
        return agent_of(whole) if "rpc_port" in whole else None

    async def ResolveServers(self, request, context):
        if bool(request.selector) == bool(request.servers):
            raise InvalidArgument("SELECTOR_INVALID", "a selector or servers", field="selector", position="1")
        for server in request.servers:
            self._world.find(server)
        found = {}
        for name, entry in self._world.entries().items():
            one = resolved_of(name, entry, self._world)
            if one.name in request.servers or one.id in request.servers or fits(request.selector, one):
                found[one.name] = one
        servers = [found[name] for name in sorted(found)]
        for start in range(0, len(servers), 500):
            yield server_service_pb2.ResolveServersResponse(servers=servers[start : start + 500])

    async def GetSshAccess(self, request, context):
        entry = self._world.find(request.server)
        hops = (entry or {}).get("_", {}).get("hops")
        if not hops:
            raise FailedPrecondition("NO_SSH_CREDENTIAL", f"server {request.server} has no SSH credential")
        return server_service_pb2.GetSshAccessResponse(
            hops=[ParseDict(hop, server_service_pb2.SshHop()) for hop in hops]
        )

    async def RecordHostKey(self, request, context):
        self._world.find(request.server)
        return server_service_pb2.RecordHostKeyResponse()

    async def AcquireMaintenance(self, request, context):
        entry = self._world.find(request.server)
        server_id = entry["server_id"] if entry else request.server
        holder, kind, until = self._world.leases.get(server_id, ("", "", 0))
        if holder and holder != request.holder and until > time.monotonic():
            message = f"another {kind} has the server"
            raise FailedPrecondition("MAINTENANCE_HELD", message, holder=holder, kind=kind)
        until = time.monotonic() + request.ttl.ToMilliseconds() / 1000
        self._world.leases[server_id] = (request.holder, request.kind, until)
        return server_service_pb2.AcquireMaintenanceResponse()

    async def ReleaseMaintenance(self, request, context):
        entry = self._world.find(request.server)
        server_id = entry["server_id"] if entry else request.server
        if self._world.leases.get(server_id, ("",))[0] == request.holder:
            del self._world.leases[server_id]
        return server_service_pb2.ReleaseMaintenanceResponse()


def resolved_of(name, entry, world):
    if entry is None:
        return server_service_pb2.ResolvedServer(id=name, name=name)
    extra = entry.get("_", {})
    whole = entry | world.allocated.get(entry["server_id"], {})
    return server_service_pb2.ResolvedServer(
        id=entry["server_id"],
        name=entry["server_name"],
        address=entry["address"],
        agent_id=whole.get("agent_id", ""),
        labels=extra.get("labels", {}),
        status=STATUSES[extra.get("status", agent_pb2.AGENT_STATUS_ONLINE)] if "rpc_port" in whole else "",
    )


def fits(selector, server):
    if selector in ("", "all"):
        return selector == "all"
    key, equals, value = (part.strip() for part in selector.partition("="))
    if equals:
        return value == (server.name if key == "name" else server.labels.get(key))
    head, _, rest = selector.partition("(")
    if head.split() != ["name", "in"] or not rest.endswith(")"):
        raise InvalidArgument("SELECTOR_INVALID", f"not understood: {selector}", field="selector", position="1")
    return server.name in [one.strip() for one in rest[:-1].split(",")]


def agent_of(entry):
    extra = entry.get("_", {})
    quarantine = agent_pb2.Quarantine(found_machine_id="other") if entry.get("quarantined") else None
    return agent_pb2.Agent(
        id=entry["agent_id"],
        quarantine=quarantine,
        server_id=entry["server_id"],
        status=extra.get("status", agent_pb2.AGENT_STATUS_ONLINE),
        status_reason=extra.get("cause", ""),
        rpc_port=entry["rpc_port"],
        facts=agent_pb2.AgentFacts(machine_id=extra.get("machine_id", "")),
    )


async def main(listen, tls_dir, file):
    server = RpcServer(listen, Path(tls_dir), "registry")
    world = World(Path(file))
    server.add(agent_service_pb2_grpc.add_AgentServiceServicer_to_server, Agents(world), AGENTS)
    server.add(server_service_pb2_grpc.add_ServerServiceServicer_to_server, Servers(world), SERVERS)
    for service, methods in EXECUTOR.items():
        server.allow({f"/{service}/{method}": {"executor"} for method in methods})
    await server.start()
    notify_ready()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
