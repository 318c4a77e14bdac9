"""A small gateway of sockets only, that can be told to misbehave, and the `myx` command in real processes."""

import asyncio
import json
import os
import re
import ssl
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cli_fake_access import COOKIES, FakeAccess
from cli_fake_jobs import FakeJobs, problem

TOKEN = "tok-3f9a71c0de"
SERVER = {
    "id": "0190-server",
    "name": "local",
    "address": "127.0.0.1",
    "labels": {"env": "test"},
    "created_at": "2026-01-01T00:00:00Z",
    "agent": {
        "status": "online",
        "status_since": "2025-12-31T00:00:00Z",
        "version": "0.1.0",
        "last_heartbeat": "2026-01-01T00:00:00Z",
    },
}


def frame(stream: int, offset: int, data: bytes) -> bytes:
    """A binary message of the log stream (CONTRACTS)."""
    return bytes([stream]) + offset.to_bytes(8, "big") + data


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Stream:
    """The server's end of one log stream."""

    def __init__(
        self, gateway: "FakeGateway", writer: asyncio.StreamWriter, command: dict[str, Any], offset: int
    ) -> None:
        self.gateway = gateway
        self.writer = writer
        self.command = command
        self.offset = offset

    async def message(self, opcode: int, payload: bytes, final: bool = True) -> None:
        size = len(payload)
        head = bytes([(0x80 if final else 0) | opcode])
        head += (
            bytes([size])
            if size < 126
            else (b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x7f" + size.to_bytes(8, "big"))
        )
        self.writer.write(head)
        self.writer.write(payload)
        await self.writer.drain()

    async def data(self, stream: int, data: bytes) -> None:
        await self.message(2, frame(stream, self.offset, data))
        self.offset += len(data)

    async def text(self, document: dict[str, Any]) -> None:
        await self.message(1, json.dumps(document).encode())

    async def gap(self, size: int, reason: str) -> None:
        await self.text({"type": "gap", "from": self.offset, "to": self.offset + size, "reason": reason})
        self.offset += size

    async def final(self, **changes: Any) -> None:
        self.command.update({"status": "success", "exit_code": 0, "reason": "", **changes})
        self.command["log_completeness"] = changes.get("log_completeness", "complete")
        await self.text({"type": "final", "offset": self.offset, "command": self.command})
        await self.close(1000, "")

    async def close(self, code: int, reason: str) -> None:
        await self.message(8, code.to_bytes(2, "big") + reason.encode())

    def drop(self) -> None:
        self.writer.transport.abort()

    async def cancelled(self) -> None:
        await asyncio.wait_for(self.gateway.cancel_events[self.command["id"]].wait(), 20)


Script = Callable[[Stream], Any]
Answer = tuple[int, Any]


@dataclass
class FakeGateway:
    """`script` plays every log stream that is opened; an entry of `answers` replaces the answer to one request."""

    url: str = ""
    script: Script | None = None
    requests: list[Request] = field(default_factory=list)
    answers: list[tuple[str, Answer | str]] = field(default_factory=list)
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    cancel_events: dict[str, asyncio.Event] = field(default_factory=dict)
    streams: list[int] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    server: asyncio.Server | None = None
    jobs: FakeJobs = field(init=False)
    access: FakeAccess = field(default_factory=FakeAccess)
    events: Any = None

    def __post_init__(self) -> None:
        self.jobs = FakeJobs(self)

    def posts(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.method == "POST" and re.fullmatch(path, request.path)]

    def add_command(self, **facts: Any) -> dict[str, Any]:
        command = {
            "id": f"0190-command-{len(self.commands)}",
            "server_id": SERVER["id"],
            "server_name": "local",
            "command": "x",
            "args": [],
            "env": {},
            "secret_env_names": [],
            "status": "running",
            "created_at": "2026-01-01T00:00:00Z",
            "exit_code": None,
            "log_size_bytes": 0,
            "log_completeness": "open",
            **facts,
        }
        self.commands[command["id"]] = command
        self.cancel_events[command["id"]] = asyncio.Event()
        return command

    async def listen(self, port: int = 0) -> None:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", port, limit=32 * 1024 * 1024)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    def listen_tls(self, context: ssl.SSLContext) -> None:
        """Changes over to https, on another port."""

        async def change() -> None:
            assert self.server is not None
            self.server.close()
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=context)
            self.url = f"https://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

        asyncio.run_coroutine_threadsafe(change(), self.loop).result(30)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
                while await self.one(reader, writer):
                    pass
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *lines = head.split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in lines if item)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        parts = urlsplit(target)
        request = Request(method, parts.path.removeprefix("/api/v1"), parse_qs(parts.query), headers, body)
        self.requests.append(request)
        answer = self.replaced(request)
        if answer == "drop":
            writer.transport.abort()
            return False
        if answer == "hang":
            await reader.read()
            return False
        if answer is None and headers.get("upgrade") == "websocket" and self.authorized(request):
            await self.stream(request, reader, writer)
            return False
        if answer == "act and drop":
            self.answer(request)
            writer.transport.abort()
            return False
        status, document = self.answer(request) if answer is None or isinstance(answer, str) else answer
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        cookies = COOKIES if (method, request.path, status) == ("POST", "/session", 200) else ""
        writer.write(f"HTTP/1.1 {status} X\r\n{cookies}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()
        return True

    def replaced(self, request: Request) -> Answer | str | None:
        for index, (pattern, answer) in enumerate(self.answers):
            if re.fullmatch(pattern, f"{request.method} {request.path}"):
                del self.answers[index]
                return answer
        return None

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {TOKEN}" or self.access.knows(request)

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) == ("POST", "/session"):
            return self.access.log_in(request)
        if not self.authorized(request):
            return problem(401, "UNAUTHENTICATED", "who are you")
        known = self.jobs.answer(request) or self.access.answer(request)
        if known is not None:
            return known
        route = (request.method, *request.path.strip("/").split("/"))
        match route:
            case ("POST", "commands"):
                return self.create(request)
            case ("GET", "commands"):
                return 200, {"items": list(self.commands.values()), "next_page_token": None}
            case ("GET", "commands", id_) if id_ in self.commands:
                return 200, self.commands[id_]
            case ("POST", "commands", id_, "cancel") if id_ in self.commands:
                self.cancel_events[id_].set()
                return 202, self.commands[id_]
            case ("GET", "servers"):
                if "page_token" in request.query:
                    return 200, {"items": [{**SERVER, "name": "other"}], "next_page_token": None}
                return 200, {"items": [SERVER], "next_page_token": "more"}
            case ("GET", "servers", "local" | "other" | "third" | "0190-server"):
                return 200, SERVER
            case ("GET", "servers", name):
                return problem(404, "SERVER_NOT_FOUND", f"there is no server {name}")
            case ("GET", "status"):
                return 200, {
                    "version": "0.1.0",
                    "services": {"registry": "ok", "executor": "ok"},
                    "servers": {"online": 1},
                }
        return problem(404, "COMMAND_NOT_FOUND", "there is no such command")

    def create(self, request: Request) -> Answer:
        content = request.json()
        if content["server"] not in {"local", "other", "third"}:
            return problem(404, "SERVER_NOT_FOUND", f"there is no server {content['server']}")
        key = request.headers["idempotency-key"]
        if key not in self.keys:
            self.keys[key] = self.add_command(
                server_name=content["server"], command=content["command"], args=content["args"]
            )["id"]
        return 201, self.commands[self.keys[key]]

    async def stream(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = request.headers["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = b64encode(sha1(key).digest()).decode()
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        offset = int(request.query.get("offset", ["0"])[0])
        if request.path == "/events":
            await self.events(request, Stream(self, writer, {}, 0), reader)
            return
        if request.path.startswith("/jobs/"):
            await self.jobs.play(request, Stream(self, writer, {}, 0), reader)
            return
        if self.jobs.logs.get(request.path.split("/")[2]) is not None:
            stream = Stream(self, writer, self.commands[request.path.split("/")[2]], offset)
            await self.jobs.replay(stream.command["id"], stream)
            return
        self.streams.append(offset)
        command = self.commands[request.path.split("/")[2]]
        assert self.script is not None
        await self.script(Stream(self, writer, command, offset))
        if writer.can_write_eof():
            # Closing while a pong is on its way would reset the connection and take with it what was sent last.
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 20)


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    fake = FakeGateway()
    thread = threading.Thread(target=fake.loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(fake.listen(), fake.loop).result(30)
    yield fake

    async def stop() -> None:
        assert fake.server is not None
        fake.server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)

    asyncio.run_coroutine_threadsafe(stop(), fake.loop).result(30)
    fake.loop.call_soon_threadsafe(fake.loop.stop)
    thread.join(30)
    fake.loop.close()


class Myx:
    """Starts `myx` with a clean environment that points at the fake gateway."""

    def __init__(self, url: str, home: Path) -> None:
        path = os.environ.get("PATH", "")
        self.env = {
            "PATH": path,
            "HOME": str(home),
            "MYX_URL": url,
            "MYX_TOKEN": TOKEN,
            "MYX_DEBUG": "1",
            "TERM": "xterm",
        }
        self.cwd = home
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str | bytes, **options: Any) -> subprocess.Popen[bytes]:
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        environment = {**self.env, **options.pop("env", {})}
        command = [sys.executable, "-m", "myx_cli", *arguments]
        process = subprocess.Popen(command, env=environment, cwd=self.cwd, **options)
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.kill()
                process.wait(5)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def __call__(
        self, *arguments: str | bytes, given: bytes | None = None, **options: Any
    ) -> subprocess.CompletedProcess[bytes]:
        if given is not None:
            options["stdin"] = subprocess.PIPE
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(given, timeout=30)
        assert b"Traceback" not in (err or b""), err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture
def myx(gateway: FakeGateway, tmp_path: Path) -> Iterator[Myx]:
    command = Myx(gateway.url, tmp_path)
    yield command
    command.close()
