"""A bare client of the agent, with no help of ours: what it can do, anybody's client can."""

import base64
import contextlib
import hashlib
import json
import os
import socket
import ssl
import struct
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from myx_testkit.agent import RealAgent
from myx_testkit.wait import until

HEAD = struct.Struct(">BQ")


class RpcFailure(AssertionError):
    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.code: int = error["code"]
        self.reason: str = error["data"]["reason"]
        self.data: dict[str, Any] = error["data"]


@dataclass
class Log:
    """A log as a follower saw it."""

    frames: list[tuple[int, int, bytes]] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    final: dict[str, Any] | None = None
    close_code: int | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def result(self) -> dict[str, Any]:
        assert self.final is not None, (self.errors, self.close_code)
        return self.final["result"]

    def bytes_of(self, stream: int) -> bytes:
        return b"".join(data for of_stream, _offset, data in self.frames if of_stream == stream)

    @property
    def stdout(self) -> bytes:
        return self.bytes_of(1)

    @property
    def stderr(self) -> bytes:
        return self.bytes_of(2)

    @property
    def text(self) -> bytes:
        return b"".join(data for _stream, _offset, data in self.frames)


class Caller:
    """Calls one agent. Made inside a test's loop by the fixture `call`."""

    # As the fixture `tree` has found.
    has_cgroups = False

    def __init__(self, agent: RealAgent, session: aiohttp.ClientSession) -> None:
        self.agent = agent
        self.session = session
        self.url = f"https://127.0.0.1:{agent.rpc_port}/{agent.rpc_path}"
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE

    async def post(self, body: bytes, **headers: str) -> tuple[int, bytes]:
        headers = {"X-Agent-Token": self.agent.agent_token, "Content-Type": "application/json", **headers}
        for _ in range(2):
            with contextlib.suppress(
                aiohttp.ServerDisconnectedError, aiohttp.ClientOSError
            ):  # of an agent that was restarted
                async with self.session.post(f"{self.url}/rpc", data=body, headers=headers, ssl=self.tls) as response:
                    return response.status, await response.read()
        raise AssertionError("disconnected twice")

    async def batch(self, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        document = [{"jsonrpc": "2.0", "id": n, "method": m, "params": p} for n, (m, p) in enumerate(calls)]
        status, body = await self.post(json.dumps(document).encode())
        assert status == 200, (status, body)
        return json.loads(body)

    async def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        answer = (await self.batch((method, params)))[0]
        if "error" in answer:
            raise RpcFailure(answer["error"])
        return answer["result"]

    async def start(self, *argv: str, **params: Any) -> str:
        """Start a program; its command id."""
        command_id = params.pop("command_id", str(uuid.uuid4()))
        await self("execute_command", command=argv[0], args=list(argv[1:]), command_id=command_id, **params)
        return command_id

    async def run(self, *argv: str, **params: Any) -> Log:
        """Start a program and follow it to its end."""
        return await self.follow(await self.start(*argv, **params))

    @contextlib.asynccontextmanager
    async def stream(self, command_id: str, offset: int | str = 0) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = f"{self.url}/commands/{command_id}/log?offset={offset}"
        headers = {"X-Agent-Token": self.agent.agent_token}
        async with self.session.ws_connect(url, headers=headers, ssl=self.tls, max_msg_size=1 << 20) as websocket:
            yield websocket

    async def follow(
        self, command_id: str, offset: int | str = 0, each: Callable[[Log], None] | None = None, *, keep: bool = True
    ) -> Log:
        """Everything that one connection brings."""
        log = Log()
        async with self.stream(command_id, offset) as websocket:
            async for message in websocket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    stream, at = HEAD.unpack_from(message.data)
                    log.frames.append((stream, at, message.data[HEAD.size :] if keep else b""))
                else:
                    document = json.loads(message.data)
                    match document["type"]:
                        case "gap":
                            log.gaps.append(document)
                        case "final":
                            log.final = document
                        case "error":
                            log.errors.append(document["error"])
                if each is not None:
                    each(log)
            log.close_code = websocket.close_code
        return log

    async def follow_through(self, command_id: str) -> Log:
        """Follow over any number of broken connections, each time from the offset that was reached."""
        whole = Log()
        while whole.final is None:
            offset = whole.frames[-1][1] + len(whole.frames[-1][2]) if whole.frames else 0
            try:
                piece = await self.follow(
                    command_id,
                    offset,
                    lambda log: (
                        whole.frames.append(log.frames[-1])
                        if log.frames and (not whole.frames or log.frames[-1] is not whole.frames[-1])
                        else None
                    ),
                )
            except (aiohttp.ClientError, ConnectionError):
                continue
            whole.final, whole.gaps = piece.final, piece.gaps
        return whole

    async def result(self, command_id: str, timeout_s: float = 20) -> dict[str, Any]:
        """The result, by polling the log's end."""

        async def ended() -> dict[str, Any] | None:
            for entry in (await self("list_commands"))["commands"]:
                if entry["command_id"] == command_id and entry["state"] != "running":
                    return entry
            return None

        entry = await until(ended, timeout_s)
        answer = await self("get_command_log", command_id=command_id, offset=entry["log_size"])
        assert answer["is_final"]
        return answer["result"]

    @property
    def supervisor(self) -> psutil.Process:
        """The process that supervises this agent's commands."""
        for process in psutil.process_iter(["cmdline"]):
            line = process.info["cmdline"] or []
            if (
                len(line) > 3
                and line[-2].endswith("myx_agent/supervisor")
                and self.spool == json.loads(line[-1])["spool"]
            ):
                return process
        raise AssertionError("no supervisor")

    @property
    def spool(self) -> str:
        return self.agent.configuration["spool_dir"]

    def folder(self, command_id: str) -> Path:
        return Path(self.spool) / "commands" / command_id


@contextlib.asynccontextmanager
async def calling(agent: RealAgent) -> AsyncIterator[Caller]:
    sockets: list[socket.socket] = []

    def open_socket(info: Any) -> socket.socket:
        sockets.append(socket.socket(*info[:3]))
        return sockets[-1]

    connector = aiohttp.TCPConnector(limit=0, socket_factory=open_socket)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield Caller(agent, session)
    # aiohttp closes TLS connections behind our back; the loop must see them go.
    await until(lambda: all(one.fileno() < 0 for one in sockets), 5)


def configure(agent: RealAgent, **changes: Any) -> None:
    agent.configuration.update({"require_signature": False, **changes})


@pytest.fixture(scope="module")
def shared_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAgent]:
    agent = RealAgent(tmp_path_factory.mktemp("agent"), require_signature=False, refusal_delay_s=0)
    agent.start()
    yield agent
    agent.close()


