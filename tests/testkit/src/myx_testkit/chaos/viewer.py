"""A program that uses the public API of several gateways: calls that are repeated, and viewers of logs."""

import asyncio
import json
import random
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp

HEAD = struct.Struct("!BQ")
FINAL = frozenset({"success", "failed", "timeout", "cancelled", "lost", "unknown", "skipped"})
TRY_S = 15.0
PAUSE_S = 0.1
AWAY = frozenset({408, 429, 502, 503, 504})
_BROKEN = (aiohttp.ClientError, OSError, TimeoutError)


class Refused(AssertionError):
    """The API said no, and not merely that it cannot now."""

    def __init__(self, request: str, status: int, problem: Any) -> None:
        super().__init__(f"{request}: {status} {json.dumps(problem)}")
        self.status, self.problem = status, problem


class Api:
    """`async with Api(ports, token) as api`: each try goes to a gateway chosen at random."""

    def __init__(self, ports: Sequence[int], token: str, seed: int = 0) -> None:
        self._ports, self._random = list(ports), random.Random(seed)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._session: aiohttp.ClientSession | None = None
        self.retries = 0

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session."""
        assert self._session is not None
        return self._session

    def base(self) -> str:
        """The address of some gateway."""
        return f"http://127.0.0.1:{self._random.choice(self._ports)}/api/v1"

    async def call(
        self, method: str, path: str, body: object = None, *, key: str = "", within_s: float = 120, try_s: float = TRY_S
    ) -> Any:
        """The decoded answer, however often it takes; Refused: an answer that will not change."""
        deadline = time.monotonic() + within_s
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            try:
                async with (
                    asyncio.timeout(try_s),
                    self.session.request(method, self.base() + path, json=body, headers=headers) as response,
                ):
                    document = await response.json(content_type=None)
                if response.status < 300:
                    return document
                failure: Exception = Refused(f"{method} {path}", response.status, document)
                if response.status not in AWAY:
                    raise failure
            except _BROKEN as error:
                failure = error
            self.retries += 1
            if time.monotonic() > deadline:
                raise AssertionError(f"{method} {path} not within {within_s} s") from failure
            await asyncio.sleep(PAUSE_S * self._random.uniform(0.5, 1.5))

    async def run(self, key: str, server: str, *argv: str, **fields: Any) -> str:
        """The id of a command; repeated under its key until it is accepted."""
        body = {"server": server, "command": argv[0], "args": list(argv[1:]), **fields}
        return str((await self.call("POST", "/commands", body, key=key))["id"])

    async def get(self, command_id: str) -> dict[str, Any]:
        """The command now."""
        found: dict[str, Any] = await self.call("GET", f"/commands/{command_id}")
        return found

    async def cancel(self, command_id: str, grace_s: float) -> dict[str, Any]:
        """Ask for a command's end."""
        found: dict[str, Any] = await self.call("POST", f"/commands/{command_id}/cancel", {"grace_s": grace_s})
        return found

    async def final(self, command_id: str, within_s: float = 60) -> dict[str, Any]:
        """The command when it is final."""
        deadline = time.monotonic() + within_s
        while (command := await self.get(command_id))["status"] not in FINAL:
            assert time.monotonic() < deadline, f"not final within {within_s} s: {json.dumps(command, indent=1)}"
            await asyncio.sleep(PAUSE_S)
        return command


@dataclass
class Viewer:
    """Watches one log to its end through the WebSocket, coming back with its offset whenever that breaks."""

    api: Api
    command_id: str
    within_s: float = 180
    position: int = 0
    output: dict[int, bytearray] = field(default_factory=lambda: {1: bytearray(), 2: bytearray()})
    gaps: list[dict[str, Any]] = field(default_factory=list)
    final: dict[str, Any] = field(default_factory=dict)
    reconnects: int = 0
    longest_pause_s: float = 0.0
    why: list[str] = field(default_factory=list)
    _seen_at: float = field(default_factory=time.monotonic)

    async def watch(self) -> Self:
        """Itself at the final message. AssertionError: a gap, a repeat, or not in time."""
        deadline = time.monotonic() + self.within_s
        while not self.final:
            assert time.monotonic() < deadline, f"no end within {self.within_s} s at {self.position}: {self.why[-5:]}"
            try:
                await self._connection(deadline)
            except _BROKEN as error:
                self.why.append(f"{type(error).__name__} {error}")
            if not self.final:
                self.reconnects += 1
                await asyncio.sleep(PAUSE_S)
        return self

    async def _connection(self, deadline: float) -> None:
        address = f"{self.api.base()}/commands/{self.command_id}/log/stream?offset={self.position}"
        # As a browser or proxy that has a limit of its own: a stream that says nothing, no ping either, is left.
        async with (
            asyncio.timeout(deadline - time.monotonic()),
            self.api.session.ws_connect(address, max_msg_size=0) as stream,
        ):
            while True:
                message = await stream.receive(20)
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._take(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    self._read(json.loads(message.data))
                else:
                    self.why.append(f"closed {stream.close_code} {message.extra}")
                    return

    def _take(self, message: bytes) -> None:
        stream, offset = HEAD.unpack_from(message)
        assert not self.final, "something came after the end"
        assert offset == self.position, f"at {self.position} came {offset}"
        data = message[HEAD.size :]
        assert data
        self.output[stream] += data
        self.position += len(data)
        self._lively()

    def _read(self, document: dict[str, Any]) -> None:
        if document["type"] == "gap":
            assert document["from"] == self.position
            self.gaps.append(document)
            self.position = document["to"]
        elif document["type"] == "final":
            assert document["offset"] == self.position
            self.final = document["command"]
        if document["type"] != "ping":
            self._lively()

    def _lively(self) -> None:
        now = time.monotonic()
        self.longest_pause_s = max(self.longest_pause_s, now - self._seen_at)
        self._seen_at = now
