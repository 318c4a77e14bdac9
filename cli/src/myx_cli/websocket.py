"""Our end of a WebSocket (RFC 6455), as little of it as a log stream needs.

Own code because of the start-up time of a command line: the websockets library takes longer to import than the whole
rest of `myx run`. Messages arrive in one fixed buffer and are given out as views of it.
"""

import os
from base64 import b64encode
from hashlib import sha1

from myx_cli.api import Client
from myx_cli.errors import Unreachable

TEXT = 1
BINARY = 2
_CONTINUATION, _CLOSE, _PING, _PONG = 0, 8, 9, 10
_WHOLE_BINARY = 0x80 | BINARY
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_BUFFER_BYTES = 1024 * 1024
_MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024
_ROOM_BYTES = 320 * 1024  # one whole frame of a log, whose payload is at most 256 KiB
SILENCE_S = 20.0
_BROKEN = "MyX broke the protocol of the log stream"
_TOO_LARGE = "a message of the log stream is too large"


# Kind (TEXT or BINARY) and payload, which is valid only until the next call of `receive`.
Message = tuple[int, memoryview]


class Closed(Exception):
    """The stream ended; `code` of the close frame, 1006 when there was none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WebSocket:
    """An open stream of messages from MyX. Closed when it ends; a silent peer is asked for a sign of life."""

    def __init__(self, client: Client, path: str, silence_s: float = SILENCE_S) -> None:
        """Opens the stream. ApiError when MyX declines, Unreachable when it does not answer."""
        key = b64encode(os.urandom(16))
        self._sock, headers, early = client.upgrade(
            path,
            {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": key.decode(),
            },
        )
        expected = b64encode(sha1(key + _GUID, usedforsecurity=False).digest()).decode()
        if headers.get("sec-websocket-accept") != expected:
            self._sock.close()
            raise Unreachable("the answer is not one of a WebSocket server; is a proxy between?", maybe_sent=False)
        self._sock.settimeout(silence_s)
        self._buffer = bytearray(_BUFFER_BYTES)
        self._buffer[: len(early)] = early
        self._start = 0
        self._end = len(early)
        self._fragments = bytearray()
        self._fragments_kind = 0
        self._pinged = False
        # Code and reason of the close frame.
        self._closed: tuple[int, str] | None = None

    def close(self) -> None:
        """Ends the connection at once."""
        self._sock.close()

    def receive(self) -> list[Message]:
        """At least one message, and all others that are there already. Closed when the stream has ended."""
        while True:
            messages = self._parse()
            if messages:
                return messages
            if self._closed is not None:
                # A fresh one each time: its traceback leads here, and kept here it would keep the buffer for ever.
                raise Closed(*self._closed)
            self._fill()

    def _fill(self) -> None:
        self._make_room()
        try:
            with memoryview(self._buffer) as view:
                size = self._sock.recv_into(view[self._end :])
        except TimeoutError:
            if self._pinged:
                raise Closed(1006, "MyX has gone silent") from None
            self._pinged = True
            self._send(_PING, b"")
            return
        except OSError:
            raise Closed(1006, "the connection was lost") from None
        if size == 0:
            raise Closed(1006, "the connection was lost")
        self._pinged = False
        self._end += size

    def _make_room(self) -> None:
        held = self._end - self._start
        header = self._header()
        needed = 14 if header is None else header[1] + header[2]
        if held == 0:
            self._start = self._end = 0
        if needed <= _BUFFER_BYTES < len(self._buffer) or needed > len(self._buffer):
            fresh = bytearray(max(needed, _BUFFER_BYTES))
            fresh[:held] = self._buffer[self._start : self._end]
            self._buffer, self._start, self._end = fresh, 0, held
        elif len(self._buffer) - self._start < max(needed, _ROOM_BYTES) or self._end == len(self._buffer):
            self._buffer[:held] = self._buffer[self._start : self._end]
            self._start, self._end = 0, held

    def _header(self) -> tuple[int, int, int] | None:
        """(first byte, bytes of the header, bytes of the payload) of the next frame; None while it is not there."""
        buffer, start = self._buffer, self._start
        held = self._end - start
        if held < 2:
            return None
        first, size = buffer[start], buffer[start + 1]
        if first & 0x70 or size & 0x80:
            raise Closed(1002, _BROKEN)
        if size < 126:
            return first, 2, size
        header = 4 if size == 126 else 10
        if held < header:
            return None
        size = int.from_bytes(buffer[start + 2 : start + header], "big")
        if size > _MESSAGE_LIMIT_BYTES:
            raise Closed(1009, _TOO_LARGE)
        return first, header, size

    def _parse(self) -> list[Message]:
        messages: list[Message] = []
        view = memoryview(self._buffer)
        while self._closed is None and (frame := self._header()) is not None:
            first, header, size = frame
            begin = self._start + header
            if self._end < begin + size:
                break
            self._start = begin + size
            payload = view[begin : begin + size]
            if first == _WHOLE_BINARY and not self._fragments_kind:
                messages.append((BINARY, payload))
                continue
            opcode = first & 0x0F
            if opcode == _PING:
                self._send(_PONG, bytes(payload[:125]))
            elif opcode == _CLOSE:
                self._closed = _close_reason(bytes(payload))
            elif opcode in {TEXT, BINARY, _CONTINUATION}:
                whole = self._whole(first >= 0x80, opcode, payload)
                if whole is not None:
                    messages.append(whole)
            elif opcode != _PONG:
                raise Closed(1002, _BROKEN)
        return messages

    def _whole(self, final: bool, opcode: int, payload: memoryview) -> Message | None:
        """The message that this frame completes."""
        if (opcode == _CONTINUATION) != bool(self._fragments_kind):
            raise Closed(1002, _BROKEN)
        if final and opcode:
            return opcode, payload
        self._fragments_kind = self._fragments_kind or opcode
        self._fragments += payload
        if len(self._fragments) > _MESSAGE_LIMIT_BYTES:
            raise Closed(1009, _TOO_LARGE)
        if not final:
            return None
        kind, fragments = self._fragments_kind, self._fragments
        self._fragments, self._fragments_kind = bytearray(), 0
        return kind, memoryview(fragments)

    def send_text(self, text: str) -> None:
        """Sends one message. Closed when the connection is lost."""
        self._send(TEXT, text.encode())

    def _send(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        stream = int.from_bytes(mask * (size // 4 + 1), "big") >> (8 * (4 - size % 4))
        masked = (int.from_bytes(payload, "big") ^ stream).to_bytes(size, "big")
        try:
            self._sock.sendall(bytes((0x80 | opcode,)) + _masked_size(size) + mask + masked)
        except OSError:
            raise Closed(1006, "the connection was lost") from None


def _masked_size(size: int) -> bytes:
    if size < 126:
        return bytes((0x80 | size,))
    return b"\xfe" + size.to_bytes(2, "big") if size < 65536 else b"\xff" + size.to_bytes(8, "big")


def _close_reason(payload: bytes) -> tuple[int, str]:
    if len(payload) < 2:
        return 1005, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8", "replace")
