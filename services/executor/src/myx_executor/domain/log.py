"""Pieces of a log: runs of bytes of the two streams in the order in which they came, addressed by offset."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

STDOUT = 1
STDERR = 2

# A piece fits one message to a follower and one frame of the gateway.
PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class LogBytes:
    """Bytes of one stream as the agent sent them; `stream` is STDOUT or STDERR."""

    stream: int
    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """Offset behind the last byte."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class LogGap:
    """Offsets that hold no bytes, and why."""

    offset: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class LogEnd:
    """The end of a log with the agent's result as it came."""

    offset: int
    result: dict[str, object]


LogItem = LogBytes | LogGap | LogEnd


@dataclass(frozen=True, slots=True)
class Piece:
    """A stored step of a log: bytes with their packed runs, or a gap (then `gap_reason` is set and `data` is empty)."""

    offset: int
    length: int
    data: bytes = b""
    segments: bytes = b""
    gap_reason: str | None = None

    @property
    def end(self) -> int:
        """Offset behind the piece."""
        return self.offset + self.length

    def runs(self) -> Iterator[LogBytes]:
        """Each run of one stream, with its offset."""
        position = 0
        for stream, length in unpack_segments(self.segments):
            whole = length == len(self.data)
            yield LogBytes(
                stream, self.offset + position, self.data if whole else self.data[position : position + length]
            )
            position += length


def pack_segments(runs: Iterable[tuple[int, int]]) -> bytes:
    """Runs of (stream, length) as LEB128 numbers `length << 1 | stream - 1`; neighbours of one stream are joined."""
    out = bytearray()
    last_stream, total = 0, 0
    for stream, length in runs:
        if stream == last_stream or not length:
            total += length
            continue
        _put(out, last_stream, total)
        last_stream, total = stream, length
    _put(out, last_stream, total)
    return bytes(out)


def _put(out: bytearray, stream: int, length: int) -> None:
    if not length:
        return
    number = length << 1 | (stream - 1)
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def unpack_segments(packed: bytes) -> Iterator[tuple[int, int]]:
    """Runs of (stream, length); ValueError when a number is cut off."""
    number, shift = 0, 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield (number & 1) + 1, number >> 1
            number, shift = 0, 0
    if shift:
        raise ValueError("packed segments are cut off")


def gather(items: Iterable[LogBytes | LogGap], limit: int = PIECE_BYTES) -> list[Piece]:
    """Items that follow each other as few pieces of at most `limit` bytes (gaps: of any length)."""
    pieces: list[Piece] = []
    chunks: list[bytes] = []
    runs: list[tuple[int, int]] = []
    start, size = 0, 0

    def close() -> None:
        nonlocal size
        if size:
            pieces.append(Piece(start, size, chunks[0] if len(chunks) == 1 else b"".join(chunks), pack_segments(runs)))
            chunks.clear()
            runs.clear()
            size = 0

    for item in items:
        if isinstance(item, LogGap):
            close()
            pieces.append(Piece(item.offset, item.end - item.offset, gap_reason=item.reason))
            continue
        data, offset = item.data, item.offset
        while data:
            if not size:
                start = offset
            part = data[: limit - size]
            chunks.append(part)
            runs.append((item.stream, len(part)))
            size += len(part)
            offset += len(part)
            data = data[len(part) :]
            if size == limit:
                close()
    close()
    return pieces


def cut(piece: Piece, offset: int) -> Piece | None:
    """The part of a piece from `offset` on; None when the piece ends before or at it."""
    if offset <= piece.offset:
        return piece
    skip = offset - piece.offset
    if skip >= piece.length:
        return None
    if piece.gap_reason is not None:
        return Piece(offset, piece.length - skip, gap_reason=piece.gap_reason)
    runs: list[tuple[int, int]] = []
    left = skip
    for stream, length in unpack_segments(piece.segments):
        if left >= length:
            left -= length
            continue
        runs.append((stream, length - left))
        left = 0
    return Piece(offset, piece.length - skip, piece.data[skip:], pack_segments(runs))
