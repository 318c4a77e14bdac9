"""Composition root: opens, wires, supervises, closes in reverse."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from myx_gateway import errors, openapi
from myx_gateway.access.audit import Auditor
from myx_gateway.access.guard import Guard
from myx_gateway.access.identities import Identities
from myx_gateway.access.page_seal import PageSeal
from myx_gateway.access.standing import Renew, as_it_came
from myx_gateway.api import (
    agents,
    artifacts,
    audit,
    commands,
    credentials,
    deployments,
    health,
    host_keys,
    jobs,
    playbooks,
    rpc_door,
    schedules,
    searches,
    servers,
    session,
    status,
    tokens,
    users,
    watching,
)
from myx_gateway.api.routes import check_agreement
from myx_gateway.bodies import BodyLimits
from myx_gateway.clients import OWN_NAME, Clients, connect
from myx_gateway.dashboard import Dashboard
from myx_gateway.door import Door, Gate
from myx_gateway.doorkeeper import Doorkeeper, open_doorkeeper
from myx_gateway.loops import AuditLoops, read_events
from myx_gateway.observed import OPEN_STREAMS, STREAM_LIMIT, Observed
from myx_gateway.operations import BY_NAME
from myx_gateway.rpc import add_services
from myx_gateway.server import HttpServer, open_listener
from myx_gateway.settings import GatewaySettings
from myx_gateway.store.audit import AuditStore
from myx_gateway.store.database import Database
from myx_gateway.streams import audit as audit_export
from myx_gateway.streams import events, http
from myx_gateway.streams.book import StreamBook
from myx_gateway.streams.event_ring import EventRing
from myx_gateway.streams.outlet import Patience
from myx_gateway.streams.parts import StreamParts
from myx_gateway.streams.sockets import SOCKETS
from myx_gateway.streams.websocket import FeedSocket
from myx_gateway.tls import supervised_certificate
from myx_kit.db.engine import create_engine, used_connections
from myx_kit.errors import Unavailable
from myx_kit.logging import get_logger
from myx_kit.loops import TaskOwner
from myx_kit.metrics import watch_pool
from myx_kit.observe import observe
from myx_kit.rpc.server import RpcServer
from myx_kit.telemetry import serve_http

log = get_logger()

API_PREFIX = "/api/v1"
_ROUTERS = (
    *(watching.router, servers.router, host_keys.router, credentials.router, agents.router, commands.router),
    *(jobs.router, schedules.router, searches.router, session.router, users.router, tokens.router),
    *(deployments.router, http.router, playbooks.router, artifacts.router, status.router),
    *(audit.router, audit_export.router, events.router),
)


def build_api(
    clients: Clients,
    streams: StreamParts,
    *,
    auditor: Auditor | None = None,
    audit_store: AuditStore | None = None,
    doorkeeper: Doorkeeper | None = None,
    renew: Renew = as_it_came,
    recheck_s: float = 15,
    page_seal: PageSeal | None = None,
) -> FastAPI:
    """The routes, without the door in front of them."""
    app = FastAPI(
        title="MyX",
        version=status.VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.clients = clients
    app.state.guard = Guard(clients)
    app.state.auditor = auditor
    app.state.audit_store = audit_store
    app.state.doorkeeper = doorkeeper
    app.state.renew = renew
    app.state.recheck_s = recheck_s
    app.state.page_seal = page_seal
    app.state.stream_parts = streams
    app.state.upload_entry = streams.book.entry if streams is not None else None
    app.include_router(health.router)
    for router in _ROUTERS:
        app.include_router(router, prefix=API_PREFIX)
    for name, make_feed in SOCKETS.items():
        operation = BY_NAME[name]
        socket = FeedSocket(operation, make_feed)
        app.router.routes.append(WebSocketRoute(API_PREFIX + operation.path, socket, name=name))
    app.router.routes.append(rpc_door.rpc_route(app, API_PREFIX))
    app.router.routes.append(Route(openapi.PATH, _openapi_route(app), methods=["GET"], include_in_schema=False))
    check_agreement(app.routes, API_PREFIX)
    errors.install(app)
    return app


def build_door(app: ASGIApp, settings: GatewaySettings, gate: Gate) -> Door:
    """The application as the world sees it."""
    limits = BodyLimits(
        held_bytes=settings.body_limit_bytes,
        timeout_s=settings.body_timeout_s,
        streamed={
            ("PUT", f"{API_PREFIX}/playbooks/"): settings.project_limit_bytes,
            ("POST", f"{API_PREFIX}/artifacts"): settings.artifact_limit_bytes,
        },
    )
    return Door(app, gate, limits)


class Gateway:
    """The running gateway; tells its lifecycle when to look unready."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._streams = StreamBook(settings.max_streams, settings.max_streams_per_principal)
        self.address = ""

    @property
    def ready(self) -> bool:
        """Whether new requests are welcome."""
        return not self._streams.stopping

    async def start(self, stack: AsyncExitStack) -> "Gateway":
        """Open everything; what is opened is closed by `stack`."""
        settings = self._settings
        observe(settings, OWN_NAME, stack)
        OPEN_STREAMS.set_function(lambda: len(self._streams))
        STREAM_LIMIT.set(settings.max_streams)
        engine = create_engine(settings.database_url(), settings.pool_size)
        stack.push_async_callback(engine.dispose)
        watch_pool("gateway", settings.pool_size, lambda: used_connections(engine))
        database = Database(engine)
        listener = open_listener(settings.listen, settings.listen_fd)
        stack.callback(listener.close)
        host, port = listener.getsockname()[:2]
        self.address = f"{host}:{port}"
        clients = connect(
            settings.tls_dir,
            registry=settings.registry_target,
            heartbeat=settings.heartbeat_target,
            executor=settings.executor_target,
        )
        stack.push_async_callback(clients.close)
        doorkeeper = open_doorkeeper(settings, database, clients, stack)
        # At an upgrade old gateways serve until the migrations have run. A database that is away is no reason to wait.
        with suppress(Unavailable):
            async with database.begin():
                pass
        probes = await serve_http(settings.http_listen, lambda: self.ready and database.is_migrated is not False)
        if probes is not None:
            stack.push_async_callback(probes.close)
        patience = Patience(stall_s=settings.stream_stall_s, ping_s=settings.stream_ping_s)
        ring = EventRing(settings.events_kept)
        parts = StreamParts(clients, self._streams, patience, settings.stream_heal_s, ring)
        auditing = AuditLoops(settings, database)
        auditing.start(stack)
        await read_events(settings, ring, stack)
        api = build_api(
            clients,
            parts,
            auditor=auditing.trail,
            audit_store=auditing.store,
            doorkeeper=doorkeeper,
            renew=doorkeeper.identities.renewed,
            recheck_s=settings.stream_recheck_s,
            page_seal=PageSeal.from_file(settings.admin_token_file),
        )
        await self._serve_services(stack, doorkeeper.identities, api.state.guard)
        door = build_door(api, settings, doorkeeper.gate)
        owner = TaskOwner("gateway")
        stack.push_async_callback(owner.close)
        tls = supervised_certificate(settings.tls_cert_file, settings.tls_key_file, owner)
        server = HttpServer(
            Observed(Dashboard(door, secure=settings.secure)), listener, drain_s=settings.drain_s, tls=tls
        )
        await doorkeeper.supervise(owner, settings.first_admin_password_file)
        serving = owner.start(server.run(), name="http", critical=True)
        stack.push_async_callback(self._stop, server, serving)
        await server.wait_started()
        log.info("listening", address=self.address)
        return self

    async def _serve_services(self, stack: AsyncExitStack, identities: Identities, guard: Guard) -> None:
        rpc = RpcServer(self._settings.rpc_listen, self._settings.tls_dir, OWN_NAME)
        add_services(rpc, identities, guard)
        log.info("rpc_listening", address=await rpc.start())
        stack.push_async_callback(rpc.stop, self._settings.drain_s / 2)

    async def unready(self) -> None:
        """Answer probes with 503, end all streams with a word, take no new ones."""
        await self._streams.close(self._settings.drain_s / 2)

    async def _stop(self, server: HttpServer, serving: asyncio.Task[Any]) -> None:
        server.stop()
        await asyncio.wait({serving}, timeout=self._settings.drain_s + 2)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _openapi_route(app: FastAPI) -> Any:
    async def answer(_request: Request) -> Response:
        return JSONResponse(openapi.document(app))

    return answer
