"""gRPC channels between our services: mutual TLS, deadlines, retries on UNAVAILABLE, errors as MyxError."""

import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc.aio import AioRpcError, ClientCallDetails, Metadata, UnaryUnaryClientInterceptor

from myx_kit import tracing
from myx_kit.correlation import outgoing
from myx_kit.metrics import RPC_CLIENT_SECONDS
from myx_kit.rpc.server import MAX_MESSAGE_BYTES, read_tls
from myx_kit.rpc.status import error_from
from myx_kit.tracing import Kind

DEFAULT_DEADLINE_S = 10.0

# Every method of ours may be repeated (reads, or by request_id), but for streams of requests: see `open_channel`.
# Of several addresses each call takes the next one that says that it serves: one that hangs or has lost its database
# does not hold its callers.
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
_RETRYING: list[tuple[str, Any]] = [("grpc.service_config", json.dumps(_SERVICE_CONFIG)), ("grpc.enable_retries", 1)]
_ONCE: list[tuple[str, Any]] = [("grpc.enable_retries", 0)]
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A peer that hangs is noticed within 15 s, also by followers that only listen (by default 70 to 80 s).
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # What a stream may send ahead of its reader. The default probes the bandwidth and lets it grow to 16 MB per stream,
    # which a few followers that do not read turn into gigabytes.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 512 << 10),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
]


def open_channel(
    target: str, tls_dir: Path, own_name: str, peer_name: str, *, retries: bool = True
) -> grpc.aio.Channel:
    """A channel to the service `peer_name` at `target` as the service `own_name`; connects when used.

    `target` is "host:port", or several: all addresses of a name ("dns:///executor:7000"), or those that are listed
    ("ipv4:10.0.0.1:7000,10.0.0.2:7000").

    Unary calls get a deadline of 10 s when they name none and raise MyxError; iterate streams inside
    `translate_errors()` and give them a timeout. Close the channel with `await channel.close()`.

    Methods that take a stream of requests need a channel without `retries`: gRPC (seen with 1.85.1) aborts the whole
    process when such a call is written to while it is sent anew ("buffered_call.cc: Check failed: pending == nullptr").
    """
    key, certificate, ca = read_tls(tls_dir, own_name)
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    options = [*_OPTIONS, *(_RETRYING if retries else _ONCE), ("grpc.ssl_target_name_override", peer_name)]
    return grpc.aio.secure_channel(target, credentials, options=options, interceptors=[_UnaryInterceptor(peer_name)])


@contextmanager
def translate_errors(peer: str = "the service") -> Iterator[None]:
    """Raise what gRPC raises inside as MyxError; for streams: `with translate_errors("executor"): async for …`."""
    try:
        yield
    except AioRpcError as failure:
        raise error_from(failure, peer) from None


class _UnaryInterceptor(UnaryUnaryClientInterceptor):
    def __init__(self, peer: str) -> None:
        self._peer = peer

    async def intercept_unary_unary(
        self,
        continuation: Callable[[ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: ClientCallDetails,
        request: Any,
    ) -> Any:
        # A client interceptor is given the method as bytes.
        method = bytes(client_call_details.method).decode()  # type: ignore[arg-type]
        started, code = time.monotonic(), "CANCELLED"
        with tracing.span(method.lstrip("/"), Kind.CLIENT, rpc__system="grpc", peer__service=f"myx-{self._peer}"):
            details = ClientCallDetails(
                client_call_details.method,
                client_call_details.timeout or DEFAULT_DEADLINE_S,
                _told(client_call_details.metadata),
                client_call_details.credentials,
                client_call_details.wait_for_ready,
            )
            try:
                call = await continuation(details, request)
                answer = await call
                code = "OK"
                return answer
            except AioRpcError as failure:
                error = error_from(failure, self._peer)
                code = error.code
                raise error from None
            finally:
                RPC_CLIENT_SECONDS.labels(self._peer, code).observe(time.monotonic() - started)


def _told(metadata: Metadata | None) -> Metadata | None:
    """The metadata of a call with what its task works for."""
    pairs = outgoing()
    return Metadata(*(metadata or ()), *pairs) if pairs else metadata


def stream_metadata() -> Metadata:
    """What the call of a stream is to be given as `metadata`: for which request and in which trace it is made."""
    return Metadata(*outgoing())
