"""Ansible's way to the host that MyX has a connection to: it asks the executor, through pipes; it holds no credential.

Each call makes two named pipes beside the door, writes their name into the door, and speaks in frames:
4 bytes length, 1 byte kind, then that many bytes. To the executor: R (request, JSON), I (input), E (end of input);
from it: O (output), X (errors), Q (the end, JSON). No socket is needed: in the sandbox there are none.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

DOCUMENTATION = """
name: myx
short_description: the managed host, over the SSH connection of MyX
description:
  - Runs commands and moves files as root over a connection that the executor of MyX holds.
author: MyX
version_added: "1.0"
options:
  door:
    description: folder where the executor listens
    type: path
    required: true
    vars:
      - name: ansible_myx_socket
"""

_HEAD = struct.Struct(">IB")
_PIECE = 32 * 1024
_OPEN_S = 30.0
_GONE = "the executor of MyX no longer answers"

display = Display()


class Connection(ConnectionBase):  # type: ignore[misc]
    """One host, as root."""

    transport = "myx"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        out, err = bytearray(), bytearray()
        end = self._call({"op": "exec", "command": cmd}, _pieces(in_data or b""), out.extend, err.extend)
        return int(end["code"]), bytes(out), bytes(err)

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        try:
            with open(in_path, "rb") as file:  # noqa: PTH123
                source = iter(lambda: file.read(_PIECE), b"")
                self._moved({"op": "put", "path": out_path}, source, _dropped)
        except OSError as error:
            raise AnsibleError(f"{in_path} cannot be read: {error}") from error

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        try:
            with open(out_path, "wb") as file:  # noqa: PTH123
                self._moved({"op": "fetch", "path": in_path}, iter(()), file.write)
        except OSError as error:
            raise AnsibleError(f"{out_path} cannot be written: {error}") from error

    def close(self) -> None:
        self._connected = False

    def reset(self) -> None:
        self.close()

    def _moved(self, request: dict[str, str], source: Iterator[bytes], sink: Callable[[bytes], object]) -> None:
        errors = bytearray()
        end = self._call(request, source, sink, errors.extend)
        if end["code"] != 0:
            raise AnsibleError(
                f"{request['op']} of {request['path']} failed: {errors.decode(errors='replace').strip()}"
            )

    def _call(
        self,
        request: dict[str, str],
        source: Iterator[bytes],
        on_out: Callable[[bytes], object],
        on_err: Callable[[bytes], object],
    ) -> dict[str, Any]:
        display.vvv(f"{request['op']} {request.get('path', '')}")
        try:
            call = _Call(str(self.get_option("door")))
        except OSError as error:
            raise AnsibleConnectionFailure(_GONE) from error
        try:
            end = call.exchange(request, source, on_out, on_err)
        except OSError as error:
            raise AnsibleConnectionFailure(_GONE) from error
        finally:
            call.close()
        if end.get("error"):
            raise AnsibleConnectionFailure(str(end["error"]))
        return end


class _Call:
    """Two pipes to the executor."""

    def __init__(self, door: str) -> None:
        name = secrets.token_hex(16)
        self._paths = [f"{door}/{name}.in", f"{door}/{name}.out"]
        self._in = self._out = -1
        self._buffer = bytearray()
        try:
            for path in self._paths:
                os.mkfifo(path, 0o600)
            # Opened first: the executor opens the other end when it has the request.
            self._out = os.open(self._paths[1], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            entry = os.open(f"{door}/door", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(entry, f"{name}\n".encode())
            finally:
                os.close(entry)
            self._in = self._opened(self._paths[0])
        except OSError:
            self.close()
            raise

    def exchange(
        self,
        request: dict[str, str],
        source: Iterator[bytes],
        on_out: Callable[[bytes], object],
        on_err: Callable[[bytes], object],
    ) -> dict[str, Any]:
        pending = bytearray(_frame(b"R", json.dumps(request).encode()))
        more = True
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        poll.register(self._in, select.POLLOUT)
        while True:
            for fd, _ in poll.poll():
                if fd == self._in:
                    more = self._send(pending, source, more=more)
                    if not pending and not more:
                        poll.unregister(self._in)
                    continue
                for kind, data in self._receive():
                    if kind == b"Q":
                        return dict(json.loads(data))
                    (on_out if kind == b"O" else on_err)(data)

    def close(self) -> None:
        for fd in (self._in, self._out):
            if fd >= 0:
                os.close(fd)
        self._in = self._out = -1
        for path in self._paths:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108

    def _send(self, pending: bytearray, source: Iterator[bytes], *, more: bool) -> bool:
        if not pending and more:
            piece = next(source, None)
            pending += _frame(b"E", b"") if piece is None else _frame(b"I", piece)
            more = piece is not None
        try:
            del pending[: os.write(self._in, pending)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            # The command has ended without reading on; how, comes the other way.
            pending.clear()
            return False
        return more

    def _receive(self) -> Iterator[tuple[bytes, bytes]]:
        try:
            data = os.read(self._out, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            raise BrokenPipeError(_GONE)
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            length, kind = _HEAD.unpack_from(self._buffer)
            end = _HEAD.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEAD.size : end])
            del self._buffer[:end]
            yield bytes([kind]), payload

    @staticmethod
    def _opened(path: str) -> int:
        """Opens the executor's end for writing once it reads there."""
        deadline = time.monotonic() + _OPEN_S
        while True:
            try:
                return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.002)


def _frame(kind: bytes, data: bytes) -> bytes:
    return _HEAD.pack(len(data), kind[0]) + data


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))


def _dropped(_data: bytes) -> None:
    pass
