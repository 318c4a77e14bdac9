"""What arrives on a subject of core NATS, in a bounded buffer that says when something is missing."""

import asyncio
from collections import deque


class Subscription:
    """The payloads of one subject, in order, for one reader.

    `lost` becomes true when something may be missing (the buffer was full, the connection was away, or it was not there
    yet); the reader sets it back to false and heals itself from the database.
    """

    def __init__(self, subject: str, queue: str = "", max_messages: int = 1024, max_bytes: int = 8 << 20) -> None:
        self.subject = subject
        self.queue = queue
        self.lost = False
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._buffer: deque[bytes] = deque()
        self._bytes = 0
        self._stirred = asyncio.Event()

    async def next(self, timeout_s: float) -> bytes | None:
        """The next payload; None when none came in time, or as soon as something was lost with the buffer empty."""
        if not self._buffer:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._stirred.wait()
            except TimeoutError:
                return None
        return self._take()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> bytes:
        """The next payload, without a limit in time; b"" says: look at `lost`."""
        if not self._buffer:
            await self._stirred.wait()
        return self._take() or b""

    def put(self, payload: bytes) -> None:
        """Called by the bus. When the buffer is full the new payload is dropped and `lost` set."""
        if len(self._buffer) >= self._max_messages or self._bytes + len(payload) > self._max_bytes:
            self.mark_lost()
            return
        self._buffer.append(payload)
        self._bytes += len(payload)
        self._stirred.set()

    def mark_lost(self) -> None:
        """Called by the bus: set `lost` and wake the reader."""
        self.lost = True
        self._stirred.set()

    def _take(self) -> bytes | None:
        self._stirred.clear()
        if not self._buffer:
            return None
        payload = self._buffer.popleft()
        self._bytes -= len(payload)
        return payload
