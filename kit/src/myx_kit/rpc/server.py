"""A gRPC server as every service of ours has it: mutual TLS, health, reflection, our interceptor."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from myx_kit.errors import FailedPrecondition
from myx_kit.rpc.interceptors import EdgeInterceptor
from myx_kit.tls import ca_path, certificate_path, key_path

# Log pieces are at most 512 KiB; lists of 500 items stay far below.
MAX_MESSAGE_BYTES = 16 << 20

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Two processes on one port would each get half of the calls, silently.
    ("grpc.so_reuseport", 0),
    # A peer whose machine vanished is noticed within half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
]

Servicer = TypeVar("Servicer")


class RpcServer:
    """Serves gRPC at `listen` ("host:port") with the certificate of service `name` in `tls_dir`; peers need one too.

    Use: `server = RpcServer("127.0.0.1:0", tls_dir, "registry"); server.add(add_XServicer_to_server, servicer,
    "myx.registry.v1.X"); server.allow({...}); address = await server.start(); …; await server.stop(8)`.
    """

    def __init__(self, listen: str, tls_dir: Path, name: str, max_calls: int = 4096) -> None:
        self._listen = listen
        self._tls_dir = tls_dir
        self._name = name
        self._max_calls = max_calls
        self._additions: list[Callable[[grpc.aio.Server], None]] = []
        self._services: list[str] = []
        self._allowed: dict[str, frozenset[str]] = {}
        self._clients: dict[str, frozenset[str]] = {}
        self._interceptor = EdgeInterceptor(self._allowed, self._clients)
        self._health: Any = HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._ready = False
        self._unready = False

    @property
    def ready(self) -> bool:
        """Whether it takes calls; what /readyz should say."""
        return self._ready

    def add(
        self, add_to_server: Callable[[Servicer, grpc.aio.Server], None], servicer: Servicer, service_full_name: str
    ) -> None:
        """Serve `servicer`; before `start`."""
        self._additions.append(lambda server: add_to_server(servicer, server))
        self._services.append(service_full_name)

    def allow(self, methods: dict[str, set[str]]) -> None:
        """Restrict methods ("/myx.registry.v1.AgentService/GetAgentEndpoint") to callers by service name."""
        self._allowed.update({method: frozenset(callers) for method, callers in methods.items()})

    def admit(self, clients: Mapping[str, str], reads: Iterable[str], runs: Iterable[str] = ()) -> None:
        """Let other teams' programs use `reads`, and those that `clients` gives "run" use `runs` too.

        A program whose certificate `clients` does not name may call nothing.
        """
        read = frozenset(reads)
        methods = {"read": read, "run": read | frozenset(runs)}
        for name, level in clients.items():
            self._clients[name] = self._clients.get(name, frozenset()) | methods[level]

    async def start(self) -> str:
        """Listen and serve; returns "host:port" with the real port.

        FailedPrecondition `LISTEN_FAILED` when the address cannot be had, `TLS_FILES_UNREADABLE` for the certificate.
        """
        server = grpc.aio.server(
            interceptors=[self._interceptor], options=_OPTIONS, maximum_concurrent_rpcs=self._max_calls
        )
        for add in self._additions:
            add(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [*self._services, "grpc.health.v1.Health", reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, server)
        credentials = _credentials(self._tls_dir, self._name)
        try:
            port = server.add_secure_port(self._listen, credentials)
        except RuntimeError:
            port = 0
        if port == 0:
            message = f"cannot listen on {self._listen}: is the port in use?"
            raise FailedPrecondition("LISTEN_FAILED", message, address=self._listen)
        await server.start()
        self._server = server
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        self._ready = True
        return f"{self._listen.rpartition(':')[0]}:{port}"

    async def unready(self) -> None:
        """Say NOT_SERVING to health checks from now on; calls still go through."""
        self._unready = True
        await self._say(serving=False)

    async def serving(self, *, now: bool) -> None:
        """Say to health checks whether calls can be served now: clients of several replicas turn to others."""
        if self._server is not None and not self._unready:
            await self._say(serving=now)

    async def _say(self, *, serving: bool) -> None:
        if self._ready != serving:
            self._ready = serving
            status = health_pb2.HealthCheckResponse
            await self._set_health(status.SERVING if serving else status.NOT_SERVING)

    async def stop(self, drain_s: float) -> None:
        """Unready, take no new call, end streams, give unary calls `drain_s` to end, then cancel the rest."""
        server, self._server = self._server, None
        if server is None:
            return
        await self.unready()
        self._interceptor.end_streams()
        await server.stop(drain_s)

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for service in ("", *self._services):
            await self._health.set(service, status)


def _credentials(tls_dir: Path, name: str) -> grpc.ServerCredentials:
    key, certificate, ca = read_tls(tls_dir, name)
    return grpc.ssl_server_credentials([(key, certificate)], root_certificates=ca, require_client_auth=True)


def read_tls(tls_dir: Path, name: str) -> tuple[bytes, bytes, bytes]:
    """(private key, certificate, CA certificate) of service `name`, PEM."""
    paths = (key_path(tls_dir, name), certificate_path(tls_dir, name), ca_path(tls_dir))
    try:
        key, certificate, ca = (path.read_bytes() for path in paths)
    except OSError as error:
        message = f"cannot read {error.filename}: {error.strerror}"
        raise FailedPrecondition("TLS_FILES_UNREADABLE", message) from None
    return key, certificate, ca
