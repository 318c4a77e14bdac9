"""The time of day as the registry has it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from myx_kit.logging import get_logger

log = get_logger()

# Less is not worth a line.
_TOLD_FROM_S = 1.0


class RegistryClock:
    """What reports are dated by: so replicas whose clocks differ agree on which report is newer.

    Our own clock until the registry has told its time. From then on ours does not matter, nor that somebody sets it.
    """

    def __init__(self, own: Callable[[], datetime], clock: Callable[[], float]) -> None:
        """`clock` gives seconds of a monotonic clock."""
        self._own = own
        self._clock = clock
        self._believed: tuple[datetime, float] | None = None
        self._ahead_s = 0.0

    def __call__(self) -> datetime:
        """The time now."""
        if self._believed is None:
            return self._own()
        believed, at = self._believed
        return believed + timedelta(seconds=self._clock() - at)

    def begin(self) -> float:
        """Call it before the registry is asked; what it gives is for `hear`."""
        return self._clock()

    def hear(self, told: datetime, asked: float) -> None:
        """The registry's time in an answer: it was so late at some moment since it was asked."""
        now = self._clock()
        believed = min(max(self(), told), told + timedelta(seconds=now - asked))
        self._believed = (believed, now)
        ahead_s = (self._own() - believed).total_seconds()
        if abs(ahead_s - self._ahead_s) >= _TOLD_FROM_S:
            log.warning("clock_differs_from_the_registrys", ahead_s=round(ahead_s, 1))
            self._ahead_s = ahead_s
