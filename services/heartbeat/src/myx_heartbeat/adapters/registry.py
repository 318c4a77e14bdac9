"""The registry as the heartbeat service sees it."""

from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING

import grpc.aio

from myx.registry.v1 import agent_service_pb2
from myx.registry.v1.agent_service_pb2_grpc import AgentServiceStub
from myx_heartbeat import convert
from myx_heartbeat.domain import Endpoint, Report
from myx_heartbeat.usecases.ports import Taken
from myx_heartbeat.usecases.registry_clock import RegistryClock

if TYPE_CHECKING:
    from myx.registry.v1.agent_service_pb2_grpc import AgentServiceAsyncStub

_PAGE_SIZE = 500
_TIMEOUT_S = 10.0


class RegistryClient:
    """Reads the fleet, reports outcomes. All calls raise MyxError; the channel retries UNAVAILABLE itself."""

    def __init__(self, channel: grpc.aio.Channel, time: RegistryClock) -> None:
        """`time` is told what the answers say of it."""
        self._stub: AgentServiceAsyncStub = AgentServiceStub(channel)
        self._time = time

    async def list_endpoints(self) -> list[Endpoint]:
        """Connection data of all agents."""
        endpoints: list[Endpoint] = []
        page_token = ""
        while True:
            request = agent_service_pb2.ListAgentEndpointsRequest(page_size=_PAGE_SIZE, page_token=page_token)
            asked = self._time.begin()
            page = await self._stub.ListAgentEndpoints(request, timeout=_TIMEOUT_S)
            self._hear(page, asked)
            endpoints.extend(convert.endpoint(one) for one in page.endpoints)
            page_token = page.next_page_token
            if not page_token:
                return endpoints

    async def report(self, reports: Sequence[Report]) -> Taken:
        """Hand over at most 500 reports."""
        request = agent_service_pb2.ReportHeartbeatsRequest(reports=[convert.report(one) for one in reports])
        asked = self._time.begin()
        response = await self._stub.ReportHeartbeats(request, timeout=_TIMEOUT_S)
        self._hear(response, asked)
        return Taken(tuple(response.unknown_agent_ids), tuple(response.quarantined_agent_ids))

    async def require_agent(self, server: str) -> None:
        """Raises NotFound `SERVER_NOT_FOUND` or `AGENT_NOT_FOUND` when there is no such server or it has no agent."""
        await self._stub.GetAgent(agent_service_pb2.GetAgentRequest(server=server), timeout=_TIMEOUT_S)

    def _hear(
        self,
        answer: agent_service_pb2.ListAgentEndpointsResponse | agent_service_pb2.ReportHeartbeatsResponse,
        asked: float,
    ) -> None:
        # A registry of an older version does not tell its time.
        if answer.HasField("now"):
            self._time.hear(answer.now.ToDatetime(UTC), asked)
