"""Fetching and storing overlap: whatever arrives while one write runs becomes the next one."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from myx_executor.domain.log import LogBytes, LogGap, Piece, gather
from myx_executor.usecases.ledger import Ledger
from myx_executor.usecases.metrics import STORE_LAG_S

# Raw bytes of one write, and what may wait for it.
WRITE_BYTES = 1024 * 1024
_WAITING_BYTES = 2 * 1024 * 1024
_WAITING_UNDER_PRESSURE = 128 * 1024
# What an item costs beside its bytes.
_OVERHEAD = 200
# What is stored of an item beside its bytes: of a run of bytes, of a gap, of each write.
_RUN_BYTES, _GAP_BYTES, _WRITE_BYTES = 4, 256, 128
# Beyond a log's limit what comes is thrown away, and no faster than this: nobody needs it.
_THROWN_BYTES_PER_S = 32 * 1024 * 1024
_FIRST_GAP = 64 * 1024 * 1024
_FARTHEST = 1 << 62
# Between two writes of a busy log (each time more than one item had come) lies a pause: so long for each busy log of
# the process, and at most that, unless this much waits. Every write costs the same, whether it holds one line or fifty.
_PAUSE_PER_LOG_S, _LONGEST_PAUSE_S, _ENOUGH_BYTES = 0.004, 0.2, 64 * 1024


@dataclass(slots=True)
class Pressure:
    """Bytes that wait in all sinks of the process; beyond `limit` each sink keeps little.

    `log_bytes`: what may be stored of one log, whatever its agent sends. `busy`: sinks that get items faster than they
    write.
    """

    limit: int = 64 * 1024 * 1024
    waiting: int = 0
    log_bytes: int = 2 << 30
    busy: int = 0

    @property
    def pause_s(self) -> float:
        """What lies between two writes of one busy log now."""
        return min(self.busy * _PAUSE_PER_LOG_S, _LONGEST_PAUSE_S)

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
        self._enough = asyncio.Event()
        self._busy = False
        self._ending = False
        # An estimate, from below, of what is stored; what an earlier owner stored counts by its offsets.
        self._stored_bytes = ledger.size
        # Where the gap begins that stands for what is beyond the limit, as far as it is not stored.
        self._beyond: int | None = None
        self._next_gap = _FIRST_GAP
        # Since when the oldest item waits.
        self._since = 0.0

    async def feed(self, item: LogBytes | LogGap) -> None:
        """One more item; OutOfStep when it does not begin at `received`."""
        if item.offset != self.received or not item.offset < item.end <= _FARTHEST:
            raise OutOfStep
        if self._beyond is not None or self._stored_bytes + _stored(item) > self._pressure.log_bytes:
            await self._throw_away(item)
            return
        self._stored_bytes += _stored(item)
        size = _weight(item)
        while self._items and self._bytes + size > self._pressure.allowance:
            self._room.clear()
            await self._room.wait()
        if not self._items:
            self._since = time.monotonic()
        self._items.append(item)
        self._count(size)
        self.received = item.end
        self._news.set()

    async def _throw_away(self, item: LogBytes | LogGap) -> None:
        """The log's limit is reached: a gap grows. It is stored in steps that double, so that its rows stay few."""
        begin = self.received if self._beyond is None else self._beyond
        self._beyond, self.received = begin, item.end
        if item.end - begin >= self._next_gap:
            self._next_gap *= 2
            self._store_gap()
        if isinstance(item, LogBytes):
            await asyncio.sleep(len(item.data) / _THROWN_BYTES_PER_S)

    def _store_gap(self) -> None:
        if self._beyond is not None and self._beyond < self.received:
            reason = f"the limit of {self._pressure.log_bytes} bytes for one log was reached"
            self._items.append(LogGap(self._beyond, self.received, reason))
            self._count(_OVERHEAD)
            self._beyond = self.received
            self._news.set()

    def end(self) -> None:
        """Nothing more comes: the writer stops when what is left fits one write."""
        self._store_gap()
        self._ending = True
        self._news.set()
        self._enough.set()

    def rest(self) -> list[Piece]:
        """What the writer left, for the last write; call it when `run` has returned."""
        self._store_gap()
        pieces: list[Piece] = []
        while self._items:
            pieces += gather(self._take())
        return pieces

    async def run(self) -> None:
        """Writes until `end`."""
        try:
            while not (self._ending and self._bytes <= WRITE_BYTES // 2):
                if not self._items:
                    self._set_busy(False)
                    self._news.clear()
                    await self._news.wait()
                    continue
                self._set_busy(len(self._items) > 1)
                self._stored_bytes += _WRITE_BYTES
                since, taken = self._since, self._take()
                begun = self._since = time.monotonic()
                await self._ledger.append(gather(taken))
                now = time.monotonic()
                STORE_LAG_S.observe(now - since)
                if self._busy:
                    await self._pause(begun + self._pressure.pause_s - now)
        finally:
            self._set_busy(False)

    async def _pause(self, pause_s: float) -> None:
        if pause_s > 0 and not self._ending and self._bytes < _ENOUGH_BYTES:
            self._enough.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._enough.wait()

    def _set_busy(self, busy: bool) -> None:
        self._pressure.busy += busy - self._busy
        self._busy = busy

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
        if self._bytes >= _ENOUGH_BYTES:
            self._enough.set()


def _weight(item: LogBytes | LogGap) -> int:
    return _OVERHEAD + (len(item.data) if isinstance(item, LogBytes) else 0)


def _stored(item: LogBytes | LogGap) -> int:
    return _RUN_BYTES + len(item.data) if isinstance(item, LogBytes) else _GAP_BYTES
