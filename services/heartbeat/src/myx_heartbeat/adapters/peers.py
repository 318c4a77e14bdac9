"""Other replicas of this service, and the SSH ports of hosts."""

from collections.abc import Sequence
from pathlib import Path

from myx.heartbeat.v1 import heartbeat_service_pb2
from myx.heartbeat.v1.heartbeat_service_pb2_grpc import HeartbeatServiceStub
from myx_heartbeat.domain import Endpoint, Member, Sighting
from myx_kit.agent_rpc.diagnose import probe_ssh
from myx_kit.agent_rpc.errors import Cause
from myx_kit.rpc.client import open_channel

_NAME = "heartbeat"
# The host itself said so: the way to it is sound.
_THERE = frozenset([None, Cause.REFUSED, Cause.RPC_ERROR, Cause.CONNECTION_LOST])


class GrpcPeers:
    """Asks members by gRPC; a connection for each question, they are rare."""

    def __init__(self, tls_dir: Path, timeout_s: float) -> None:
        self._tls_dir = tls_dir
        self._timeout_s = timeout_s

    async def probe(self, member: Member, agent_ids: Sequence[str]) -> Sighting:
        """What a member sees of agents. MyxError: it does not answer."""
        channel = open_channel(member.address, self._tls_dir, _NAME, _NAME)
        try:
            request = heartbeat_service_pb2.ProbeAgentsRequest(agent_ids=agent_ids)
            answer = await HeartbeatServiceStub(channel).ProbeAgents(request, timeout=self._timeout_s)
        finally:
            await channel.close()
        return Sighting({one.agent_id: one.cause for one in answer.probes}, answer.doubts_itself)


async def host_answers(endpoint: Endpoint) -> bool:
    """Whether the host's SSH port answers, be it by a refusal."""
    return await probe_ssh(endpoint.ssh_address or endpoint.address, endpoint.ssh_port) in _THERE
