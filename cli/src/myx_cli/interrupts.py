"""Ctrl-C: the first asks, the second leaves."""

import os
import signal
import threading
import time
from collections.abc import Callable

from myx_cli.errors import INTERRUPTED, SIGNAL_BASE


class Interrupts:
    """Watches SIGINT and SIGTERM in a thread of its own, so that neither a blocked write nor a lost server hides them.

    The first SIGINT runs `first` in another thread; the second, and SIGTERM at any time, run `leave` and end the
    process at once (nothing of ours is buffered). `asked` is set from the first on.
    """

    def __init__(self, first: Callable[[], None] | None, leave: Callable[[], None]) -> None:
        self.asked = threading.Event()
        self._first = first
        self._leave = leave

    def watch(self) -> None:
        """Starts watching. Main thread only."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _noted_by_the_wakeup_descriptor)
        threading.Thread(target=self._run, args=(reader,), name="interrupts", daemon=True).start()

    def sleep(self, seconds: float) -> None:
        """Waits; ends early at the first Ctrl-C."""
        if self.asked.is_set():
            time.sleep(seconds)
        else:
            self.asked.wait(seconds)

    def _run(self, reader: int) -> None:
        while True:
            for number in os.read(reader, 16):
                self._handle(number)

    def _handle(self, number: int) -> None:
        if number == signal.SIGINT and self._first is not None and not self.asked.is_set():
            self.asked.set()
            threading.Thread(target=self._first, name="cancel", daemon=True).start()
        elif number in {signal.SIGINT, signal.SIGTERM}:
            self._leave()
            os._exit(INTERRUPTED if number == signal.SIGINT else SIGNAL_BASE + number)


def _noted_by_the_wakeup_descriptor(_number: int, _frame: object) -> None:
    """A handler must exist for the descriptor to be written to."""
