"""What is counted and noted around every request."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from myx_gateway.observed import Observed
from myx_gateway.streams.book import StreamBook
from myx_gateway.streams.outlet import ClientStalledError, Outlet, Patience
from myx_kit import correlation, tracing


class Route:
    def __init__(self, operation_id):
        self.operation_id = operation_id


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def scope(kind="http", headers=(), **more):
    return {"type": kind, "method": "POST", "path": "/secret/path", "headers": list(headers), **more}


def app(status=200, operation="commands.run", content_type=b"application/json", seen=None):
    async def answer(scope, receive, send):
        if operation:
            scope["route"] = Route(operation)
        if seen is not None:
            seen.append((scope["state"]["request_id"], correlation.request_id(), tracing.traceparent()))
        head = "websocket.accept" if scope["type"] == "websocket" else "http.response.start"
        message = {"type": head, "headers": [(b"content-type", content_type)]}
        await send(message if scope["type"] == "websocket" else {**message, "status": status})

    return answer


async def call(wrapped, scope):
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    await Observed(wrapped)(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    ("wrapped", "kind", "operation", "status", "is_timed"),
    [
        (app(201), "http", "commands.run", "201", True),
        (app(200, "logs", b"text/event-stream; charset=utf-8"), "http", "logs", "200", False),
        (app(200, "artifacts.get", b"application/octet-stream"), "http", "artifacts.get", "200", False),
        (app(404, ""), "http", "none", "404", True),
        (app(101, "logs.follow"), "websocket", "logs.follow", "101", False),
    ],
)
async def test_requests_are_counted_by_operation_and_streams_are_not_timed(wrapped, kind, operation, status, is_timed):
    counted = value("myx_gateway_requests_total", operation=operation, status=status)
    timed = value("myx_gateway_request_seconds_count", operation=operation)
    await call(wrapped, scope(kind))
    assert value("myx_gateway_requests_total", operation=operation, status=status) == counted + 1
    assert value("myx_gateway_request_seconds_count", operation=operation) == timed + is_timed


@pytest.mark.parametrize(("status", "reason"), [(401, "wrong"), (429, "throttled")])
async def test_refused_logins_are_counted(status, reason):
    before = value("myx_gateway_refused_logins_total", reason=reason)
    await call(app(status, "session.create"), scope())
    await call(app(status, "users.list"), scope())
    await call(app(200, "session.create"), scope())
    assert value("myx_gateway_refused_logins_total", reason=reason) == before + 1


async def test_the_request_works_under_the_callers_id_and_in_its_trace():
    seen = []
    header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await call(app(seen=seen), scope(headers=[(b"x-request-id", b"mine"), (b"traceparent", header.encode())]))
    await call(app(seen=seen), scope(headers=[(b"x-request-id", b"not mine"), (b"traceparent", b"nonsense")]))
    assert seen[0] == ("mine", "mine", header)
    assert seen[1][0] == seen[1][1] != "not mine"
    assert seen[1][2] == ""


async def test_an_error_that_comes_through_is_counted_too():
    async def broken(scope, receive, send):
        raise OSError

    before = value("myx_gateway_requests_total", operation="none", status="0")
    with pytest.raises(OSError):
        await call(broken, scope())
    assert value("myx_gateway_requests_total", operation="none", status="0") == before + 1


async def test_a_client_that_takes_nothing_is_counted():
    async def never(_message):
        await asyncio.Event().wait()

    before = value("myx_gateway_stalled_streams_total")
    outlet = Outlet(scope(), never, never, Patience(stall_s=0.01, ping_s=10))
    with pytest.raises(ClientStalledError):
        await outlet.send({"type": "http.response.body"})
    assert value("myx_gateway_stalled_streams_total") == before + 1
    assert len(StreamBook(1, 1)) == 0
