"""The heartbeat service in this process, between a registry that is made here and agents, all over real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from myx.heartbeat.v1.heartbeat_service_pb2_grpc import HeartbeatServiceStub
from myx.registry.v1 import agent_pb2, agent_service_pb2
from myx.registry.v1.agent_service_pb2_grpc import AgentServiceServicer, add_AgentServiceServicer_to_server
from myx_heartbeat import app
from myx_heartbeat.settings import HeartbeatSettings
from myx_kit.errors import NotFound, Unavailable
from myx_kit.ids import new_id
from myx_kit.rpc.client import open_channel
from myx_kit.rpc.server import RpcServer
from myx_kit.tls import make_agent_certificate
from myx_testkit.agent import RealAgent
from myx_testkit.ports import free_port


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


class FakeRegistry(AgentServiceServicer):
    """Keeps endpoints by server name and every report that came."""

    def __init__(self) -> None:
        self.endpoints: dict[str, agent_pb2.AgentEndpoint] = {}
        self.reports: list[agent_service_pb2.HeartbeatReport] = []
        self.batches: list[int] = []
        self.list_calls = 0
        self.away = False
        self.address = ""

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
        return agent_service_pb2.ListAgentEndpointsResponse(endpoints=page, next_page_token=token)

    async def ReportHeartbeats(self, request, context):
        self._check_here()
        known = {one.agent_id for one in self.endpoints.values()}
        self.reports.extend(request.reports)
        self.batches.append(len(request.reports))
        unknown = [one.agent_id for one in request.reports if one.agent_id not in known]
        return agent_service_pb2.ReportHeartbeatsResponse(unknown_agent_ids=unknown)

    async def GetAgent(self, request, context):
        self._check_here()
        for one in self.endpoints.values():
            if request.server in (one.server_id, one.server_name):
                return agent_service_pb2.GetAgentResponse(agent=agent_pb2.Agent(id=one.agent_id))
        raise NotFound("SERVER_NOT_FOUND", f"no server {request.server}", server=request.server)

    def _check_here(self) -> None:
        if self.away:
            raise Unavailable("DATABASE_UNAVAILABLE", "away")


@pytest.fixture
async def registry(tls_dir: Path) -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry()
    server = RpcServer("127.0.0.1:0", tls_dir, "registry")
    server.add(add_AgentServiceServicer_to_server, fake, "myx.registry.v1.AgentService")
    fake.address = await server.start()
    yield fake
    await server.stop(1)


@dataclass
class Heartbeat:
    stub: HeartbeatServiceStub
    address: str
    stack: AsyncExitStack = field(repr=False)


Start = Callable[..., Awaitable[Heartbeat]]


@pytest.fixture
async def start(registry: FakeRegistry, tls_dir: Path, module_nats) -> AsyncIterator[Start]:
    """Starts the service with quick intervals; keyword arguments are settings."""
    async with AsyncExitStack() as stack:

        async def run(**changes: object) -> Heartbeat:
            values = {
                "tls_dir": tls_dir,
                "nats_url": module_nats.url,
                "listen": f"127.0.0.1:{free_port()}",
                "registry_target": registry.address,
                "min_interval_s": 0.1,
                "max_interval_s": 0.2,
                "retry_base_delay_s": 0.01,
                "rpc_timeout_s": 2,
                "startup_interval_s": 0.1,
                "refresh_interval_s": 0.2,
                "report_interval_s": 0.02,
                "drain_s": 1,
            }
            settings = HeartbeatSettings(**{**values, **changes})
            await app.start(settings, stack)
            channel = open_channel(settings.listen, tls_dir, "gateway", "heartbeat")
            stack.push_async_callback(channel.close)
            return Heartbeat(HeartbeatServiceStub(channel), settings.listen, stack)

        yield run


@dataclass
class PoorAgent:
    """An agent that answers every call with one HTTP status."""

    certificate_sha256: str
    rpc_port: int = 0
    calls: int = 0


@pytest.fixture
async def poor_agent(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[PoorAgent]]]:
    """Starts an agent that answers with this status and body."""
    runners = []

    async def run(status: int, body: bytes = b"", content_type: str = "application/octet-stream") -> PoorAgent:
        certificate, key, digest = make_agent_certificate("agent")
        pem = tmp_path / f"agent-{len(runners)}.pem"
        pem.write_text(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        agent = PoorAgent(digest)

        async def answer(request: web.Request) -> web.Response:
            agent.calls += 1
            return web.Response(status=status, body=body, content_type=content_type)

        application = web.Application()
        application.router.add_post("/{path}/rpc", answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        agent.rpc_port = runner.addresses[0][1]
        return agent

    yield run
    await asyncio.gather(*(runner.cleanup() for runner in runners))
