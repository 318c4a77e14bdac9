"""The heartbeat service from parts: opens, wires, supervises; closes in reverse."""

import asyncio
import os
import random
import socket
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Final

from myx.heartbeat.v1.heartbeat_service_pb2_grpc import add_HeartbeatServiceServicer_to_server
from myx_heartbeat.adapters.agents import AgentProbe
from myx_heartbeat.adapters.peers import GrpcPeers, host_answers
from myx_heartbeat.adapters.registry import RegistryClient
from myx_heartbeat.consumers import consume_fleet_events
from myx_heartbeat.domain import Intervals
from myx_heartbeat.loops import Dispatcher, HandOverLoop, PauseLoop
from myx_heartbeat.rpc import HEARTBEAT_SERVICE, HeartbeatServicer
from myx_heartbeat.settings import HeartbeatSettings
from myx_heartbeat.store import Members
from myx_heartbeat.usecases.check_now import CheckNow
from myx_heartbeat.usecases.checks import OVERDUE, Checks
from myx_heartbeat.usecases.doubt import Doubt
from myx_heartbeat.usecases.fleet import Fleet
from myx_heartbeat.usecases.hand_over import UNSENT, HandOver
from myx_heartbeat.usecases.membership import Alone, Membership
from myx_heartbeat.usecases.pauses import PauseWatch
from myx_heartbeat.usecases.probe_agents import ProbeAgents
from myx_heartbeat.usecases.refresh import Refresh
from myx_heartbeat.usecases.registry_clock import RegistryClock
from myx_heartbeat.usecases.reports import Reports
from myx_heartbeat.usecases.schedule import Schedule
from myx_heartbeat.usecases.second_opinion import SecondOpinion
from myx_heartbeat.usecases.status import ReplicaStatus
from myx_kit.agent_rpc.client import AgentClient
from myx_kit.db.engine import create_engine, used_connections
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.events.bus import Bus
from myx_kit.loops import Loop, TaskOwner
from myx_kit.metrics import watch_pool
from myx_kit.observe import observe
from myx_kit.retry import RetryPolicy
from myx_kit.rpc.client import open_channel
from myx_kit.rpc.server import RpcServer
from myx_kit.telemetry import serve_http

NAME: Final = "heartbeat"
REGISTRY: Final = "registry"
# A burst of events is answered by one refresh after each other, this far apart.
_REFRESH_GAP_S = 0.5
# How much later than its pause ends an agent is checked again, at most.
_RESUME_S = 1.0
# One renews the lease, one is for the moment of stopping.
_DATABASE_CONNECTIONS = 2


