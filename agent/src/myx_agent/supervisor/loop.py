"""The supervisor's event loop: one epoll, one heap of timers, no tick while nothing happens."""

import functools
import heapq
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable

Handler = Callable[[int], None]


class Timer:
    """A call at a later time; `cancel()` forgets it."""

    __slots__ = ("callback", "due")

    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def __lt__(self, other: "Timer") -> bool:
        return self.due < other.due


class Loop:
    """Calls handlers of ready descriptors in the order in which the kernel saw them become ready."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[Timer] = []
        self._running = True
        self.now = time.monotonic()

    def add(self, fd: int, handler: Handler, events: int = select.EPOLLIN) -> None:
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def remove(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_at(self, due: float, callback: Callable[[], None]) -> Timer:
        """Call at `due` on the monotonic clock."""
        timer = Timer(due, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        return self.call_at(time.monotonic() + delay_s, callback)

    def watch_signal(self, number: int, callback: Callable[[], None]) -> None:
        """Call back (coalesced) after a signal. One signal only: the wake-up pipe does not tell which."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

        def on_ready(_events: int) -> None:
            os.read(reader, 4096)
            callback()

        signal.signal(number, lambda _number, _frame: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self.add(reader, on_ready)

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        while self._running:
            ready = self._epoll.poll(self._next_wait())
            self.now = time.monotonic()
            for fd, events in ready:
                handler = self._handlers.get(fd)
                if handler is not None:
                    _guarded(functools.partial(handler, events))
            self._fire()

    def _next_wait(self) -> float:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].due - time.monotonic()) if self._timers else -1

    def _fire(self) -> None:
        while self._timers and (self._timers[0].due <= self.now or self._timers[0].callback is None):
            callback = heapq.heappop(self._timers).callback
            if callback is not None:
                _guarded(callback)


def _guarded(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:  # noqa: BLE001 - one command's trouble must not end the others; the log file is bounded
        traceback.print_exc(file=sys.stderr)
