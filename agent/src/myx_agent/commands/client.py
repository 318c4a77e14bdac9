"""Packets between agent and supervisor, on the agent's side."""

import array
import asyncio
import contextlib
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from myx_agent.spool import layout

_PACKET_BYTES = 1 << 18


class SupervisorAway(Exception):
    """The supervisor does not answer; the request may or may not have reached it."""


class ConnectionClosed(SupervisorAway):
    """The supervisor ended. As every request may be repeated, it can be asked again of the next one."""


class SupervisorError(Exception):
    """The supervisor refused; `reason` is one of the protocol's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def connect(spool: Path) -> socket.socket:
    """A connected socket, blocking. Raises OSError when nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    folder = -1
    try:
        folder = os.open(spool, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        connection.connect(f"/proc/self/fd/{folder}/{layout.SOCKET}")
    except OSError:
        connection.close()
        raise
    finally:
        if folder >= 0:
            os.close(folder)
    return connection


def send(connection: socket.socket, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    connection.sendmsg([json.dumps(request).encode()], rights)


def unpack(packet: bytes) -> dict[str, Any]:
    """The answer in a packet. Raises SupervisorError."""
    answer = json.loads(packet)
    if "error" in answer:
        raise SupervisorError(answer["error"]["reason"], answer["error"]["message"])
    result: dict[str, Any] = answer["ok"]
    return result


class Connection:
    """A connection in the agent's loop. Answers come in the order of the requests."""

    def __init__(self, connection: socket.socket, on_lost: Callable[[], None]) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._on_lost = on_lost
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection.fileno(), self._on_readable)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.peer_pid: int = struct.unpack("3i", credentials)[0]
        self.open = True
        self.closed = asyncio.Event()

    async def call(self, request: dict[str, Any], fds: Sequence[int] = (), timeout_s: float = 10) -> dict[str, Any]:
        """Raises SupervisorAway, SupervisorError."""
        if not self.open:
            raise ConnectionClosed("closed")
        future: asyncio.Future[bytes] = self._loop.create_future()
        try:
            send(self._socket, request, fds)
        except OSError as error:
            self.close()
            raise ConnectionClosed(str(error)) from None
        self._waiting.append(future)
        try:
            async with asyncio.timeout(timeout_s):
                return unpack(await asyncio.shield(future))
        except TimeoutError:
            self.close()
            raise SupervisorAway("no answer in time") from None

    def close(self) -> None:
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        for future in self._waiting:
            if not future.done():
                future.set_exception(ConnectionClosed("closed"))
                future.exception()  # nobody may wait any more
        self._waiting.clear()
        self.closed.set()
        self._on_lost()

    def _on_readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                packet = self._socket.recv(_PACKET_BYTES)
            except ConnectionError:
                packet = b""
            if not packet:
                self.close()
            elif self._waiting:
                future = self._waiting.popleft()
                if not future.done():
                    future.set_result(packet)
