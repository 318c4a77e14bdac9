"""What happens when the time of a schedule has come: it is moved on, once, whichever replica looks."""

from collections.abc import Callable
from typing import Final

from myx_executor.domain.schedules import FireOutcome, look
from myx_executor.store.schedule_fires import FireStore
from myx_executor.store.schedules import ScheduleStore
from myx_executor.usecases.schedules.events import fired
from myx_executor.usecases.schedules.sealing import seal_anew
from myx_kit.errors import MyxError, Unavailable
from myx_kit.logging import get_logger
from myx_kit.secretbox import SecretBox, header_of

log = get_logger()

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

    async def run_once(self) -> int:
        """Looks at the schedules that are due; how many times are to be started now."""
        made = 0
        for schedule, now in await self._store.due(_AT_ONCE):
            try:
                due = look(schedule, now, self._grace_s)
                decided = [(fire, fired(schedule.id, fire)) for fire in due.fires if fire.outcome is not _PENDING]
                made += await self._store.advance(schedule, due, decided)
            except Unavailable:
                raise
            except MyxError as error:
                log.error("schedule_broken", schedule_id=str(schedule.id), reason=error.reason, message=error.message)
                continue
            if decided:
                log.warning("schedule_missed", schedule_id=str(schedule.id), count=len(decided), paused=schedule.paused)
                self._on_event()
        if made:
            self._on_made()
        return made


class Resealing:
    """Schedules live long: their secrets follow the master key."""

    def __init__(self, store: ScheduleStore, box: SecretBox) -> None:
        self._store = store
        self._box = box

    async def run_once(self) -> None:
        """Seals secrets anew that lie under a key which was replaced."""
        self._box.reload()
        for schedule_id, sealed in await self._store.stale_seals(header_of(self._box.primary)):
            try:
                await self._store.reseal(schedule_id, sealed, seal_anew(self._box, schedule_id, sealed))
            except Unavailable:
                raise
            except MyxError as error:
                log.error("schedule_not_resealed", schedule_id=str(schedule_id), reason=error.reason)
