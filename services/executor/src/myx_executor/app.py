"""Composition root: opens, wires, supervises, closes in reverse."""

import os
import socket
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

from myx.executor.v1.command_service_pb2_grpc import add_CommandServiceServicer_to_server
from myx.registry.v1.agent_service_pb2_grpc import AgentServiceStub
from myx_executor.adapters.agents import KitAgents
from myx_executor.adapters.endpoints import EndpointCache
from myx_executor.adapters.live_bus import KitLiveBus
from myx_executor.domain.command import Command
from myx_executor.loops import Gather, start_loops
from myx_executor.models import outbox as outbox_table
from myx_executor.rpc import CommandServicer
from myx_executor.settings import ExecutorSettings
from myx_executor.store.commands import CommandStore, Owned
from myx_executor.store.logs import LogStore
from myx_executor.store.pool import Pool
from myx_executor.usecases.commands import CancelCommand, ReadCommands
from myx_executor.usecases.drive import Drive, Limits, Tools
from myx_executor.usecases.follow_log import FollowLog
from myx_executor.usecases.ledger import Lease
from myx_executor.usecases.live import LiveHub
from myx_executor.usecases.patience import patiently
from myx_executor.usecases.release import Releaser
from myx_executor.usecases.run_command import RunCommand
from myx_executor.usecases.runner import Driver, Runner
from myx_executor.usecases.sink import Pressure
from myx_kit.agent_rpc.client import AgentClient
from myx_kit.db.engine import create_engine
from myx_kit.db.outbox import Outbox, OutboxRelay
from myx_kit.events.bus import Bus
from myx_kit.loops import TaskOwner
from myx_kit.retry import RetryPolicy
from myx_kit.rpc.client import open_channel
from myx_kit.rpc.server import RpcServer
from myx_kit.secretbox import SecretBox
from myx_kit.telemetry import serve_http

NAME = "executor"
SERVICE = "myx.executor.v1.CommandService"
METHODS = ("RunCommand", "GetCommand", "ListCommands", "CancelCommand", "FollowLog")
MIGRATIONS = Path(__file__).parent / "migrations"


async def start(settings: ExecutorSettings, stack: AsyncExitStack) -> RpcServer:
    """Opens everything and serves. What is opened is closed by the stack, the server first."""
    url = settings.database_url()
    box = SecretBox.from_file(settings.master_key_file)
    bus = await Bus.connect(settings.nats_url, settings.tls_dir, NAME)
    stack.push_async_callback(bus.close)
    channel = open_channel(settings.registry_target, settings.tls_dir, NAME, "registry")
    stack.push_async_callback(channel.close)
    pool = Pool(url, settings.pool_size)
    stack.push_async_callback(pool.close)
    engine = create_engine(url, 1)
    stack.push_async_callback(engine.dispose)
    retry = RetryPolicy(settings.agent_rpc_retry_max_attempts, settings.agent_rpc_retry_base_delay_s)
    client = await stack.enter_async_context(AgentClient(settings.agent_rpc_timeout_s, retry))

    commands, logs = CommandStore(pool), LogStore(pool)
    await patiently(commands.ping, settings.database_wait_s)
    endpoints = EndpointCache(AgentServiceStub(channel), settings.endpoint_ttl_s)
    for aggregate in ("agent", "server"):
        bus.consume_ephemeral(f"myx.events.{aggregate}.>", endpoints.on_event, on_lost=endpoints.expire_all)
    agents = KitAgents(client, endpoints)
    live_bus = KitLiveBus(bus)
    stack.push_async_callback(live_bus.close)
    hub = LiveHub(commands, live_bus)
    stack.push_async_callback(hub.close)
    releaser = Releaser(commands, agents)
    outbox = Outbox(outbox_table)
    tell = Gather(outbox.wake)

    def on_final(command: Command, known: bool) -> None:
        tell()
        if known:
            releaser.add(command.id, command.server_id)

    limits = Limits(settings.delivery_deadline_s, settings.agent_calm_retry_s, retry)
    tools = Tools(agents, commands, logs, hub, box, Pressure(), limits, on_final)

    def make_driver(owned: Owned, lease: Lease) -> Driver:
        return Drive(tools, owned, lease)

    runner = Runner(
        _own_name(), commands, make_driver, max_active=settings.max_active_commands, lease_s=settings.lease_s
    )

    async def hand_over() -> None:
        if await runner.close(settings.drain_s / 2):
            await live_bus.publish_work()
            await bus.flush()

    stack.push_async_callback(hand_over)
    background = TaskOwner(NAME)
    stack.push_async_callback(background.close)
    start_loops(background, settings, runner, hub, releaser)
    background.start(OutboxRelay(engine, outbox, bus).run(), name="outbox")
    background.start(live_bus.watch_work(runner.wake.set), name="work")

    servicer = CommandServicer(
        RunCommand(
            commands,
            endpoints,
            runner,
            box,
            default_timeout_s=settings.default_timeout_s,
            on_waiting=live_bus.publish_work,
        ),
        ReadCommands(commands, endpoints),
        CancelCommand(commands, runner, live_bus.publish_work, tell),
        FollowLog(commands, logs, hub),
    )
    server = _rpc_server(settings, servicer)
    http = await serve_http(settings.http_listen, lambda: server.ready)
    if http is not None:
        stack.push_async_callback(http.close)
    await server.start()
    stack.push_async_callback(server.stop, settings.drain_s / 2)
    return server


def _rpc_server(settings: ExecutorSettings, servicer: CommandServicer) -> RpcServer:
    server = RpcServer(settings.listen, settings.tls_dir, NAME)
    server.add(add_CommandServiceServicer_to_server, servicer, SERVICE)
    # They say who asks (`requested_by`) and are believed.
    server.allow({f"/{SERVICE}/{method}": {"gateway", "standalone"} for method in METHODS})
    return server


def _own_name() -> str:
    """Tells this process from every other one that ever was."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
