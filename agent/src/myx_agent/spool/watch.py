"""Wake-ups when a log grows, by inotify: no request to the supervisor and no polling."""

import asyncio
import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

_IN_MODIFY, _IN_ATTRIB, _IN_CLOSE_WRITE, _IN_DELETE_SELF = 0x2, 0x4, 0x8, 0x400
_MASK = _IN_MODIFY | _IN_ATTRIB | _IN_CLOSE_WRITE | _IN_DELETE_SELF
_EVENT = struct.Struct("iIII")
# Events can be lost (queue overflow) or impossible (no inotify left): a waiter looks by itself this often.
RECHECK_S = 1.0
RECHECK_WITHOUT_INOTIFY_S = 0.1


class Watches:
    """Watches of files in one inotify instance; several waiters may share a file."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._events: dict[int, set[asyncio.Event]] = {}
        self.stopping = False
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._on_readable)

    @contextlib.contextmanager
    def watch(self, path: Path) -> Iterator["Waiter"]:
        """A waiter on changes of a file, from now on."""
        event = asyncio.Event()
        number = -1
        if self._fd >= 0:
            number = self._libc.inotify_add_watch(self._fd, os.fsencode(path), _MASK)
        if number >= 0:
            self._events.setdefault(number, set()).add(event)
        try:
            yield Waiter(event, RECHECK_S if number >= 0 else RECHECK_WITHOUT_INOTIFY_S)
        finally:
            waiting = self._events.get(number, set())
            waiting.discard(event)
            if not waiting and self._events.pop(number, None) is not None:
                self._libc.inotify_rm_watch(self._fd, number)

    def stop(self) -> None:
        """Wake all waiters: the agent stops."""
        self.stopping = True
        for events in self._events.values():
            for event in events:
                event.set()

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        data = os.read(self._fd, 65536)
        position = 0
        while position < len(data):
            number, _mask, _cookie, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size + length
            for event in self._events.get(number, ()):
                event.set()


class Waiter:
    """`clear()`, look, `wait()`: in this order no change is missed."""

    def __init__(self, event: asyncio.Event, recheck_s: float) -> None:
        self._event = event
        self._recheck_s = recheck_s

    def clear(self) -> None:
        self._event.clear()

    async def wait(self, timeout_s: float) -> None:
        """Return at a change, after `timeout_s`, or a little later than the re-check time; never raises a time-out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(timeout_s, self._recheck_s)):
                await self._event.wait()
