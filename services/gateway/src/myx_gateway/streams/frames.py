"""Log steps as they go to clients: WebSocket messages and server-sent events."""

import base64
import json
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from myx.executor.v1 import command_pb2

# Payload of one binary message (CONTRACTS: frames).
MAX_PAYLOAD_BYTES: Final = 256 * 1024
_HEAD: Final = struct.Struct("!BQ")
_STREAM_NAME: Final = {command_pb2.LOG_STREAM_STDOUT: "stdout", command_pb2.LOG_STREAM_STDERR: "stderr"}

Piece = tuple[int, int, bytes]


def pieces(frames: Iterable[command_pb2.LogFrame]) -> Iterator[Piece]:
    """(stream, offset, data) of frames in offset order: neighbours of one stream joined, big ones cut at 256 KiB."""
    stream, offset, size, parts = 0, 0, 0, list[bytes]()
    for frame in frames:
        data = frame.data
        if parts and (frame.stream != stream or frame.offset != offset + size or size + len(data) > MAX_PAYLOAD_BYTES):
            yield from _cut(stream, offset, parts)
            parts = []
        if not parts:
            stream, offset, size = frame.stream, frame.offset, 0
        parts.append(data)
        size += len(data)
    if parts:
        yield from _cut(stream, offset, parts)


def _cut(stream: int, offset: int, parts: list[bytes]) -> Iterator[Piece]:
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    for start in range(0, len(data), MAX_PAYLOAD_BYTES):
        yield stream, offset + start, data[start : start + MAX_PAYLOAD_BYTES]


def binary_message(piece: Piece) -> bytes:
    """The WebSocket message: 1 byte stream (1 stdout, 2 stderr), 8 bytes big-endian offset, payload."""
    stream, offset, data = piece
    return _HEAD.pack(stream, offset) + data


def gap_text(gap: command_pb2.LogGap) -> str:
    """The text message of a gap."""
    return json.dumps({"type": "gap", "from": gap.from_offset, "to": gap.to_offset, "reason": gap.reason})


def final_text(offset: int, word: str, document: str) -> str:
    """The text message of the end; `document` is the JSON of the `word` (`command` or `deployment`)."""
    return f'{{"type": "final", "offset": {offset}, "{word}": {document}}}'


PING_TEXT: Final = '{"type": "ping"}'
PING_EVENT: Final = b": ping\n\n"


def stream_name(stream: int) -> str:
    """`stdout` or `stderr`."""
    return _STREAM_NAME[command_pb2.LogStream.ValueType(stream)]


def log_event(piece: Piece) -> bytes:
    """The `log` event; its id is the offset behind the data, where `Last-Event-ID` resumes."""
    stream, offset, data = piece
    return b'id: %d\nevent: log\ndata: {"stream": "%b", "offset": %d, "data": "%b"}\n\n' % (
        offset + len(data),
        stream_name(stream).encode(),
        offset,
        base64.b64encode(data),
    )


def gap_event(gap: command_pb2.LogGap) -> bytes:
    """The `gap` event."""
    text = json.dumps({"from": gap.from_offset, "to": gap.to_offset, "reason": gap.reason})
    return b"id: %d\nevent: gap\ndata: %b\n\n" % (gap.to_offset, text.encode())


def final_event(offset: int, word: str, document: str) -> bytes:
    """The `final` event."""
    text = f'{{"offset": {offset}, "{word}": {document}}}'
    return b"id: %d\nevent: final\ndata: %b\n\n" % (offset, text.encode())


def close_reason(text: str) -> str:
    """`text` cut to what a close frame holds (123 bytes)."""
    return text.encode()[:123].decode(errors="ignore")
