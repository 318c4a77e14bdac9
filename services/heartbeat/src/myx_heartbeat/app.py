"""The heartbeat service from parts: opens, wires, supervises; closes in reverse."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from myx.heartbeat.v1.heartbeat_service_pb2_grpc import add_HeartbeatServiceServicer_to_server
from myx_heartbeat.adapters.agents import AgentProbe
from myx_heartbeat.adapters.registry import RegistryClient
from myx_heartbeat.consumers import consume_fleet_events
from myx_heartbeat.domain import Intervals
from myx_heartbeat.loops import Dispatcher, HandOverLoop, PauseLoop
from myx_heartbeat.rpc import HEARTBEAT_SERVICE, HeartbeatServicer
from myx_heartbeat.settings import HeartbeatSettings
from myx_heartbeat.usecases.check_now import CheckNow
from myx_heartbeat.usecases.checks import Checks
from myx_heartbeat.usecases.fleet import Fleet
from myx_heartbeat.usecases.hand_over import HandOver
from myx_heartbeat.usecases.pauses import PauseWatch
from myx_heartbeat.usecases.refresh import Refresh
from myx_heartbeat.usecases.reports import Reports
from myx_heartbeat.usecases.schedule import Schedule
from myx_kit.agent_rpc.client import AgentClient
from myx_kit.events.bus import Bus
from myx_kit.loops import Loop, TaskOwner
from myx_kit.retry import RetryPolicy
from myx_kit.rpc.client import open_channel
from myx_kit.rpc.server import RpcServer
from myx_kit.telemetry import serve_http

NAME: Final = "heartbeat"
REGISTRY: Final = "registry"
# A burst of events is answered by one refresh after each other, this far apart.
_REFRESH_GAP_S = 0.5


async def start(settings: HeartbeatSettings, stack: AsyncExitStack) -> RpcServer:
    """Open all parts and serve; the stack closes them in reverse, the server first.

    Registry and NATS may be away, at the start and later. Raises FailedPrecondition for certificates or an address that
    cannot be used.
    """
    channel = open_channel(settings.registry_target, settings.tls_dir, NAME, REGISTRY)
    stack.push_async_callback(channel.close)
    bus = await Bus.connect(settings.nats_url, settings.tls_dir, NAME)
    stack.push_async_callback(bus.close)
    retry = RetryPolicy(settings.retry_max_attempts, settings.retry_base_delay_s)
    client = await stack.enter_async_context(AgentClient(settings.rpc_timeout_s, retry))
    owner = TaskOwner(NAME)
    stack.push_async_callback(owner.close)

    clock = asyncio.get_running_loop().time
    schedule = Schedule()
    fleet = Fleet(_intervals(settings), schedule, clock, random.random)
    reports = Reports(settings.report_buffer)
    watch = PauseWatch(clock)
    checks = Checks(
        fleet,
        schedule,
        reports,
        AgentProbe(client),
        watch,
        concurrency=settings.concurrency,
        slow_after_s=settings.slow_after_s,
        clock=clock,
        owner=owner,
    )
    registry = RegistryClient(channel)
    refresh = Refresh(registry, fleet, checks, reports)
    hand_over = HandOver(registry, reports)

    refreshing = Loop("refresh", settings.refresh_interval_s, _with_gap(refresh), max_backoff_s=2.0)
    consume_fleet_events(bus, refreshing.wake)
    owner.start(refreshing.run(), name="refresh", critical=True)
    owner.start(Dispatcher(checks).run(), name="dispatch", critical=True)
    owner.start(HandOverLoop(hand_over, reports, settings.report_interval_s).run(), name="hand-over", critical=True)
    owner.start(PauseLoop(watch, fleet, checks).run(), name="pauses", critical=True)

    server = RpcServer(settings.listen, settings.tls_dir, NAME)
    check_now = CheckNow(registry, fleet, refresh, checks, reports, hand_over)
    server.add(add_HeartbeatServiceServicer_to_server, HeartbeatServicer(check_now, fleet, reports), HEARTBEAT_SERVICE)
    http = await serve_http(settings.http_listen, lambda: server.ready and refresh.known)
    if http is not None:
        stack.push_async_callback(http.close)
    await server.start()
    stack.push_async_callback(server.stop, settings.drain_s)
    return server


def _with_gap(refresh: Refresh) -> Callable[[], Awaitable[None]]:
    async def run_once() -> None:
        await refresh.run_once()
        await asyncio.sleep(_REFRESH_GAP_S)

    return run_once


def _intervals(settings: HeartbeatSettings) -> Intervals:
    return Intervals(
        min_interval_s=settings.min_interval_s,
        max_interval_s=settings.max_interval_s,
        startup_interval_s=settings.startup_interval_s,
        startup_wait_s=settings.startup_wait_s,
        first_checks_per_s=settings.first_checks_per_s,
    )