@pytest.fixture
async def call(shared_agent: RealAgent) -> AsyncIterator[Caller]:
    """A client of an agent that the module's tests share."""
    async with calling(shared_agent) as caller:
        yield caller


@pytest.fixture
def own_agent(tmp_path: Path) -> Iterator[RealAgent]:
    """An agent of this test alone, not started yet: it may be configured, killed and started again."""
    agent = RealAgent(tmp_path / "agent", require_signature=False)
    yield agent
    agent.close()


@pytest.fixture
async def own(own_agent: RealAgent) -> AsyncIterator[Caller]:
    """A client of `own_agent`, which is running."""
    own_agent.start()
    async with calling(own_agent) as caller:
        yield caller


@pytest.fixture(params=["cgroup", "no-cgroup"])
async def tree(request: pytest.FixtureRequest, own_agent: RealAgent) -> AsyncIterator[Caller]:
    """A client of an agent that can, or cannot, use cgroups."""
    own_agent.configuration["use_cgroups"] = request.param == "cgroup"
    own_agent.start()
    async with calling(own_agent) as caller:
        caller.has_cgroups = "cgroup" in (await caller("get_status"))["capabilities"]
        if request.param == "cgroup" and not caller.has_cgroups:
            pytest.skip("no cgroup can be made here")
        yield caller


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def is_alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture
def tools() -> Any:
    """Helpers for test modules (conftest is no importable module)."""

    class Tools:
        RpcFailure = RpcFailure
        calling = staticmethod(calling)
        sha256 = staticmethod(sha256)
        b64 = staticmethod(b64)
        is_alive = staticmethod(is_alive)
        is_root = os.geteuid() == 0

    return Tools
