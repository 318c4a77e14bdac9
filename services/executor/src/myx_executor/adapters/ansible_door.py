"""The executor's end of the connection plugin `myx`: what a play asks for is done on its session."""

import asyncio
import json
import os
import re
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from myx_executor.adapters.ansible_pipes import Pipe
from myx_executor.adapters.ssh_process import RemoteProcess
from myx_executor.adapters.ssh_session import SshSession
from myx_executor.domain.ssh import SessionLost, SshError
from myx_kit.agent_rpc.wire import json_value

_HEAD = struct.Struct(">IB")
_NAME = re.compile(rb"[0-9a-f]{32}")
_MAX_FRAME = 1 << 20
_MAX_CALLS = 64
_REQUEST_S = 30.0
_PIECE = 32 * 1024

_PUT = 'umask 077; cat >"$1"'
_FETCH = 'exec cat <"$1"'


class PlayDoor:
    """Serves one play in a private folder, until close()."""

    def __init__(self, session: SshSession, folder: Path) -> None:
        self._session = session
        self._folder = folder
        self._door: Pipe | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Task[None] | None = None
        self.lost: SshError | None = None
        # How long what is broken off on the host may take over its end.
        self.grace_s = 0.0

    def open(self) -> None:
        """From now on plays may call."""
        self._folder.mkdir(mode=0o700)
        os.mkfifo(self._folder / "door", 0o600)
        # Open for writing too: so it never ends.
        self._door = Pipe.open(str(self._folder / "door"), os.O_RDWR)
        self._listener = asyncio.create_task(self._listen(self._door))

    async def close(self) -> None:
        """Ends what runs on the host for the play."""
        tasks = [*self._calls, *([self._listener] if self._listener else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._door is not None:
            self._door.close()

    async def _listen(self, door: Pipe) -> None:
        rest = b""
        while True:
            *names, rest = (rest + await door.read(4096)).split(b"\n")
            rest = rest[-64:]
            for name in names:
                if _NAME.fullmatch(name) and len(self._calls) < _MAX_CALLS:
                    task = asyncio.create_task(self._call(name.decode()))
                    self._calls.add(task)
                    task.add_done_callback(self._calls.discard)

    async def _call(self, name: str) -> None:
        paths = [str(self._folder / f"{name}.{end}") for end in ("in", "out")]
        pipes: list[Pipe] = []
        try:
            pipes.append(Pipe.open(paths[0], os.O_RDONLY))
            async with asyncio.timeout(_REQUEST_S):
                kind, data = await _frame(pipes[0])
            # The play opened its end before it asked.
            pipes.append(Pipe.open(paths[1], os.O_WRONLY))
            await self._answer(json_value(data) if kind == b"R" else {}, *pipes)
        except (OSError, EOFError, ValueError, TimeoutError):
            # The play's side is gone, or talks nonsense; it hears nothing more.
            return
        finally:
            for path in paths:
                with suppress(OSError):
                    os.unlink(path)  # noqa: PTH108
            for pipe in pipes:
                pipe.close()

    async def _answer(self, request: Any, source: Pipe, sink: Pipe) -> None:
        argv = _argv(request)
        try:
            async with self._session.process(argv) as process:
                try:
                    end = await _served(process, source, sink)
                finally:
                    process.grace_s = self.grace_s
        except SshError as error:
            if isinstance(error, SessionLost):
                self.lost = self.lost or error
            end = {"error": error.sentence}
        await _send(sink, b"Q", json.dumps(end).encode())


async def _served(process: RemoteProcess, source: Pipe, sink: Pipe) -> dict[str, Any]:
    feeder = asyncio.create_task(_feed(process, source))
    pumps = asyncio.create_task(_pumped(process, sink))
    try:
        await asyncio.wait([feeder, pumps], return_when=asyncio.FIRST_COMPLETED)
        if not pumps.done():
            # The play's side went away: leaving kills the command.
            await feeder
        await pumps
        code, _signal = await process.wait()
    finally:
        feeder.cancel()
        pumps.cancel()
        await asyncio.gather(feeder, pumps, return_exceptions=True)
    return {"code": code}


async def _feed(process: RemoteProcess, source: Pipe) -> None:
    """Runs until the play's side is gone. EOFError then."""
    while True:
        kind, data = await _frame(source)
        if kind == b"I":
            await process.write(data)
        elif kind == b"E":
            process.write_eof()


async def _pumped(process: RemoteProcess, sink: Pipe) -> None:
    await asyncio.gather(_pump(process, "stdout", sink, b"O"), _pump(process, "stderr", sink, b"X"))


async def _pump(process: RemoteProcess, stream: str, sink: Pipe, kind: bytes) -> None:
    while data := await process.read(stream, _PIECE):
        await _send(sink, kind, data)


async def _frame(source: Pipe) -> tuple[bytes, bytes]:
    length, kind = _HEAD.unpack(await source.read_exactly(_HEAD.size))
    if length > _MAX_FRAME:
        raise ValueError
    return bytes([kind]), await source.read_exactly(length)


async def _send(sink: Pipe, kind: bytes, data: bytes) -> None:
    await sink.write(_HEAD.pack(len(data), kind[0]) + data)


def _argv(request: Any) -> list[str]:
    """What is run on the host. ValueError for a request that makes no sense."""
    match request:
        case {"op": "exec", "command": str(command)}:
            return ["/bin/sh", "-c", command]
        case {"op": "put", "path": str(path)}:
            return ["/bin/sh", "-c", _PUT, "sh", path]
        case {"op": "fetch", "path": str(path)}:
            return ["/bin/sh", "-c", _FETCH, "sh", path]
        case _:
            raise ValueError
