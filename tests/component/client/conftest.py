"""A gateway that answers as it is told to, and a client of it."""

import json
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio
from aiohttp import web

from myx_client import Client

TOKEN = "tok-3f9a71c0de"
COMMAND = {
    "id": "c1",
    "status_since": None,
    "deadline_at": None,
    "owner": "",
    "next": "",
    "changes": [{"at": None, "from": "", "to": "pending", "actor": "a", "cause": "accepted", "evidence": ""}],
    "offline": "fail",
    "queue_timeout_s": None,
    "lock": "none",
    "command": "x",
    "args": [],
    "env": {},
    "secret_env_names": [],
    "cwd": "",
    "user": "",
    "timeout_s": None,
    "no_output_timeout_s": None,
    "connect_timeout_s": None,
    "server_id": "s1",
    "server_name": "web-1",
    "agent_id": "a1",
    "status": "success",
    "reason": "",
    "message": "",
    "exit_code": 0,
    "signal": "",
    "created_at": "2026-01-01T00:00:00Z",
    "started_at": None,
    "ended_at": None,
    "cancel_requested_at": None,
    "log_size_bytes": 0,
    "log_completeness": "complete",
    "log_purged_at": None,
    "result": None,
    "attempts": [],
    "requested_by": "token:admin",
    "job_id": "",
    "schedule_id": "",
}


def frame(stream: int, offset: int, data: bytes) -> bytes:
    return struct.pack(">BQ", stream, offset) + data


def job_frame(stream: int, number: int, offset: int, data: bytes) -> bytes:
    return struct.pack(">BIQ", stream, number, offset) + data


def problem(status: int, reason: str, **fields: str) -> web.Response:
    body = {
        "type": f"urn:myx:problem:{reason.lower()}",
        "title": "x",
        "status": status,
        "detail": f"because of {reason}",
        "reason": reason,
        "fields": fields,
        "request_id": "r1",
    }
    return web.json_response(body, status=status, content_type="application/problem+json")


Play = Callable[[web.WebSocketResponse, web.Request], Any]


@dataclass
class Gateway:
    """`answers` are given in turn; `plays` play the WebSockets in turn."""

    url: str = ""
    answers: list[Any] = field(default_factory=list)
    plays: list[Play] = field(default_factory=list)
    requests: list[tuple[web.Request, bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request, await request.read()))
        if request.headers.get("Upgrade") == "websocket" and self.plays and not self.answers:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await self.plays.pop(0)(socket, request)
            await socket.close()
            return socket
        answer = self.answers.pop(0)
        if answer == "drop":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if callable(answer):
            made: web.StreamResponse = await answer(request)
            return made
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

    @property
    def said(self) -> list[str]:
        return [f"{request.method} {request.rel_url}" for request, _ in self.requests]

    def body(self, index: int = -1) -> Any:
        return json.loads(self.requests[index][1])


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    fake = Gateway()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest_asyncio.fixture
async def myx(gateway: Gateway) -> AsyncIterator[Client]:
    async with Client(gateway.url, TOKEN, retry_for_s=5, reconnect_for_s=5) as client:
        yield client
