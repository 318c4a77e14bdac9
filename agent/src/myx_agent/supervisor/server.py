"""The supervisor's door: a Unix SEQPACKET socket, one JSON document a packet, descriptors beside it.

Requests: {"op": "start"} + memfd of the specification (+ memfd of stdin) ·
{"op": "cancel", "id", "grace_s", "forbid"?} · {"op": "release", "id"} · {"op": "status"} ·
{"op": "end", "id"}: the end that the spool could not take, if there is one ·
{"op": "reaped", "pid", "status"} · {"op": "replace", "argv"} · {"op": "quit"}.
Answers: {"ok": {…}} or {"error": {"reason", "message"}}.

The agent at the other end may be of an older or a newer release. So nothing here changes its meaning: requests,
members of a specification and of the handover are only added, what is not known is ignored, what is missing has a
default; "status" and "replace" are for ever.
"""

import array
import contextlib
import json
import os
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any

from myx_agent.spool import layout
from myx_agent.supervisor.loop import Loop
from myx_agent.supervisor.service import Refused, Service

PACKET_BYTES = 1 << 16
MAX_CONNECTIONS = 16


def listen(spool: str) -> socket.socket:
    """Bind the socket by a short path: a Unix address holds 108 bytes, a spool's path may be longer."""
    folder = os.open(spool, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        path = f"/proc/self/fd/{folder}/{layout.SOCKET}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        listener.bind(path)
        os.chmod(path, 0o600)  # noqa: PTH101
        listener.listen(MAX_CONNECTIONS)
    finally:
        os.close(folder)
    return listener


class Door:
    """Accepts connections of our own user and answers requests one by one."""

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        service: Service,
        identity: dict[str, Any],
        replace: Callable[[list[str]], None],
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._service = service
        self._identity = identity
        self._replace = replace
        self._connections: dict[int, socket.socket] = {}
        self._after: Callable[[], None] | None = None
        loop.add(listener.fileno(), lambda _events: self._accept())

    @property
    def is_used(self) -> bool:
        """An agent is connected."""
        return bool(self._connections)

    def _accept(self) -> None:
        connection, _address = self._listener.accept()
        connection.setblocking(False)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _pid, uid, _gid = struct.unpack("3i", credentials)
        if uid not in {0, os.geteuid()} or len(self._connections) >= MAX_CONNECTIONS:
            connection.close()
            return
        self._connections[connection.fileno()] = connection
        self._loop.add(connection.fileno(), lambda _events: self._receive(connection))

    def _receive(self, connection: socket.socket) -> None:
        fds: list[int] = []
        try:
            packet, ancillary, _flags, _address = connection.recvmsg(PACKET_BYTES, socket.CMSG_SPACE(4 * 4))
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    received = array.array("i")
                    received.frombytes(data[: len(data) - len(data) % received.itemsize])
                    fds += received
            for fd in fds:
                os.set_inheritable(fd, False)
            if not packet:
                self._drop(connection)
                return
            connection.send(json.dumps(self._answer(packet, fds)).encode())
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
        finally:
            for fd in fds:
                os.close(fd)
        after, self._after = self._after, None
        if after is not None:
            after()

    def _answer(self, packet: bytes, fds: list[int]) -> dict[str, Any]:
        try:
            return {"ok": self._handle(json.loads(packet), fds)}
        except Refused as refusal:
            return {"error": {"reason": refusal.reason, "message": refusal.message}}
        except Exception:  # noqa: BLE001 - the agent gets an answer, the bounded log file the traceback
            traceback.print_exc(file=sys.stderr)
            return {"error": {"reason": "SUPERVISOR_FAILED", "message": "the supervisor failed at this request"}}

    def _handle(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        match request["op"]:
            case "start":
                spec = json.loads(os.pread(fds[0], os.fstat(fds[0]).st_size, 0))
                return self._service.start(spec, fds[1] if len(fds) > 1 else None)
            case "cancel":
                return self._service.cancel(request["id"], request["grace_s"], forbid=request.get("forbid", False))
            case "release":
                self._service.release(request["id"])
            case "end":
                return {"end": self._service.unsaid.get(request["id"])}
            case "status":
                return self._service.status() | self._identity
            case "reaped":
                self._service.told_status(request["pid"], request["status"])
            case "replace":
                self._after = lambda: self._replace(request["argv"])
            case "quit":
                if not self._service.is_idle:
                    raise Refused("COMMAND_RUNNING", "commands are still running")
                self._after = self._loop.stop
            case _:
                raise Refused("UNKNOWN_REQUEST", "no such request")
        return {}

    def _drop(self, connection: socket.socket) -> None:
        if self._connections.pop(connection.fileno(), None) is not None:
            self._loop.remove(connection.fileno())
        connection.close()
