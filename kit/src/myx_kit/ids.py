"""Ids: UUID version 7 (RFC 9562), so that rows and indexes grow in the order of creation."""

import os
import re
import threading
import time
from uuid import UUID

from myx_kit.errors import InvalidArgument

_CANONICAL = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_COUNTER_MAX = 0xFFF


class _Clock:
    """Milliseconds and a 12-bit counter that never go back within the process (RFC 9562, 6.2, method 1)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = 0
        self._counter = 0

    def next(self) -> tuple[int, int]:
        with self._lock:
            now_ms = time.time_ns() // 1_000_000
            if now_ms > self._ms:
                # Starting in the lower half leaves room to count up within the millisecond.
                self._ms, self._counter = now_ms, int.from_bytes(os.urandom(2)) & 0x7FF
            elif self._counter < _COUNTER_MAX:
                self._counter += 1
            else:
                self._ms, self._counter = self._ms + 1, 0
            return self._ms, self._counter


_clock = _Clock()


def new_id() -> UUID:
    """A new UUIDv7, greater than every one made before it in this process."""
    ms, counter = _clock.next()
    random_bits = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    return UUID(int=(ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | random_bits)


def parse_id(text: str, field: str = "id") -> UUID:
    """The UUID written as `text` in the canonical form of 36 characters; InvalidArgument `ID_INVALID` otherwise."""
    if not _CANONICAL.fullmatch(text):
        raise InvalidArgument("ID_INVALID", f"{field} is not a UUID", field=field)
    return UUID(text)
