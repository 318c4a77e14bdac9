"""The registry as deployments need it."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from myx.heartbeat.v1.heartbeat_service_pb2 import CheckNowRequest
from myx.registry.v1 import agent_pb2, agent_service_pb2, server_pb2, server_service_pb2
from myx_executor.domain.ssh import Hop, SudoMode, TrustedKey
from myx_executor.usecases.deployments.ports import Identity, NextIdentity, Place, ServerFacts
from myx_kit.errors import MyxError, NotFound
from myx_kit.logging import get_logger
from myx_kit.wire_time import duration

if TYPE_CHECKING:
    # Only in the typed stubs.
    from myx.heartbeat.v1.heartbeat_service_pb2_grpc import HeartbeatServiceAsyncStub
    from myx.registry.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from myx.registry.v1.server_service_pb2_grpc import ServerServiceAsyncStub

log = get_logger()

_CALL_S = 5.0
# A certificate is made.
_SLOW_CALL_S = 15.0
_CHECK_S = 20.0
_PAGE = 1000

_AGENT_STATUSES = {
    agent_pb2.AGENT_STATUS_PENDING: "pending",
    agent_pb2.AGENT_STATUS_ONLINE: "online",
    agent_pb2.AGENT_STATUS_OFFLINE: "offline",
    agent_pb2.AGENT_STATUS_UNKNOWN: "unknown",
}
_POLICIES = {
    server_pb2.REPAIR_POLICY_UNSPECIFIED: "automatic",
    server_pb2.REPAIR_POLICY_AUTOMATIC: "automatic",
    server_pb2.REPAIR_POLICY_ASK: "ask",
    server_pb2.REPAIR_POLICY_OFF: "off",
}
_SUDO = {
    server_pb2.SUDO_MODE_ALWAYS: SudoMode.ALWAYS,
    server_pb2.SUDO_MODE_NEVER: SudoMode.NEVER,
}


class GrpcRegistry:
    """Fits `Registry`; `heartbeat` None: checks are not hurried."""

    def __init__(
        self,
        servers: "ServerServiceAsyncStub",
        agents: "AgentServiceAsyncStub",
        heartbeat: "HeartbeatServiceAsyncStub | None",
    ) -> None:
        self._servers = servers
        self._agents = agents
        self._heartbeat = heartbeat

    async def server(self, server: str) -> ServerFacts:
        """GetServer."""
        answer = await self._servers.GetServer(server_service_pb2.GetServerRequest(server=server), timeout=_CALL_S)
        return _facts(answer.server)

    async def is_away(self, server_id: str) -> bool:
        """Fits `Presence`. A quarantined agent is not away: waiting brings it back no more."""
        try:
            server = await self.server(server_id)
            return server.agent_status == "offline" and not server.quarantined
        except MyxError:
            return False

    async def ssh_access(self, server_id: str) -> Sequence[Hop]:
        """GetSshAccess: the way to a host, itself last. FailedPrecondition `NO_SSH_CREDENTIAL`, `JUMP_LOOP`."""
        request = server_service_pb2.GetSshAccessRequest(server=server_id)
        answer = await self._servers.GetSshAccess(request, timeout=_CALL_S)
        return [_hop(hop) for hop in answer.hops]

    async def record_host_key(self, server_id: str, public_key: str) -> None:
        """RecordHostKey."""
        request = server_service_pb2.RecordHostKeyRequest(server=server_id, public_key=public_key)
        await self._servers.RecordHostKey(request, timeout=_CALL_S)

    async def allocate(self, server_id: str) -> Identity:
        """AllocateAgent."""
        request = agent_service_pb2.AllocateAgentRequest(server=server_id)
        answer = await self._agents.AllocateAgent(request, timeout=_SLOW_CALL_S)
        return Identity(
            agent_id=answer.agent.id,
            rpc_port=answer.agent.rpc_port,
            rpc_path=answer.rpc_path,
            agent_token=answer.agent_token,
            secret_key=answer.secret_key,
            certificate_pem=answer.certificate_pem,
            private_key_pem=answer.private_key_pem,
            certificate_sha256=answer.agent.certificate_sha256,
        )

    async def reallocate(self, server_id: str, *, new_port: bool, new_path: bool, request_id: str) -> Place:
        """ReallocateAgent."""
        request = agent_service_pb2.ReallocateAgentRequest(
            server=server_id, new_port=new_port, new_path=new_path, request_id=request_id
        )
        answer = await self._agents.ReallocateAgent(request, timeout=_CALL_S)
        return Place(answer.rpc_port, answer.rpc_path)

    async def commit_reallocation(self, server_id: str, request_id: str) -> None:
        """CommitReallocation."""
        request = agent_service_pb2.CommitReallocationRequest(server=server_id, request_id=request_id)
        await self._agents.CommitReallocation(request, timeout=_CALL_S)

    async def abort_reallocation(self, server_id: str) -> None:
        """AbortReallocation."""
        request = agent_service_pb2.AbortReallocationRequest(server=server_id)
        await self._agents.AbortReallocation(request, timeout=_CALL_S)

    async def begin_rotation(self, server_id: str) -> NextIdentity:
        """BeginRotation."""
        request = agent_service_pb2.BeginRotationRequest(server=server_id)
        answer = await self._agents.BeginRotation(request, timeout=_SLOW_CALL_S)
        return NextIdentity(
            rotation_id=answer.rotation_id,
            agent_token=answer.agent_token,
            secret_key=answer.secret_key,
            certificate_pem=answer.certificate_pem,
            private_key_pem=answer.private_key_pem,
            certificate_sha256=answer.certificate_sha256,
        )

    async def commit_rotation(self, server_id: str, rotation_id: str) -> None:
        """CommitRotation."""
        request = agent_service_pb2.CommitRotationRequest(server=server_id, rotation_id=rotation_id)
        await self._agents.CommitRotation(request, timeout=_CALL_S)

    async def abort_rotation(self, server_id: str, rotation_id: str) -> None:
        """AbortRotation."""
        request = agent_service_pb2.AbortRotationRequest(server=server_id, rotation_id=rotation_id)
        await self._agents.AbortRotation(request, timeout=_CALL_S)

    async def accept_machine(self, server_id: str) -> None:
        """AcceptMachine."""
        await self._agents.AcceptMachine(agent_service_pb2.AcceptMachineRequest(server=server_id), timeout=_CALL_S)

    async def remove_agent(self, server_id: str) -> None:
        """RemoveAgent; one that is gone already is fine."""
        try:
            await self._agents.RemoveAgent(agent_service_pb2.RemoveAgentRequest(server=server_id), timeout=_CALL_S)
        except NotFound as error:
            if error.reason != "AGENT_NOT_FOUND":
                raise

    async def acquire_maintenance(self, server_id: str, holder: str, kind: str, actor: str, ttl_s: float) -> None:
        """AcquireMaintenance."""
        request = server_service_pb2.AcquireMaintenanceRequest(
            server=server_id, holder=holder, kind=kind, actor=actor, ttl=duration(ttl_s)
        )
        await self._servers.AcquireMaintenance(request, timeout=_CALL_S)

    async def release_maintenance(self, server_id: str, holder: str) -> None:
        """ReleaseMaintenance."""
        request = server_service_pb2.ReleaseMaintenanceRequest(server=server_id, holder=holder)
        await self._servers.ReleaseMaintenance(request, timeout=_CALL_S)

    async def check_now(self, server_id: str) -> None:
        """CheckNow of the heartbeat service."""
        if self._heartbeat is None:
            return
        try:
            await self._heartbeat.CheckNow(CheckNowRequest(server=server_id), timeout=_CHECK_S)
        except MyxError as error:
            log.info("check_not_hurried", server_id=server_id, reason=error.reason)

    async def offline_agents(self) -> AsyncIterator[tuple[str, str]]:
        """ListAgents, those that are offline."""
        token = ""
        while True:
            request = agent_service_pb2.ListAgentsRequest(page_size=_PAGE, page_token=token)
            answer = await self._agents.ListAgents(request, timeout=_SLOW_CALL_S)
            for agent in answer.agents:
                if agent.status == agent_pb2.AGENT_STATUS_OFFLINE:
                    yield agent.server_id, agent.status_reason
            token = answer.next_page_token
            if not token:
                return


def _facts(server: server_pb2.Server) -> ServerFacts:
    agent = server.agent if server.HasField("agent") else None
    return ServerFacts(
        server_id=server.id,
        name=server.name,
        address=server.address,
        has_credential=server.ssh.has_credential,
        repair_policy=_POLICIES.get(server.repair_policy, "automatic"),
        host_key_fingerprint=server.host_key.fingerprint,
        agent_id=agent.id if agent else "",
        agent_status=_AGENT_STATUSES.get(agent.status, "unknown") if agent else "",
        agent_reason=agent.status_reason if agent else "",
        agent_since=agent.status_since.ToDatetime(UTC) if agent else None,
        agent_version=agent.version if agent else "",
        bundle_digest=agent.facts.bundle_digest if agent else "",
        rpc_port=agent.rpc_port if agent else 0,
        running_command_ids=tuple(agent.facts.running_command_ids) if agent else (),
        machine_id=agent.facts.machine_id if agent else "",
        ssh_address=server.ssh.address or server.address,
        ssh_port=server.ssh.port or 22,
        has_jump_host=bool(server.ssh.jump_servers),
        quarantined=agent is not None and agent.HasField("quarantine"),
        paused=server.HasField("pause") and server.pause.until.ToDatetime(UTC) > datetime.now(UTC),
    )


def _hop(hop: server_service_pb2.SshHop) -> Hop:
    key = None
    if hop.HasField("host_key"):
        key = TrustedKey(hop.host_key.fingerprint, hop.host_key.public_key)
    return Hop(
        name=hop.server_name,
        address=hop.address,
        port=hop.port or 22,
        user=hop.user or "root",
        password=hop.secret.password,
        private_key=hop.secret.private_key,
        passphrase=hop.secret.passphrase,
        sudo_password=hop.secret.sudo_password,
        sudo=_SUDO.get(hop.sudo, SudoMode.AUTO),
        host_key=key,
        accept_new=hop.accept_new_host_key,
        server_id=hop.server_id,
    )
