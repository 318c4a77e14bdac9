"""Whether this process itself stood still: stopped, swapped out, or its loop was blocked."""

from collections.abc import Callable

TICK_S = 1.0
# Beyond what a loaded machine makes of a tick.
_TOLERANCE_S = 4.0


class PauseWatch:
    """Notices pauses by a tick that came late. What was measured across a pause says nothing about an agent."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last_tick = clock()
        self._last_pause_end = float("-inf")

    def tick(self) -> float:
        """To be called every `TICK_S`; the length in seconds of the pause that just ended, or 0."""
        now = self._clock()
        pause_s = now - self._last_tick
        self._last_tick = now
        if pause_s <= TICK_S + _TOLERANCE_S:
            return 0.0
        self._last_pause_end = now
        return pause_s

    def paused_since(self, started: float) -> bool:
        """Whether a pause ended after `started`, or is just ending."""
        is_ending = self._clock() - self._last_tick > TICK_S + _TOLERANCE_S
        return is_ending or self._last_pause_end >= started
