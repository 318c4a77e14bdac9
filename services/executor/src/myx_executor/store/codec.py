"""Pieces as stored and as sent to other replicas: zstd level 1 where it helps, and one binary form."""

import struct
from dataclasses import dataclass

import zstandard

from myx_executor.domain.log import PIECE_BYTES, Piece

RAW, ZSTD = 0, 1
KIND_BYTES, KIND_GAP = "bytes", "gap"

# Below this a frame header eats the gain; above, compressed data must be at least an eighth smaller.
_MIN_COMPRESS = 512
_HEAD = struct.Struct(">BBQQI")
_VERSION = 1


@dataclass(frozen=True, slots=True)
class StoredPiece:
    """One row of `command_log`. `data` is None for a gap; `encoding` is RAW or ZSTD."""

    offset: int
    length: int
    encoding: int
    segments: bytes
    data: bytes | None
    gap_reason: str | None = None

    @property
    def kind(self) -> str:
        """Value of the column `kind`."""
        return KIND_BYTES if self.gap_reason is None else KIND_GAP


def encode(piece: Piece) -> StoredPiece:
    """The row of a piece. Thread safe, so that large pieces can be compressed beside the event loop."""
    if piece.gap_reason is not None:
        return StoredPiece(piece.offset, piece.length, RAW, b"", None, piece.gap_reason)
    if piece.length >= _MIN_COMPRESS:
        packed = zstandard.ZstdCompressor(level=1).compress(piece.data)
        if len(packed) < piece.length - piece.length // 8:
            return StoredPiece(piece.offset, piece.length, ZSTD, piece.segments, packed)
    return StoredPiece(piece.offset, piece.length, RAW, piece.segments, piece.data)


def decode(row: StoredPiece) -> Piece:
    """The piece of a row. ValueError when the data is not what the row says."""
    if row.gap_reason is not None:
        return Piece(row.offset, row.length, gap_reason=row.gap_reason)
    data = row.data or b""
    if row.encoding == ZSTD:
        try:
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=max(row.length, PIECE_BYTES))
        except zstandard.ZstdError as error:
            raise ValueError("a stored piece cannot be decompressed") from error
    if len(data) != row.length:
        raise ValueError("a stored piece has not its length")
    return Piece(row.offset, row.length, data, row.segments)


def to_message(row: StoredPiece) -> bytes:
    """The piece as a live message: version, encoding (255: gap), offset, length, size of segments, segments, data."""
    if row.gap_reason is not None:
        return _HEAD.pack(_VERSION, 255, row.offset, row.length, 0) + row.gap_reason.encode()
    head = _HEAD.pack(_VERSION, row.encoding, row.offset, row.length, len(row.segments))
    return b"".join((head, row.segments, row.data or b""))


def final_message(log_size: int) -> bytes:
    """Says that the command is final: encoding 254, offset = size of the log."""
    return _HEAD.pack(_VERSION, 254, log_size, 0, 0)


def from_message(message: bytes) -> Piece | int | None:
    """A piece, or the size of the log when the command is final; None for what a newer replica may have sent."""
    if len(message) < _HEAD.size:
        return None
    version, encoding, offset, length, size = _HEAD.unpack_from(message)
    if version != _VERSION:
        return None
    if encoding == 254:
        return int(offset)
    body = message[_HEAD.size :]
    if encoding == 255:
        return Piece(offset, length, gap_reason=body.decode(errors="replace"))
    try:
        return decode(StoredPiece(offset, length, encoding, body[:size], body[size:]))
    except ValueError:
        return None
