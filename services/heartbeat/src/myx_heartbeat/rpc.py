"""The gRPC face of the heartbeat service."""

from typing import Any

import grpc.aio

from myx.heartbeat.v1 import heartbeat_service_pb2
from myx.heartbeat.v1.heartbeat_service_pb2_grpc import HeartbeatServiceServicer
from myx_heartbeat import convert
from myx_heartbeat.usecases.check_now import CheckNow
from myx_heartbeat.usecases.probe_agents import ProbeAgents
from myx_heartbeat.usecases.status import ReplicaStatus

HEARTBEAT_SERVICE = "myx.heartbeat.v1.HeartbeatService"

_Context = grpc.aio.ServicerContext[Any, Any]


class HeartbeatServicer(HeartbeatServiceServicer):
    """Checks of agents."""

    def __init__(self, check_now: CheckNow, probe_agents: ProbeAgents, status: ReplicaStatus) -> None:
        self._check_now = check_now
        self._probe_agents = probe_agents
        self._status = status

    async def CheckNow(  # noqa: N802 - the name in the proto
        self, request: heartbeat_service_pb2.CheckNowRequest, context: _Context
    ) -> heartbeat_service_pb2.CheckNowResponse:
        """Check the agent of one server."""
        return convert.check_response(await self._check_now(request.server))

    async def ProbeAgents(  # noqa: N802 - the name in the proto
        self, request: heartbeat_service_pb2.ProbeAgentsRequest, context: _Context
    ) -> heartbeat_service_pb2.ProbeAgentsResponse:
        """Try agents once."""
        seen = await self._probe_agents(request.agent_ids)
        probes = [heartbeat_service_pb2.AgentProbe(agent_id=one, cause=cause) for one, cause in seen.causes.items()]
        return heartbeat_service_pb2.ProbeAgentsResponse(probes=probes, doubts_itself=seen.doubts_itself)

    async def GetStatus(  # noqa: N802 - the name in the proto
        self, request: heartbeat_service_pb2.GetStatusRequest, context: _Context
    ) -> heartbeat_service_pb2.GetStatusResponse:
        """What this replica does."""
        return convert.status_response(self._status())
