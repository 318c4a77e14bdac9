"""Composition root: opens, wires, supervises, closes in reverse."""

import os
import socket
import stat
import tempfile
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc

from myx.executor.v1.command_service_pb2_grpc import add_CommandServiceServicer_to_server
from myx.executor.v1.deployment_service_pb2_grpc import add_DeploymentServiceServicer_to_server
from myx.executor.v1.playbook_service_pb2_grpc import add_PlaybookServiceServicer_to_server
from myx.heartbeat.v1.heartbeat_service_pb2_grpc import HeartbeatServiceStub
from myx.registry.v1.agent_service_pb2_grpc import AgentServiceStub
from myx.registry.v1.server_service_pb2_grpc import ServerServiceStub
from myx_executor.adapters.ansible import PlayOverSsh
from myx_executor.adapters.bundle import AgentBundle
from myx_executor.adapters.deployables import Bundle, ShippedTool
from myx_executor.adapters.doctor import KitDoctor
from myx_executor.adapters.endpoints import EndpointCache
from myx_executor.adapters.fleet import KitFleet
from myx_executor.adapters.hosts import SshHosts
from myx_executor.adapters.live_bus import KitLiveBus
from myx_executor.adapters.pythons import PythonFolder
from myx_executor.adapters.registry import GrpcRegistry
from myx_executor.adapters.ssh import SshConnector
from myx_executor.adapters.targets import GrpcTargets
from myx_executor.adapters.tool import DeploymentTool
from myx_executor.consumers import OfflineAgents, OnlineAgents
from myx_executor.domain.command import Command, RowKind
from myx_executor.loops import (
    Gather,
    start_deployment_loops,
    start_key_watch,
    start_loops,
    start_retention,
    start_serving,
)
from myx_executor.models.base import outbox as outbox_table
from myx_executor.rpc.commands import CommandServicer
from myx_executor.rpc.deployments import DeploymentServicer
from myx_executor.rpc.playbooks import PlaybookServicer
from myx_executor.settings import ExecutorSettings
from myx_executor.store.commands import CommandStore, Owned
from myx_executor.store.deployments import DeploymentStore
from myx_executor.store.files import FileStore
from myx_executor.store.locks import LockStore
from myx_executor.store.logs import LogStore
from myx_executor.store.pool import Pool
from myx_executor.usecases.authority import Authority
from myx_executor.usecases.commands import CancelCommand, ReadCommands
from myx_executor.usecases.deployments.bell import Bells
from myx_executor.usecases.deployments.create import CreateDeployment
from myx_executor.usecases.deployments.drive import DeploymentDrive
from myx_executor.usecases.deployments.manage import CancelDeployment, ReadDeployments, RetryDeployment
from myx_executor.usecases.deployments.pushes import Artifacts, Projects
from myx_executor.usecases.deployments.run import DeploymentTools, Times
from myx_executor.usecases.deployments.self_repair import SelfRepair
from myx_executor.usecases.drive import Drive, Limits, Tools
from myx_executor.usecases.expire import Expiry
from myx_executor.usecases.follow_log import FollowLog
from myx_executor.usecases.jobs.bells import JobBells
from myx_executor.usecases.ledger import Lease
from myx_executor.usecases.live import LiveHub
from myx_executor.usecases.locks import Locks
from myx_executor.usecases.patience import patiently
from myx_executor.usecases.release import Releaser
from myx_executor.usecases.run_command import RunCommand
from myx_executor.usecases.runner import Driver, Runner
from myx_executor.usecases.schedules.manage import Schedules
from myx_executor.usecases.sink import Pressure
from myx_executor.wiring.access import open_access
from myx_executor.wiring.jobs import JOBS, Around, Jobs, add_jobs, run_jobs
from myx_executor.wiring.logs import search_log
from myx_executor.wiring.schedules import Doors, add_schedules, run_schedules
from myx_executor.wiring.watching import watch
from myx_executor.wiring.ways import open_ways
from myx_kit.db.outbox import Outbox, OutboxRelay
from myx_kit.errors import FailedPrecondition
from myx_kit.events.bus import Bus
from myx_kit.loops import TaskOwner
from myx_kit.observe import observe
from myx_kit.retry import RetryPolicy
from myx_kit.rpc.client import open_channel
from myx_kit.rpc.server import RpcServer
from myx_kit.secretbox import SecretBox
from myx_kit.telemetry import serve_http

