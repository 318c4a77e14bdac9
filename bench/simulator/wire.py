"""HTTP/1.1 as the control plane speaks it to agents, and WebSocket frames: no more than a fleet's agents need."""

import asyncio
import base64
import hashlib
import random
import struct
from typing import cast

import msgspec

from bench.simulator.agent import Agent
from bench.simulator.commands import Command
from myx_agent.jsonrpc import RpcError
from myx_agent.methods import beyond_end

FRAME_BYTES = 256 * 1024
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEAD = struct.Struct(">BQ")
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_REASONS = {200: b"OK", 204: b"No Content", 400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found"}
_MAX_HEAD = 16 * 1024
_CLOSE_S = 5.0


class Connection(asyncio.Protocol):
    """One TLS connection: requests one after the other, or a log stream once it was asked for."""

    __slots__ = ("_agent", "_busy", "_rest", "_stream", "_transport")

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._busy = False
        self._stream: Stream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """One of the agent's from now on."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._agent.connections.add(self)
        if self._agent.behaviour.frozen:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._transport = None
        self._agent.connections.discard(self)
        if self._stream is not None:
            self._stream.close()

    def cut(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def freeze(self, frozen: bool) -> None:
        """Look no more at what comes, or again."""
        if self._transport is not None:
            (self._transport.pause_reading if frozen else self._transport.resume_reading)()

    def data_received(self, data: bytes) -> None:
        """More of a request, or a frame of the client."""
        self._agent.shared.counts.bytes_in += len(data)
        if self._stream is not None:
            self._stream.feed(data)
            return
        self._rest = self._rest + data if self._rest else data
        self._next()

    def pause_writing(self) -> None:
        """The client is slow."""
        if self._stream is not None:
            self._stream.pause()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._stream is not None:
            self._stream.resume()

    def send(self, data: bytes) -> None:
        """Write, unless it is gone."""
        if self._transport is not None:
            self._agent.shared.counts.bytes_out += len(data)
            self._transport.write(data)

    def finish(self) -> None:
        """Close after what was written."""
        if self._transport is not None:
            self._transport.close()

    def _next(self) -> None:
        while self._rest and not self._busy and self._stream is None:
            head_end = self._rest.find(b"\r\n\r\n")
            if head_end < 0:
                if len(self._rest) > _MAX_HEAD:
                    self.cut()
                return
            line, _, fields = self._rest[:head_end].partition(b"\r\n")
            headers = {}
            for one in fields.split(b"\r\n"):
                name, _, value = one.partition(b":")
                headers[name.lower()] = value.strip()
            end = head_end + 4 + int(headers.get(b"content-length", b"0"))
            if len(self._rest) < end:
                return
            body, self._rest = self._rest[head_end + 4 : end], self._rest[end:]
            self._request(line.split(b" "), headers, body)

    def _request(self, line: list[bytes], headers: dict[bytes, bytes], body: bytes) -> None:
        agent, counts = self._agent, self._agent.shared.counts
        counts.requests += 1
        if len(line) != 3 or agent.behaviour.mute:
            self._busy = True
            return
        method, target, _version = line
        signature = headers.get(b"x-agent-signature", b"")
        status, text = agent.admits(method, target, headers.get(b"x-agent-token", b""), signature, body)
        if status != 200:
            counts.refused += 1
            self._answer_soon(status, text)
        elif target == agent.rpc_path:
            if method != b"POST":
                self._answer_soon(404, b"")
                return
            if b'"heartbeat"' in body:
                counts.heartbeats += 1
                agent.note_check()
            self._busy = True
            agent.methods.handle(body, lambda answer: self._answer_soon(204 if answer is None else 200, answer or b""))
        elif b"sec-websocket-key" in headers:
            self._open_stream(target, headers[b"sec-websocket-key"])
        else:
            self._answer_soon(404, b"")

    def _answer_soon(self, status: int, body: bytes) -> None:
        behaviour = self._agent.behaviour
        self._busy = True
        if behaviour.drop_replies and random.random() < behaviour.drop_replies:
            self.cut()
        elif behaviour.slow_s:
            asyncio.get_running_loop().call_later(behaviour.slow_s, self._answer, status, body)
        else:
            self._answer(status, body)

    def _answer(self, status: int, body: bytes) -> None:
        kind = b"content-type: application/json\r\n" if body else b""
        reason = _REASONS.get(status, b"Status")
        self.send(
            b"HTTP/1.1 %d %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, reason, kind, len(body), body)
            if status != 204
            else b"HTTP/1.1 204 No Content\r\n\r\n"
        )
        self._busy = False
        self._next()

    def _open_stream(self, target: bytes, key: bytes) -> None:
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        self.send(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            b"sec-websocket-accept: %b\r\n\r\n" % accept
        )
        self._agent.shared.counts.streams += 1
        command_id, offset = self._agent.log_of(target)
        self._stream = Stream(self)
        if self._rest:
            rest, self._rest = self._rest, b""
            self._stream.feed(rest)
        try:
            self._stream.follow(self._agent.methods.command(command_id), offset)
        except RpcError as error:
            self._stream.refuse(error)


class Stream:
    """The log of one command to one follower (CONTRACTS.md, "Log stream")."""

    __slots__ = ("_closing", "_command", "_connection", "_offset", "_paused", "_rest")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._command: Command | None = None
        self._offset = 0
        self._paused = False
        self._closing = False
        self._rest = b""

    def follow(self, command: Command, offset: int) -> None:
        """Send what there is, and what comes. RpcError -32003."""
        if offset > command.size:
            raise beyond_end(command.size)
        self._command, self._offset = command, offset
        command.watchers.add(self._on_news)
        self._on_news()

    def refuse(self, error: RpcError) -> None:
        """An error frame, and the end."""
        self._send_text({"type": "error", "error": error.as_dict()})
        self._say_goodbye(1008)

    def close(self) -> None:
        """The connection is gone."""
        if self._command is not None:
            self._command.watchers.discard(self._on_news)
            self._command = None

    def pause(self) -> None:
        """The follower is slow."""
        self._paused = True

    def resume(self) -> None:
        """It reads again."""
        self._paused = False
        self._on_news()

    def feed(self, data: bytes) -> None:
        """Frames of the client: pings are answered, a close is taken."""
        self._rest += data
        while (frame := _client_frame(self._rest)) is not None:
            opcode, payload, length = frame
            self._rest = self._rest[length:]
            if opcode == _PING:
                self._connection.send(_frame(_PONG, payload))
            elif opcode == _CLOSE:
                if not self._closing:
                    self._connection.send(_frame(_CLOSE, payload[:2]))
                self._connection.finish()

    def _on_news(self) -> None:
        command = self._command
        if command is None or self._paused or self._closing:
            return
        while not self._paused and (run := command.read(self._offset, FRAME_BYTES)) is not None:
            stream, data = run
            self._connection.send(_frame(_BINARY, _HEAD.pack(stream, self._offset) + data))
            self._offset += len(data)
        if command.result is not None and self._offset == command.size:
            self._send_text({"type": "final", "offset": self._offset, "result": command.result})
            self._say_goodbye(1000)

    def _send_text(self, document: object) -> None:
        self._connection.send(_frame(_TEXT, msgspec.json.encode(document)))

    def _say_goodbye(self, code: int) -> None:
        self._closing = True
        self._connection.send(_frame(_CLOSE, struct.pack(">H", code)))
        asyncio.get_running_loop().call_later(_CLOSE_S, self._connection.cut)
        self.close()


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack(">BBQ", 0x80 | opcode, 127, size) + payload


def _client_frame(data: bytes) -> tuple[int, bytes, int] | None:
    """(opcode, payload, bytes of it all) of the first frame; None while it is not whole. Clients send small ones."""
    if len(data) < 6:
        return None
    size = data[1] & 0x7F
    end = 6 + size
    if size >= 126 or len(data) < end:
        return None
    mask = data[2:6]
    payload = bytes(byte ^ mask[number % 4] for number, byte in enumerate(data[6:end]))
    return data[0] & 0x0F, payload, end
