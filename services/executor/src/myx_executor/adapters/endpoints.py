"""The registry's answers, kept for a while: who a server is and how its agent is called."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from myx.events.v1.events_pb2 import Event
from myx_executor.adapters.endpoint_calls import EndpointCalls
from myx_executor.usecases.ports import ServerRef
from myx_kit.agent_rpc.client import AgentTarget
from myx_kit.errors import FailedPrecondition, NotFound, Unavailable
from myx_kit.logging import get_logger

if TYPE_CHECKING:
    # Only in the typed stubs.
    from myx.registry.v1.agent_service_pb2_grpc import AgentServiceAsyncStub

log = get_logger()

_MAX_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server and its agent's connection data."""

    server: ServerRef
    target: AgentTarget
    # Another machine answers there: nothing is to be sent to it.
    quarantined: bool = False


@dataclass(slots=True)
class _Entry:
    endpoint: Endpoint
    fresh_until: float


class EndpointCache:
    """Endpoints by server id or name, one look-up at a time for each; stale ones serve while the registry is away."""

    def __init__(self, stub: "AgentServiceAsyncStub", ttl_s: float) -> None:
        self._calls_out = EndpointCalls(stub)
        self._ttl_s = ttl_s
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        # Under which names and ids the entries of a server are: an event never looks through them all.
        self._names: dict[str, set[str]] = {}
        self._calls: dict[str, asyncio.Future[Endpoint]] = {}

    async def resolve(self, server: str) -> ServerRef:
        """Fits `Servers`. NotFound `SERVER_NOT_FOUND`; FailedPrecondition `AGENT_NOT_FOUND`; Unavailable."""
        return (await self.endpoint(server)).server

    async def endpoint(self, server: str) -> Endpoint:
        """As `resolve`, with the connection data."""
        entry = self._entries.get(server)
        if entry is not None and entry.fresh_until > asyncio.get_running_loop().time():
            return entry.endpoint
        try:
            return await self._asked(server)
        except Unavailable:
            if entry is None:
                raise
            log.warning("stale_endpoint_used", server=server)
            return entry.endpoint

    def expire(self, server: str) -> None:
        """The next use asks the registry, and falls back to what is known when it is away."""
        entry = self._entries.get(server)
        server_id = server if entry is None else entry.endpoint.server.server_id
        for name in self._names.get(server_id, ()):
            self._entries[name].fresh_until = 0.0

    def expire_all(self) -> None:
        """Events may have been missed."""
        for entry in self._entries.values():
            entry.fresh_until = 0.0

    async def on_event(self, event: Event) -> None:
        """Drops what an event of the registry says has changed."""
        kind = event.WhichOneof("fact")
        if kind is None or kind.startswith("command_"):
            return
        fact = getattr(event, kind)
        if kind not in ("server_deleted", "server_updated"):
            self.expire(fact.server_id)
            return
        if kind == "server_updated":
            # The name may now be another server's.
            self._drop(fact.name)
        for name in list(self._names.get(fact.server_id, ())):
            self._drop(name)

    async def _asked(self, server: str) -> Endpoint:
        call = self._calls.get(server)
        if call is None:
            call = asyncio.get_running_loop().create_future()
            self._calls[server] = call
            try:
                endpoint = await self._fetch(server)
            except BaseException as error:
                failure = (
                    error if isinstance(error, Exception) else Unavailable("LOOKUP_CANCELLED", "the look-up ended")
                )
                call.set_exception(failure)
                call.exception()
                raise
            else:
                call.set_result(endpoint)
                return endpoint
            finally:
                del self._calls[server]
        return await asyncio.shield(call)

    async def _fetch(self, server: str) -> Endpoint:
        try:
            found = await self._calls_out.ask(server)
        except NotFound as error:
            self._drop(server)
            if error.reason == "AGENT_NOT_FOUND":
                raise FailedPrecondition("AGENT_NOT_FOUND", f"server {server} has no agent", server=server) from None
            raise
        endpoint = Endpoint(
            ServerRef(found.server_id, found.server_name, found.agent_id),
            AgentTarget(
                agent_id=found.agent_id,
                address=found.address,
                rpc_port=found.rpc_port,
                rpc_path=found.rpc_path,
                agent_token=found.agent_token,
                secret_key=found.secret_key,
                certificate_sha256=found.certificate_sha256,
                next_certificate_sha256=found.next_certificate_sha256,
            ),
            quarantined=found.quarantined,
        )
        # Once the machine is accepted work goes on at once: a quarantine is asked for anew each time.
        fresh_until = 0.0 if endpoint.quarantined else asyncio.get_running_loop().time() + self._ttl_s
        for name in {server, found.server_id, found.server_name}:
            self._drop(name)
            self._entries[name] = _Entry(endpoint, fresh_until)
            self._names.setdefault(found.server_id, set()).add(name)
        while len(self._entries) > _MAX_ENTRIES:
            self._drop(next(iter(self._entries)))
        return endpoint

    def _drop(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        server_id = entry.endpoint.server.server_id
        names = self._names[server_id]
        names.discard(name)
        if not names:
            del self._names[server_id]
