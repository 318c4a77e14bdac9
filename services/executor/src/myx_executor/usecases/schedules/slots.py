"""What happens when the time of a schedule has come: it is moved on, once, whichever replica looks."""

from collections.abc import Callable
from typing import Final

from prometheus_client import Counter, Histogram

from myx_executor.domain.schedules import FireOutcome, look
from myx_executor.store.schedule_fires import FireStore
from myx_executor.usecases.schedules.events import fired
from myx_kit.errors import MyxError, Unavailable
from myx_kit.logging import get_logger

log = get_logger()

LATE_S = Histogram(
    "myx_executor_schedule_lateness_seconds",
    "How much later than its time a schedule was fired",
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 600, 3600),
)
MISSED = Counter("myx_executor_missed_fires", "Times of schedules that passed without a start, as their rules say")

_AT_ONCE: Final = 100
_PENDING: Final = FireOutcome.PENDING


class Slots:
    """Makes the times that have come."""

    def __init__(
        self, store: FireStore, *, grace_s: float, on_made: Callable[[], None], on_event: Callable[[], None]
    ) -> None:
        self._store = store
        self._grace_s = grace_s
        self._on_made = on_made
        self._on_event = on_event

    async def run_once(self) -> None:
        """Looks at all schedules that are due."""
        while await self._look() == _AT_ONCE:
            pass

    async def _look(self) -> int:
        """How many schedules of one batch were moved on, by us or by others."""
        moved = made = 0
        for schedule, now in await self._store.due(_AT_ONCE):
            try:
                due = look(schedule, now, self._grace_s)
                decided = [(fire, fired(schedule.id, fire)) for fire in due.fires if fire.outcome is not _PENDING]
                new = await self._store.advance(schedule, due, decided)
                made += new
            except Unavailable:
                raise
            except MyxError as error:
                log.error("schedule_broken", schedule_id=str(schedule.id), reason=error.reason, message=error.message)
                continue
            moved += 1
            if new:
                LATE_S.observe(max(0.0, (now - due.fires[-1].slot_at).total_seconds()))
            MISSED.inc(len(decided))
            if decided:
                log.warning("schedule_missed", schedule_id=str(schedule.id), count=len(decided), paused=schedule.paused)
                self._on_event()
        if made:
            self._on_made()
        return moved
