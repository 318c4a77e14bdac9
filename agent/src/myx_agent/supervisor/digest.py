"""SHA-256 that starts small: OpenSSL's is five times as fast and costs four megabytes, so only long streams load it."""

import os
from typing import Protocol

from myx_agent.spool import index

try:
    from _sha2 import sha256 as _small  # type: ignore[import-not-found]
except ImportError:
    from _sha256 import sha256 as _small  # type: ignore[import-not-found]

LARGE_BYTES = 4 << 20
_PIECE = 1 << 20


class Hash(Protocol):
    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class StreamDigest:
    """The digest of what one stream left in the log. `rehash` reads the log when the fast implementation takes over."""

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self._hash: Hash = _small()
        self._large = False
        self.size = 0

    def update(self, data: memoryview) -> None:
        self._hash.update(data)
        self.size += len(data)

    def grow(self, log_fd: int, index_fd: int, kept: int) -> None:
        """Take over the fast implementation once the stream is long. Call it when log and digest agree."""
        if self._large or self.size < LARGE_BYTES:
            return
        self._large = True
        try:
            from _hashlib import openssl_sha256  # noqa: PLC0415 - see the module's first line
        except ImportError:  # the interpreter's folder may have been replaced under us
            return
        fresh: Hash = openssl_sha256()
        feed(fresh, self._stream, log_fd, index_fd, kept)
        self._hash = fresh

    def restore(self, log_fd: int, index_fd: int, kept: int) -> None:
        """Recompute size and digest from the spool."""
        self.size = feed(self._hash, self._stream, log_fd, index_fd, kept)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def feed(target: Hash, stream: int, log_fd: int, index_fd: int, kept: int) -> int:
    """Feed one stream's bytes below `kept` to `target`, in pieces. Returns how many there were."""
    total = 0
    count = index.record_count(index_fd)
    for number in range(count):
        start, of_stream = index.read_record(index_fd, number)
        if of_stream != stream or start >= kept:
            continue
        end = min(kept, index.read_record(index_fd, number + 1)[0]) if number + 1 < count else kept
        while start < end and (piece := os.pread(log_fd, min(_PIECE, end - start), start)):
            target.update(piece)
            start += len(piece)
            total += len(piece)
    return total


EMPTY = _small().hexdigest()
