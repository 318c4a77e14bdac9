"""A registry that is made here, and the times by which replicas go that are processes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from myx.registry.v1 import agent_pb2, agent_service_pb2
from myx.registry.v1.agent_service_pb2_grpc import AgentServiceServicer
from myx_kit.errors import NotFound, Unavailable
from myx_kit.ids import new_id
from myx_kit.wire_time import timestamp
from myx_testkit.agent import RealAgent

# Of checks.
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.5, 2.0
# Of membership: the defaults.
LEASE_S, RENEW_S = 8.0, 2.0


class FakeRegistry(AgentServiceServicer):
    """Keeps endpoints by server name and every report that came."""

    def __init__(self) -> None:
        self.endpoints: dict[str, agent_pb2.AgentEndpoint] = {}
        self.reports: list[agent_service_pb2.HeartbeatReport] = []
        self.batches: list[int] = []
        self.list_calls = 0
        self.away = False
        # How much its clock is ahead of ours; None: it does not tell its time, as an older one.
        self.ahead_s: float | None = None
        self.address = ""
        # Called after the whole list was read.
        self.on_listed: Callable[[], None] = lambda: None

    def add(self, name: str, agent: RealAgent | None = None, **changes: object) -> agent_pb2.AgentEndpoint:
        values: dict[str, object] = {
            "agent_id": str(new_id()),
            "server_id": str(new_id()),
            "server_name": name,
            "address": "127.0.0.1",
            "rpc_port": 1,
            "rpc_path": "a3f8b9c2d1e4f607",
            "agent_token": "a-token-of-an-agent",
            "secret_key": "a-key-of-an-agent",
            "certificate_sha256": "00" * 32,
            "status": agent_pb2.AGENT_STATUS_ONLINE,
            "revision": 1,
        }
        if agent is not None:
            names = ("address", "rpc_port", "rpc_path", "agent_token", "secret_key", "certificate_sha256")
            values |= {key: getattr(agent, key) for key in names}
        self.endpoints[name] = agent_pb2.AgentEndpoint(**{**values, **changes})
        return self.endpoints[name]

    def of(self, name: str) -> list[agent_service_pb2.HeartbeatReport]:
        return [one for one in self.reports if one.agent_id == self.endpoints[name].agent_id]

    def statuses(self, name: str) -> list[int]:
        return [one.status for one in self.of(name)]

    async def ListAgentEndpoints(self, request, context):
        self._check_here()
        self.list_calls += 1
        ordered = sorted(self.endpoints.values(), key=lambda one: one.agent_id)
        start = int(request.page_token or 0)
        page = ordered[start : start + 2]
        token = str(start + 2) if start + 2 < len(ordered) else ""
        response = agent_service_pb2.ListAgentEndpointsResponse(endpoints=page, next_page_token=token, now=self._now())
        if not token:
            self.on_listed()
        return response

    async def ReportHeartbeats(self, request, context):
        self._check_here()
        known = {one.agent_id for one in self.endpoints.values()}
        self.reports.extend(request.reports)
        self.batches.append(len(request.reports))
        unknown = [one.agent_id for one in request.reports if one.agent_id not in known]
        return agent_service_pb2.ReportHeartbeatsResponse(unknown_agent_ids=unknown, now=self._now())

    async def GetAgent(self, request, context):
        self._check_here()
        for one in self.endpoints.values():
            if request.server in (one.server_id, one.server_name):
                return agent_service_pb2.GetAgentResponse(agent=agent_pb2.Agent(id=one.agent_id))
        raise NotFound("SERVER_NOT_FOUND", f"no server {request.server}", server=request.server)

    def _now(self) -> Timestamp | None:
        return None if self.ahead_s is None else timestamp(datetime.now(UTC) + timedelta(seconds=self.ahead_s))

    def _check_here(self) -> None:
        if self.away:
            raise Unavailable("DATABASE_UNAVAILABLE", "away")
