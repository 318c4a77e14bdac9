"""The registry from parts: opens, wires, supervises; closes in reverse."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Final

import stamina

from myx.registry.v1.agent_service_pb2_grpc import add_AgentServiceServicer_to_server
from myx.registry.v1.credential_service_pb2_grpc import add_CredentialServiceServicer_to_server
from myx.registry.v1.server_service_pb2_grpc import add_ServerServiceServicer_to_server
from myx_kit.db.engine import create_engine, is_reachable, used_connections
from myx_kit.db.outbox import Outbox, OutboxRelay
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import Unavailable
from myx_kit.events.bus import Bus
from myx_kit.key_watch import KeyWatch
from myx_kit.loops import Loop, TaskOwner
from myx_kit.metrics import before_scrape, watch_pool
from myx_kit.observe import observe
from myx_kit.rpc.server import RpcServer
from myx_kit.secretbox import SecretBox
from myx_kit.telemetry import serve_http
from myx_registry import models
from myx_registry.rpc import (
    AGENT_SERVICE,
    ALLOWED,
    CREDENTIAL_SERVICE,
    READS,
    SERVER_SERVICE,
    AgentCases,
    AgentServicer,
    CredentialServicer,
    ServerServicer,
)
from myx_registry.settings import RegistrySettings
from myx_registry.usecases.agents import Agents
from myx_registry.usecases.credentials import Credentials
from myx_registry.usecases.heartbeats import Heartbeats
from myx_registry.usecases.host_keys import HostKeys
from myx_registry.usecases.identities import Identities
from myx_registry.usecases.maintenance import Leases
from myx_registry.usecases.metrics import Census
from myx_registry.usecases.own_credentials import OwnCredentials
from myx_registry.usecases.private_keys import PrivateKeys
from myx_registry.usecases.readiness import check_master_keys, check_schema
from myx_registry.usecases.relocations import Relocations
from myx_registry.usecases.resealing import Resealing
from myx_registry.usecases.rotations import Rotations
from myx_registry.usecases.selection import Selection
from myx_registry.usecases.servers import Servers
from myx_registry.usecases.ssh_access import SshAccess
from myx_registry.usecases.vault import Vault
from myx_registry.usecases.watching import Histories, Housekeeping, Machines, Pauses

NAME: Final = "registry"
_DATABASE_CHECK_S = 5.0
_HOUSEKEEPING_S = 60.0
# Reading a private key is made to cost up to seconds of one core.
_KEY_THREADS = 2


async def start(settings: RegistrySettings, stack: AsyncExitStack) -> RpcServer:
    """Open all parts and serve; the stack closes them in reverse, the server first.

    PostgreSQL and its schema are waited for; NATS may be away as long as it likes, events wait in the outbox meanwhile.
    Raises FailedPrecondition for files or an address that cannot be used and for a master key that is not the one in
    use, Unavailable when the database did not come in time.
    """
    observe(settings, NAME, stack)
    box = SecretBox.from_file(settings.master_key_file)
    engine = create_engine(settings.database_url(), settings.pool_size)
    stack.push_async_callback(engine.dispose)
    outbox = Outbox(models.outbox)
    uow = UnitOfWork(engine, outbox)
    await _wait_for_database(uow, settings.start_wait_s)
    await check_master_keys(uow, box)

    bus = await Bus.connect(settings.nats_url, settings.tls_dir, NAME)
    stack.push_async_callback(bus.close)
    owner = TaskOwner(NAME)
    stack.push_async_callback(owner.close)
    owner.start(OutboxRelay(engine, outbox, bus).run(), name="outbox-relay", critical=True)
    database = _DatabaseCheck(partial(is_reachable, engine))
    owner.start(Loop("database-check", _DATABASE_CHECK_S, database.run_once).run(), name="database-check")

    stack.callback(before_scrape(Census(uow).measure))
    watch_pool("registry", settings.pool_size, partial(used_connections, engine))
    keys = KeyWatch(box, Resealing(uow, box).run)
    owner.start(Loop("master-keys", settings.master_key_look_s, keys.run_once).run(), name="master-keys")

    keeping = Housekeeping(
        uow, _utc_now, history_days=settings.history_days, history_rows=settings.history_rows_per_agent
    )
    owner.start(Loop("housekeeping", _HOUSEKEEPING_S, keeping.run_once).run(), name="housekeeping")

    server = RpcServer(settings.listen, settings.tls_dir, NAME)
    pool = ThreadPoolExecutor(_KEY_THREADS, thread_name_prefix="private-keys")
    stack.callback(pool.shutdown, wait=False, cancel_futures=True)
    _serve(server, uow, outbox, Vault(box), PrivateKeys(pool))
    server.admit(settings.clients(), READS)
    http = await serve_http(settings.http_listen, lambda: server.ready and database.reachable)
    if http is not None:
        stack.push_async_callback(http.close)
    await server.start()
    stack.push_async_callback(server.stop, settings.drain_s)
    return server


def _serve(server: RpcServer, uow: UnitOfWork, outbox: Outbox, vault: Vault, keys: PrivateKeys) -> None:
    own = OwnCredentials(vault, keys)
    servers = ServerServicer(
        Servers(uow, outbox, vault, own, _utc_now),
        Selection(uow),
        HostKeys(uow, _utc_now),
        SshAccess(uow, vault),
        Leases(uow),
    )
    agents = AgentServicer(
        AgentCases(
            agents=Agents(uow, vault),
            identities=Identities(uow, outbox, vault, _utc_now),
            rotations=Rotations(uow, outbox, vault, _utc_now),
            relocations=Relocations(uow, outbox, vault, _utc_now),
            heartbeats=Heartbeats(uow, outbox, _utc_now),
            histories=Histories(uow, _utc_now),
            pauses=Pauses(uow, outbox, _utc_now),
            machines=Machines(uow, outbox, _utc_now),
        )
    )
    credentials = CredentialServicer(Credentials(uow, vault, own, _utc_now))
    server.add(add_ServerServiceServicer_to_server, servers, SERVER_SERVICE)
    server.add(add_AgentServiceServicer_to_server, agents, AGENT_SERVICE)
    server.add(add_CredentialServiceServicer_to_server, credentials, CREDENTIAL_SERVICE)
    server.allow(ALLOWED)


class _DatabaseCheck:
    """Whether the database answered lately, for /readyz."""

    def __init__(self, ask: Callable[[], Awaitable[bool]]) -> None:
        self._ask = ask
        self.reachable = True

    async def run_once(self) -> None:
        self.reachable = await self._ask()


async def _wait_for_database(uow: UnitOfWork, timeout_s: float) -> None:
    waiting = stamina.retry_context(
        on=Unavailable, attempts=None, timeout=timeout_s, wait_initial=0.1, wait_max=1.0, wait_jitter=0.1
    )
    async for attempt in waiting:
        with attempt:
            await check_schema(uow)


def _utc_now() -> datetime:
    return datetime.now(UTC)
