"""Ending a play means ending every process below it, whichever session they fled to."""

import contextlib
import ctypes
import math
import os
import signal
import threading
import time
from collections.abc import Callable

_PR_SET_CHILD_SUBREAPER = 36
# Whoever sends TERM ends us at a grace of their own, by INT and KILL: none is longer than this.
_LONGEST_GRACE_S = 3600.0
_CLOCK_GRACE_S = 30.0  # within the minute that a control plane grants beyond the time limit
_INT_GRACE_S = 1.0
_PAUSE_S = 0.05
_PASSES_AFTER_KILL = 60
_READINGS = 5


def adopt_orphans() -> None:
    """From now on whoever loses its parent below us stays below us, so that nothing is missed."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[int]:
    """All living processes below this one, parents before children."""
    parents = _parents()
    for _ in range(_READINGS):
        # A parent that is not there ended while we read, and who was below it is below another one by now.
        if all(parent in parents or not parent for parent in parents.values()):
            break
        parents = _parents()
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    queue = [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _parents() -> dict[int, int]:
    """The parent of each living process."""
    parents = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat") as file:  # noqa: PTH123
                state, parent = file.read().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    parents[int(name)] = int(parent)
    return parents


def end_descendants(kill_at: Callable[[], float]) -> None:
    """TERM, then from a moment on, which may come nearer, KILL until nobody is left."""
    _signal_all(signal.SIGTERM)
    while time.monotonic() < kill_at():
        # Twice: one that is started while we read, by one that ends meanwhile, is seen the second time.
        if not descendants() and not descendants():
            return
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
    """One request to end the play, from a signal or the clock; `exit_code` is 0 while there is none.

    INT means: very soon, also after TERM.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        self.reason = ""
        self._kill_at = math.inf
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
        self._kill_after(_INT_GRACE_S if number == signal.SIGINT else _LONGEST_GRACE_S)
        self._wanted.set()

    def _kill_after(self, grace_s: float) -> None:
        self._kill_at = min(self._kill_at, time.monotonic() + grace_s)

    def _watch(self) -> None:
        wait_s = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        if not self._wanted.wait(wait_s) and not self._over.is_set() and not self.exit_code:
            self.exit_code, self.reason = 124, "the time limit was reached"
            self._kill_after(_CLOCK_GRACE_S)
        if self.exit_code:
            end_descendants(lambda: self._kill_at)