NAME = "executor"
COMMANDS = "myx.executor.v1.CommandService"
DEPLOYMENTS = "myx.executor.v1.DeploymentService"
PLAYBOOKS = "myx.executor.v1.PlaybookService"
METHODS = {
    COMMANDS: ("RunCommand", "GetCommand", "ListCommands", "CancelCommand", "FollowLog", "SearchLog"),
    DEPLOYMENTS: (
        "CreateDeployment",
        "GetDeployment",
        "ListDeployments",
        "CancelDeployment",
        "RetryDeployment",
        "ListPlayEvents",
        "ScanHostKey",
    ),
    PLAYBOOKS: ("PushProject", "ListProjects", "DeleteProject", "PushArtifact", "ListArtifacts", "DeleteArtifact"),
}
# What other teams' programs may use where they are let in.
READS = (
    *(f"/{COMMANDS}/{method}" for method in ("GetCommand", "ListCommands", "FollowLog", "SearchLog")),
    *(f"/{JOBS}/{method}" for method in ("GetJob", "ListJobs", "ListJobTargets", "FollowJob")),
)
RUNS = (
    *(f"/{COMMANDS}/{method}" for method in ("RunCommand", "CancelCommand")),
    *(f"/{JOBS}/{method}" for method in ("PreviewJob", "CreateJob", "PauseJob", "ResumeJob", "CancelJob")),
)


@dataclass(frozen=True, slots=True)
class _Servicers:
    commands: CommandServicer
    deployments: DeploymentServicer
    playbooks: PlaybookServicer
    jobs: Jobs
    schedules: Schedules


async def start(settings: ExecutorSettings, stack: AsyncExitStack) -> RpcServer:
    """Opens everything and serves. What is opened is closed by the stack, the server first."""
    observe(settings, NAME, stack)
    box = SecretBox.from_file(settings.master_key_file)
    retry = RetryPolicy(settings.agent_rpc_retry_max_attempts, settings.agent_rpc_retry_base_delay_s)
    ways = await open_ways(settings, NAME, retry, stack)
    bus, pool = ways.bus, ways.pool
    lost_after_s = settings.lost_after_s
    commands, logs = CommandStore(pool, lost_after_s=lost_after_s), LogStore(pool, lost_after_s=lost_after_s)
    await patiently(commands.ping, settings.database_wait_s)
    endpoints = EndpointCache(AgentServiceStub(ways.registry), settings.endpoint_ttl_s)
    for aggregate in ("agent", "server"):
        bus.consume_ephemeral(f"myx.events.{aggregate}.>", endpoints.on_event, on_lost=endpoints.expire_all)
    fleet = KitFleet(ways.agents, endpoints)
    live_bus, hub, bells = _live(bus, commands, stack)
    releaser = Releaser(commands, fleet)
    outbox = Outbox(outbox_table)
    tell = Gather(outbox.wake)

    async def wake_all() -> None:
        runner.wake.set()
        await live_bus.publish_work()

    locks = Locks(LockStore(pool), wake_all)
    registry = _registry(settings, ways.registry, stack)
    on_final = _on_final(tell, bells, releaser)
    pressure = Pressure(log_bytes=settings.command_log_bytes_max)
    watch(pool, pressure, settings, stack)
    tools = Tools(
        *(fleet, commands, logs, hub, box, pressure, _limits(settings, retry), on_final, locks),
        presence=registry,
        authority=Authority(open_access(settings, stack)),
    )
    deploying = _deployment_tools(settings, tools, fleet, registry, pool)
    runner = Runner(
        _own_name(),
        CommandStore(ways.lease_pool, lost_after_s=lost_after_s),
        _drivers(deploying),
        max_active=settings.max_active_commands,
        lease_s=settings.lease_s,
    )
    stack.push_async_callback(_hand_over, settings, runner, live_bus, bus)
    background = TaskOwner(NAME)
    stack.push_async_callback(background.close)
    create = CreateDeployment(
        deploying, runner, default_timeout_s=settings.deployment_timeout_s, on_waiting=live_bus.publish_work
    )
    artifacts = Artifacts(deploying.files, bytes_max=settings.artifact_bytes_max)
    background.start(OutboxRelay(ways.engine, outbox, bus).run(), name="outbox")
    background.start(live_bus.watch_work(runner.wake.set), name="work")
    _start_repair(settings, bus, background, deploying, create, artifacts)
    bus.consume_ephemeral("myx.events.agent.online.>", OnlineAgents(commands, runner.wake).on_event)
    expiry = Expiry(runner.owner, commands, deploying.store, locks, tell)
    start_loops(background, settings, runner, hub, releaser, expiry)
    start_retention(background, settings, pool, runner.owner)
    start_key_watch(background, box, pool)
    targets = GrpcTargets(ServerServiceStub(ways.registry))
    around = Around(pool, ways.lease_pool, tools, registry, targets, create, bells, wake_all, tell)
    jobs = run_jobs(settings, runner.owner, around, stack, live_bus)
    run = _run_command(settings, tools, endpoints, runner, live_bus)
    cancel = CancelCommand(commands, runner, live_bus.publish_work, tell, locks)
    cancel_deployment = CancelDeployment(
        deploying.store, commands, runner, registry, locks, tell_others=live_bus.publish_work, on_event=tell
    )
    servicers = _Servicers(
        CommandServicer(
            run,
            ReadCommands(commands, endpoints),
            cancel,
            FollowLog(commands, logs, hub),
            search=search_log(commands, logs, stack),
        ),
        _deployment_servicer(deploying, create, cancel_deployment),
        PlaybookServicer(Projects(deploying.files, deploying.store, deploying.tool, deploying.work_dir), artifacts),
        jobs,
        run_schedules(settings, runner.owner, around, Doors(run, create, jobs.cases.create), stack),
    )
    return await _serve(settings, servicers, hub, stack)


