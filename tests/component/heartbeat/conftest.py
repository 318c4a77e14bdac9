"""The heartbeat service in this process, between a registry that is made here and agents, all over real sockets."""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from myx.heartbeat.v1.heartbeat_service_pb2_grpc import HeartbeatServiceStub
from myx.registry.v1.agent_service_pb2_grpc import add_AgentServiceServicer_to_server
from myx_heartbeat import app
from myx_heartbeat.settings import HeartbeatSettings
from myx_kit.rpc.client import open_channel
from myx_kit.rpc.server import RpcServer
from myx_kit.tls import make_agent_certificate
from myx_testkit.ports import free_port
from myx_testkit.process import Program

sys.path.insert(0, str(Path(__file__).parent))

from heartbeat_world import LEASE_S, MAX_INTERVAL_S, MIN_INTERVAL_S, RENEW_S, FakeRegistry


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


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


@pytest.fixture
def replica(tmp_path: Path, tls_dir: Path, registry: FakeRegistry, module_nats) -> Iterator[Callable[..., Program]]:
    """Starts replicas as processes; keyword arguments are settings in capital letters, `env` more environment."""
    programs: list[Program] = []

    def start(env: dict[str, str] | None = None, **settings: object) -> Program:
        values = {
            "TLS_DIR": tls_dir,
            "REGISTRY_TARGET": registry.address,
            "NATS_URL": module_nats.url,
            "LISTEN": f"127.0.0.1:{free_port()}",
            "MIN_INTERVAL_S": MIN_INTERVAL_S,
            "MAX_INTERVAL_S": MAX_INTERVAL_S,
            "RETRY_MAX_ATTEMPTS": 0,
            "REPORT_INTERVAL_S": 0.02,
            "MEMBER_LEASE_S": LEASE_S,
            "MEMBER_RENEW_S": RENEW_S,
            "DRAIN_S": 1,
            **settings,
        }
        environment = {"PATH": os.environ["PATH"], **(env or {})}
        environment |= {f"MYX_HEARTBEAT_{name}": str(value) for name, value in values.items()}
        number = len(programs)
        argv = [sys.executable, "-m", "myx_heartbeat", "serve"]
        program = Program(f"heartbeat-{number}", argv, tmp_path / f"heartbeat-{number}.log", environment)
        programs.append(program)
        program.start()
        return program

    yield start
    for program in programs:
        if program.is_running():
            os.kill(program.pid, signal.SIGCONT)
            program.kill9()


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