async def start(settings: HeartbeatSettings, stack: AsyncExitStack) -> RpcServer:
    """Open all parts and serve; the stack closes them in reverse, the server first.

    Registry and NATS may be away, at the start and later. Raises FailedPrecondition for certificates or an address that
    cannot be used.
    """
    observe(settings, NAME, stack)
    channel = open_channel(settings.registry_target, settings.tls_dir, NAME, REGISTRY)
    stack.push_async_callback(channel.close)
    bus = await Bus.connect(settings.nats_url, settings.tls_dir, NAME)
    stack.push_async_callback(bus.close)
    retry = RetryPolicy(settings.retry_max_attempts, settings.retry_base_delay_s)
    client = await stack.enter_async_context(AgentClient(settings.rpc_timeout_s, retry))
    membership = _membership(settings, stack)
    owner = TaskOwner(NAME)
    stack.push_async_callback(owner.close)

    clock = asyncio.get_running_loop().time
    time = RegistryClock(partial(datetime.now, UTC), clock)
    schedule = Schedule()
    fleet = Fleet(_intervals(settings), schedule, clock, random.random)
    reports = Reports(settings.report_buffer)
    watch = PauseWatch(clock)
    probe = AgentProbe(client, time)
    doubt = Doubt(
        clock,
        max_s=settings.doubt_max_s,
        calm_s=2 * settings.max_interval_s,
        recent_s=settings.max_interval_s,
        is_cut_off=lambda: membership.is_suspended,
    )
    checks = Checks(
        fleet,
        schedule,
        reports,
        probe,
        watch,
        newest=lambda agent_id: refresh.newest(agent_id),  # noqa: PLW0108 - it is made below
        doubt=doubt,
        concurrency=settings.concurrency,
        slow_after_s=settings.slow_after_s,
        clock=clock,
        now=time,
        owner=owner,
    )
    server = RpcServer(settings.listen, settings.tls_dir, NAME)
    registry = RegistryClient(channel, time)
    refresh = Refresh(registry, fleet, checks, reports, doubt, is_mine=membership.is_mine, now=time)
    hand_over = HandOver(registry, reports, refresh.quarantine)
    opinion = SecondOpinion(
        doubt,
        membership,
        GrpcPeers(settings.tls_dir, settings.rpc_timeout_s + 5),
        probe,
        endpoint_of=refresh.endpoint_of_agent,
        ssh_answers=host_answers,
        on_confirmed=checks.confirm,
    )

    refreshing = Loop("refresh", settings.refresh_interval_s, _with_gap(refresh), max_backoff_s=2.0)
    consume_fleet_events(bus, refreshing.wake)
    owner.start(refreshing.run(), name="refresh", critical=True)
    owner.start(Dispatcher(checks).run(), name="dispatch", critical=True)
    owner.start(HandOverLoop(hand_over, reports, settings.report_interval_s).run(), name="hand-over", critical=True)
    owner.start(Loop("doubt", settings.doubt_interval_s, opinion.run_once).run(), name="doubt", critical=True)
    owner.start(Loop("resume", _RESUME_S, refresh.resume).run(), name="resume", critical=True)
    owner.start(PauseLoop(watch, fleet, checks).run(), name="pauses", critical=True)

    OVERDUE.set_function(lambda: len(schedule.overdue(clock())))
    UNSENT.set_function(lambda: len(reports))
    check_now = CheckNow(registry, fleet, refresh, checks, reports, hand_over)
    status = ReplicaStatus(fleet, reports, membership, doubt, clock=clock)
    servicer = HeartbeatServicer(check_now, ProbeAgents(refresh.endpoint_of_agent, fleet, doubt, probe), status)
    server.add(add_HeartbeatServiceServicer_to_server, servicer, HEARTBEAT_SERVICE)
    # Others have no use for it: it costs calls to agents and tells nothing that a report does not.
    server.allow({f"/{HEARTBEAT_SERVICE}/ProbeAgents": {NAME}})
    server.admit(settings.clients(), [f"/{HEARTBEAT_SERVICE}/GetStatus"])
    # A rollout goes on with who is ready: not with one that checks nobody yet.
    http = await serve_http(
        settings.http_listen, lambda: server.ready and refresh.known.is_set() and membership.has_joined
    )
    if http is not None:
        stack.push_async_callback(http.close)
    address = await server.start()
    if isinstance(membership, Membership):
        renewing = _renewing(membership, settings.advertise or address, fleet, refresh)
        renewal = Loop("members", settings.member_renew_s, renewing, max_backoff_s=2.0)
        owner.start(renewal.run(), name="members", critical=True)
    stack.push_async_callback(server.stop, settings.drain_s)
    return server


def _membership(settings: HeartbeatSettings, stack: AsyncExitStack) -> Membership | Alone:
    url = settings.database_url()
    if not url:
        return Alone()
    engine = create_engine(url, _DATABASE_CONNECTIONS)
    watch_pool(NAME, _DATABASE_CONNECTIONS, lambda: used_connections(engine))
    stack.push_async_callback(engine.dispose)
    own_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    membership = Membership(Members(UnitOfWork(engine)), own_id, settings.member_lease_s)
    stack.push_async_callback(membership.leave)
    return membership


def _renewing(membership: Membership, address: str, fleet: Fleet, refresh: Refresh) -> Callable[[], Awaitable[None]]:
    async def run_once() -> None:
        # Who does not know the fleet takes no share: nobody would check it.
        await refresh.known.wait()
        if await membership.renew_once(address, len(fleet)):
            refresh.share()

    return run_once


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