def _on_final(tell: Callable[[], None], bells: JobBells, releaser: Releaser) -> Callable[[Command, bool], None]:
    def on_final(command: Command, known: bool) -> None:
        tell()
        if command.job_id is not None:
            bells.note(command.job_id)
        if known:
            releaser.add(command.id, command.server_id)

    return on_final


def _drivers(deploying: DeploymentTools) -> Callable[[Owned, Lease], Driver]:
    def make_driver(owned: Owned, lease: Lease) -> Driver:
        if owned.command.kind is RowKind.DEPLOYMENT:
            return DeploymentDrive(deploying, owned, lease)
        return Drive(deploying.base, owned, lease)

    return make_driver


async def _hand_over(settings: ExecutorSettings, runner: Runner, live_bus: KitLiveBus, bus: Bus) -> None:
    await runner.drain(settings.play_drain_s, settings.lease_renew_s)
    if await runner.close(settings.drain_s / 2):
        await live_bus.publish_work()
        await bus.flush()


def _live(bus: Bus, commands: CommandStore, stack: AsyncExitStack) -> tuple[KitLiveBus, LiveHub, JobBells]:
    live_bus = KitLiveBus(bus)
    stack.push_async_callback(live_bus.close)
    hub = LiveHub(commands, live_bus)
    stack.push_async_callback(hub.close)
    bells = JobBells(live_bus.publish_job)
    stack.push_async_callback(bells.close)
    return live_bus, hub, bells


def _start_repair(  # noqa: PLR0917 - they meet only here
    settings: ExecutorSettings,
    bus: Bus,
    background: TaskOwner,
    deploying: DeploymentTools,
    create: CreateDeployment,
    artifacts: Artifacts,
) -> None:
    repair = SelfRepair(
        deploying.store, deploying.registry, deploying.doctor, create, sweep_interval_s=settings.repair_interval_s
    )
    if settings.repair_interval_s:
        bus.consume_ephemeral("myx.events.agent.offline.>", OfflineAgents(repair).on_event)
    start_deployment_loops(background, settings, repair, artifacts)


def _run_command(
    settings: ExecutorSettings, tools: Tools, endpoints: EndpointCache, runner: Runner, live_bus: KitLiveBus
) -> RunCommand:
    return RunCommand(
        tools.commands,
        endpoints,
        runner,
        tools.box,
        default_timeout_s=settings.default_timeout_s,
        connect_timeout_s=settings.delivery_deadline_s,
        on_waiting=live_bus.publish_work,
    )


