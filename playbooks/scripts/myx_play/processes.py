"""Ending a play means ending every process below it, whichever session they fled to."""

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable

_PR_SET_CHILD_SUBREAPER = 36
_TERM_GRACE_S = 5.0
_PAUSE_S = 0.05
_PASSES_AFTER_KILL = 60


def adopt_orphans() -> None:
    """From now on whoever loses its parent below us stays below us, so that nothing is missed."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[int]:
    """All living processes below this one, parents before children."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat") as file:  # noqa: PTH123
                state, parent = file.read().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    children.setdefault(int(parent), []).append(int(name))
    found: list[int] = []
    queue = [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def end_descendants() -> None:
    """TERM, a grace, then KILL until nobody is left."""
    _signal_all(signal.SIGTERM)
    deadline = time.monotonic() + _TERM_GRACE_S
    while descendants() and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
    for _ in range(_PASSES_AFTER_KILL):
        if not descendants():
            return
        _signal_all(signal.SIGKILL)
        time.sleep(_PAUSE_S)


def _signal_all(number: int) -> None:
    for pid in descendants():
        with contextlib.suppress(OSError):
            os.kill(pid, number)


class Stop:
    """One request to end the play, from a signal or the clock; `exit_code` is 0 while there is none."""

    def __init__(self) -> None:
        self.exit_code = 0
        self.reason = ""
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stop", daemon=True)
        self._deadline: float | None = None

    def start(self, timeout_s: float) -> None:
        """Watch for SIGTERM, SIGINT, SIGHUP and, unless `timeout_s` is 0, the clock."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        if timeout_s:
            self._deadline = time.monotonic() + timeout_s
        self._thread.start()

    def end(self, finish: Callable[[], None]) -> None:
        """Call off the watch, then do what must be done exactly once."""
        self._over.set()
        self._wanted.set()
        self._thread.join()
        finish()

    def _on_signal(self, number: int, _frame: object) -> None:
        if not self.exit_code:
            self.exit_code, self.reason = 128 + number, f"ended by {signal.Signals(number).name}"
        self._wanted.set()

    def _watch(self) -> None:
        wait_s = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        if not self._wanted.wait(wait_s) and not self._over.is_set() and not self.exit_code:
            self.exit_code, self.reason = 124, "the time limit was reached"
        if self.exit_code:
            end_descendants()
