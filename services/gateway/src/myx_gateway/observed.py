"""Around everything else: each request gets its id and its place in a trace, and is counted by its operation."""

import time
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myx_kit import correlation, tracing
from myx_kit.tracing import Kind

REQUESTS = Counter("myx_gateway_requests", "Requests by operation and status of the answer", ["operation", "status"])
REQUEST_S = Histogram(
    "myx_gateway_request_seconds",
    "Time until a request is answered whole; streams are not in it",
    ["operation"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
OPEN_STREAMS = Gauge("myx_gateway_open_streams", "Streams, downloads and uploads that are open")
STREAM_LIMIT = Gauge("myx_gateway_stream_limit", "Streams, downloads and uploads that may be open")
REFUSED_LOGINS = Counter(
    "myx_gateway_refused_logins", "Logins that were refused: wrong, or too many before", ["reason"]
)
AUDIT_ENTRIES = Counter("myx_gateway_audit_entries", "Entries that were added to the audit trail")
STALLED_STREAMS = Counter("myx_gateway_stalled_streams", "Streams that were closed because the client took nothing")

# Paths that belong to no operation: files of the dashboard, probes, and what is not there.
_NO_OPERATION: Final = "none"
_LOGIN: Final = "session.create"
_REFUSALS: Final = {401: "wrong", 429: "throttled"}
_HEADS: Final = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})


class Observed:
    """Wraps the door. What it says of a request is bounded: names of operations, never a path or an address."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request_id = correlation.choose_request_id(_header(scope, b"x-request-id"))
        correlation.enter(request_id, _header(scope, tracing.HEADER.encode()))
        scope.setdefault("state", {})["request_id"] = request_id
        verb = scope.get("method", "WEBSOCKET")
        status, streams = 0, scope["type"] == "websocket"

        async def noting(message: Message) -> None:
            nonlocal status, streams
            if message["type"] in _HEADS:
                status = message.get("status", 101)
                streams = streams or _streams(message)
            await send(message)

        started = time.monotonic()
        facts = {"http.request.method": verb, "myx.request_id": request_id}
        with tracing.span(verb, Kind.SERVER, begins=True, **facts) as span:
            correlation.note_trace()
            try:
                await self._app(scope, receive, noting)
            finally:
                operation = operation_of(scope)
                REQUESTS.labels(operation, str(status)).inc()
                if operation == _LOGIN and status in _REFUSALS:
                    REFUSED_LOGINS.labels(_REFUSALS[status]).inc()
                if not streams:
                    REQUEST_S.labels(operation).observe(time.monotonic() - started)
                span.rename(operation)
                span.set("myx.operation", operation)
                span.set("http.response.status_code", status)


def operation_of(scope: Scope) -> str:
    """The name of the operation that a routed request is of."""
    route = scope.get("route")
    name: Any = getattr(route, "operation_id", None)
    if isinstance(name, str) and name:
        return name
    return "streams" if scope["type"] == "websocket" and "endpoint" in scope else _NO_OPERATION


def _streams(head: Message) -> bool:
    """Whether the answer lasts as long as its client likes, or as what is sent is large."""
    kinds = [value for key, value in head.get("headers", ()) if key.lower() == b"content-type"]
    return any(kind.startswith((b"text/event-stream", b"application/octet-stream")) for kind in kinds)


def _header(scope: Scope, name: bytes) -> str:
    value: bytes = next((value for key, value in scope["headers"] if key == name), b"")
    return value.decode("latin-1")