def _limits(settings: ExecutorSettings, retry: RetryPolicy) -> Limits:
    return Limits(
        delivery_deadline_s=settings.delivery_deadline_s,
        calm_retry_s=settings.agent_calm_retry_s,
        retry=retry,
        call_s=settings.agent_rpc_timeout_s,
        lost_after_s=settings.lost_after_s,
        margin_s=settings.overdue_margin_s,
    )


async def _serve(settings: ExecutorSettings, servicers: _Servicers, hub: LiveHub, stack: AsyncExitStack) -> RpcServer:
    server = _rpc_server(settings, servicers)
    http = await serve_http(settings.http_listen, lambda: server.ready)
    if http is not None:
        stack.push_async_callback(http.close)
    await server.start()
    stack.push_async_callback(server.stop, settings.drain_s / 2)
    looking, pool = TaskOwner("serving"), Pool(settings.database_url(), 1)
    stack.push_async_callback(pool.close)
    stack.push_async_callback(looking.close)
    start_serving(looking, server, pool, hub)
    return server


def _deployment_servicer(
    tools: DeploymentTools, create: CreateDeployment, cancel: CancelDeployment
) -> DeploymentServicer:
    return DeploymentServicer(
        create,
        ReadDeployments(tools.store, tools.registry, tools.bells),
        cancel,
        RetryDeployment(tools.store, create),
        registry=tools.registry,
        hosts=tools.hosts,
    )


def _registry(settings: ExecutorSettings, channel: grpc.aio.Channel, stack: AsyncExitStack) -> GrpcRegistry:
    heartbeat = None
    if settings.heartbeat_target:
        other = open_channel(settings.heartbeat_target, settings.tls_dir, NAME, "heartbeat")
        stack.push_async_callback(other.close)
        heartbeat = HeartbeatServiceStub(other)
    return GrpcRegistry(ServerServiceStub(channel), AgentServiceStub(channel), heartbeat)


def _deployment_tools(
    settings: ExecutorSettings, base: Tools, fleet: KitFleet, registry: GrpcRegistry, pool: Pool
) -> DeploymentTools:
    cache_dir = _private_folder(settings.work_dir or Path(tempfile.gettempdir()))
    plays = None
    if settings.playbooks_dir is not None:
        plays = PlayOverSsh(settings.playbooks_dir / "scripts" / "run_play.py", cache_dir)
    return DeploymentTools(
        base=base,
        fleet=fleet,
        registry=registry,
        hosts=SshHosts(registry, SshConnector(), plays),
        pythons=PythonFolder(settings.python_dir),
        bundles=Bundle(AgentBundle(settings.agent_bundle_dir, cache_dir), index=bool(settings.index_url)),
        tool=ShippedTool(DeploymentTool(settings.playbooks_dir, cache_dir), settings.playbooks_dir),
        doctor=KitDoctor(fleet, registry),
        store=DeploymentStore(pool),
        files=FileStore(pool),
        bells=Bells(),
        times=Times(agent_wait_s=settings.agent_wait_s, upgrade_confirm_s=settings.upgrade_confirm_s),
        work_dir=cache_dir,
        index_url=settings.index_url,
    )


def _private_folder(parent: Path) -> Path:
    """Our own folder in a place that others may write to as well; FailedPrecondition when somebody else made it."""
    folder = parent / f"myx-executor-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise FailedPrecondition("WORK_DIR_NOT_OURS", f"{folder} is not a folder of ours that nobody else may use")
    return folder


def _rpc_server(settings: ExecutorSettings, servicers: _Servicers) -> RpcServer:
    server = RpcServer(settings.listen, settings.tls_dir, NAME)
    server.add(add_CommandServiceServicer_to_server, servicers.commands, COMMANDS)
    server.add(add_DeploymentServiceServicer_to_server, servicers.deployments, DEPLOYMENTS)
    server.add(add_PlaybookServiceServicer_to_server, servicers.playbooks, PLAYBOOKS)
    add_jobs(server, servicers.jobs)
    add_schedules(server, servicers.schedules)
    # They say who asks (`requested_by`) and are believed.
    for service, methods in METHODS.items():
        server.allow({f"/{service}/{method}": {"gateway", "standalone"} for method in methods})
    server.admit(settings.clients(), READS, RUNS)
    return server


def _own_name() -> str:
    """Tells this process from every other one that ever was."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
