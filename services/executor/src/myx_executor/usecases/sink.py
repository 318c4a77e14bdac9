"""Fetching and storing overlap: whatever arrives while one write runs becomes the next one."""

import asyncio
from collections import deque
from dataclasses import dataclass

from myx_executor.domain.log import LogBytes, LogGap, Piece, gather
from myx_executor.usecases.ledger import Ledger

# Raw bytes of one write, and what may wait for it.
WRITE_BYTES = 1024 * 1024
_WAITING_BYTES = 2 * 1024 * 1024
_WAITING_UNDER_PRESSURE = 128 * 1024
# What an item costs beside its bytes.
_OVERHEAD = 200
_FARTHEST = 1 << 62


@dataclass(slots=True)
class Pressure:
    """Bytes that wait in all sinks of the process; beyond `limit` each sink keeps little."""

    limit: int = 64 * 1024 * 1024
    waiting: int = 0

    @property
    def allowance(self) -> int:
        """Bytes that one sink may let wait now."""
        return _WAITING_BYTES if self.waiting < self.limit else _WAITING_UNDER_PRESSURE


class OutOfStep(Exception):
    """An item does not begin where the last one ended, or has no sensible end."""


class LogSink:
    """Takes items of one log in order and stores them (`run`); feeding waits while too much is not stored."""

    def __init__(self, ledger: Ledger, pressure: Pressure) -> None:
        self.received = ledger.size
        self._ledger = ledger
        self._pressure = pressure
        self._items: deque[LogBytes | LogGap] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._ending = False

    async def feed(self, item: LogBytes | LogGap) -> None:
        """One more item; OutOfStep when it does not begin at `received`."""
        if item.offset != self.received or not item.offset < item.end <= _FARTHEST:
            raise OutOfStep
        size = _weight(item)
        while self._items and self._bytes + size > self._pressure.allowance:
            self._room.clear()
            await self._room.wait()
        self._items.append(item)
        self._count(size)
        self.received = item.end
        self._news.set()

    def end(self) -> None:
        """Nothing more comes: the writer stops when what is left fits one write."""
        self._ending = True
        self._news.set()

    def rest(self) -> list[Piece]:
        """What the writer left, for the last write; call it when `run` has returned."""
        pieces: list[Piece] = []
        while self._items:
            pieces += gather(self._take())
        return pieces

    async def run(self) -> None:
        """Writes until `end`."""
        while not (self._ending and self._bytes <= WRITE_BYTES // 2):
            if not self._items:
                self._news.clear()
                await self._news.wait()
                continue
            await self._ledger.append(gather(self._take()))

    def discard(self) -> None:
        """Forgets what waits; for a writer that was stopped."""
        self._items.clear()
        self._count(-self._bytes)

    def _take(self) -> list[LogBytes | LogGap]:
        taken: list[LogBytes | LogGap] = []
        size = 0
        while self._items:
            item = self._items[0]
            length = _weight(item)
            if taken and size + length > WRITE_BYTES:
                break
            taken.append(self._items.popleft())
            size += length
            if isinstance(item, LogGap):
                break
        self._count(-size)
        self._room.set()
        return taken

    def _count(self, size: int) -> None:
        self._bytes += size
        self._pressure.waiting += size


def _weight(item: LogBytes | LogGap) -> int:
    return _OVERHEAD + (len(item.data) if isinstance(item, LogBytes) else 0)
