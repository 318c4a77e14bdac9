"""The log of a command as a WebSocket stream (CONTRACTS.md, "Log stream")."""

import asyncio
import contextlib
import struct
import time
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from myx_agent.jsonrpc import RpcError, invalid_param
from myx_agent.methods import Methods, beyond_end
from myx_agent.playbooks import is_play
from myx_agent.spool import layout
from myx_agent.spool.events import EventReader
from myx_agent.spool.reader import LogReader
from myx_agent.spool.watch import Watches

FRAME_BYTES = 256 * 1024
_HEAD = struct.Struct(">BQ")
_IDLE_S = 3600.0
_ASK_S = 5.0  # so often the supervisor is asked whether a silent command has an end that the spool could not take


class LogStream:
    """Serves one follower per call; a slow one is held back by its own socket and keeps one frame in memory."""

    def __init__(self, methods: Methods, watches: Watches) -> None:
        self._methods = methods
        self._watches = watches
        self._stopping = asyncio.Event()
        self._all_closed = asyncio.Event()
        self._open = 0

    async def stop(self, timeout_s: float) -> None:
        """End all streams with 1012: the followers come back with their offsets. Waits until they are told."""
        self._stopping.set()
        if self._open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._all_closed.wait()

    async def serve(self, websocket: WebSocket, command_id: str, offset_text: str, seq_text: str = "0") -> None:
        """Accept, send the log from the offset on and the events after `seq`, close."""
        self._open += 1
        try:
            await self._serve(websocket, command_id, offset_text, seq_text)
        finally:
            self._open -= 1
            if not self._open and self._stopping.is_set():
                self._all_closed.set()

    async def _serve(self, websocket: WebSocket, command_id: str, offset_text: str, seq_text: str) -> None:
        await websocket.accept()
        try:
            offset, seq = _parse_count("offset", offset_text), _parse_count("seq", seq_text)
            log = self._methods.open_log(command_id)
        except RpcError as error:
            await _refuse(websocket, error)
            return
        folder = self._methods.folder(command_id)
        with log, EventReader(folder) as reader:
            events = _Events(reader, seq) if is_play(folder) else None
            following = self._follow(websocket, log, offset, events)
            follower = asyncio.create_task(following, name=f"follow {command_id}")
            watchers = [
                asyncio.create_task(_until_disconnect(websocket), name="disconnect"),
                asyncio.create_task(self._stopping.wait(), name="stopping"),
            ]
            try:
                await asyncio.wait([follower, *watchers], return_when=asyncio.FIRST_COMPLETED)
                if follower.done():
                    await _report(websocket, follower)
                elif self._stopping.is_set():
                    await websocket.close(1012)
                    await watchers[0]  # the follower's own close, so that it does not run into a closed connection
            except (WebSocketDisconnect, RuntimeError):
                pass  # the follower's connection went first
            finally:
                for task in (follower, *watchers):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError, RpcError):
                        await task

    async def _follow(self, websocket: WebSocket, log: LogReader, offset: int, events: "_Events | None") -> None:
        if (sent := await self._send_available(websocket, log, offset, events)) is None:
            return
        # The events' file may not be there yet: its folder tells of all that is written in it.
        folder = self._methods.folder(log.command_id)
        with self._watches.watch(folder if events else folder / layout.LOG) as waiter:
            ask_at = time.monotonic() + _ASK_S
            while sent is not None:
                waiter.clear()
                before = sent, events and events.seq
                sent = await self._send_available(websocket, log, sent, events)
                if before != (sent, events and events.seq):
                    continue
                await waiter.wait(_IDLE_S)
                if time.monotonic() >= ask_at:
                    ask_at = time.monotonic() + _ASK_S
                    await self._methods.learn_end(log)

    async def _send_available(
        self, websocket: WebSocket, log: LogReader, offset: int, events: "_Events | None"
    ) -> int | None:
        """Send what is there; the new offset, or None after the final frame."""
        final = log.final()
        size = log.size() if final is None else final.kept
        while (run := log.read(offset, FRAME_BYTES, size)) is not None:
            await websocket.send_bytes(_HEAD.pack(run.stream, offset) + run.data)
            offset += len(run.data)
            if events is not None:
                await events.send(websocket)
        if events is not None:
            await events.send(websocket)
        if final is None:
            if offset > size:
                raise beyond_end(size)
            return offset
        if final.gap is not None and final.gap["from"] <= offset < final.gap["to"]:
            await _send_text(websocket, {"type": "gap", **final.gap, "from": offset})
            offset = final.gap["to"]
        if offset != final.end:
            raise beyond_end(final.end)
        result = self._methods.result_of(log.command_id, final)
        await _send_text(websocket, {"type": "final", "offset": offset, "result": result})
        return None


class _Events:
    """The events of a play on their way to one follower."""

    def __init__(self, reader: EventReader, seq: int) -> None:
        self._reader = reader
        self.seq = seq

    async def send(self, websocket: WebSocket) -> None:
        while found := self._reader.after(self.seq, FRAME_BYTES):
            for seq, event in found:
                await _send_text(websocket, {"type": "event", "seq": seq, "event": event})
                self.seq = seq


async def _report(websocket: WebSocket, follower: asyncio.Task[None]) -> None:
    error = follower.exception()
    if error is None:
        await websocket.close(1000)
    elif isinstance(error, RpcError):
        await _refuse(websocket, error, accepted=True)
    else:
        raise error


async def _refuse(websocket: WebSocket, error: RpcError, *, accepted: bool = True) -> None:
    await _send_text(websocket, {"type": "error", "error": error.as_dict()})
    await websocket.close(1008)


async def _send_text(websocket: WebSocket, document: dict[str, Any]) -> None:
    await websocket.send_text(msgspec.json.encode(document).decode())


async def _until_disconnect(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def _parse_count(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise invalid_param(name, "must be a whole number, not negative")
    return int(text)
