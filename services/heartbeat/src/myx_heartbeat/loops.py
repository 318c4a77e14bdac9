"""Background work: start checks, hand over reports, watch our own pauses. The fleet's refresh is a plain kit Loop."""

import asyncio
from contextlib import suppress

from myx_heartbeat.usecases.checks import Checks
from myx_heartbeat.usecases.fleet import Fleet
from myx_heartbeat.usecases.hand_over import HandOver
from myx_heartbeat.usecases.pauses import TICK_S, PauseWatch
from myx_heartbeat.usecases.reports import Reports
from myx_kit.logging import get_logger
from myx_kit.retry import RetryPolicy

log = get_logger()

# While nothing is due: how long at most until the next look.
_IDLE_S = 3600.0
# What becomes due within this time is started together: hundreds of wakings a second cost more than they are worth.
_GAP_S = 0.05
# How soon the registry hears of changes, if that is sooner than it hears of the rest.
_CHANGES_WITHIN_S = 0.5
_MAX_HAND_OVER_WAIT_S = 10.0


class Dispatcher:
    """Starts checks when they are due."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.run_once()
            await asyncio.sleep(_GAP_S)

    async def run_once(self) -> None:
        """Start what is due, then wait for the next due time, a free slot or a change of the fleet."""
        self._checks.changed.clear()
        wait_s = self._checks.start_due()
        await _wait(self._checks.changed, _IDLE_S if wait_s is None else wait_s)


class HandOverLoop:
    """Hands over reports as long as it takes: gathered for a moment, with growing pauses while the registry is away.

    A change is gathered with others for `_CHANGES_WITHIN_S` only.
    """

    def __init__(self, hand_over: HandOver, reports: Reports, interval_s: float) -> None:
        self._hand_over = hand_over
        self._reports = reports
        self._interval_s = interval_s
        self._policy = RetryPolicy(1 << 30, interval_s, max_delay_s=_MAX_HAND_OVER_WAIT_S, jitter=0.5)

    async def run(self) -> None:
        """Until cancelled."""
        delays = self._policy.delays()
        while True:
            await self._reports.waiting.wait()
            if await self._turn():
                delays = self._policy.delays()
                await self._gather()
            else:
                await asyncio.sleep(next(delays))

    async def _gather(self) -> None:
        left_s = self._interval_s
        while left_s > 0:
            await _wait(self._hand_over.hurry, min(_CHANGES_WITHIN_S, left_s))
            if self._hand_over.hurry.is_set() or self._reports.has_changes:
                return
            left_s -= _CHANGES_WITHIN_S

    async def _turn(self) -> bool:
        try:
            return await self._hand_over.run_once()
        except Exception as error:
            # A fault of ours in one batch must not keep all later ones.
            log.error("hand_over_failed", exc_info=error)
            self._reports.confirm()
            return False


class PauseLoop:
    """Ticks the watch; after a pause the work that piled up is spread."""

    def __init__(self, watch: PauseWatch, fleet: Fleet, checks: Checks) -> None:
        self._watch = watch
        self._fleet = fleet
        self._checks = checks

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.run_once()
            await asyncio.sleep(TICK_S)

    def run_once(self) -> None:
        """One tick."""
        pause_s = self._watch.tick()
        if pause_s:
            log.warning("own_pause", pause_s=round(pause_s, 1))
            self._fleet.spread_overdue()
            self._checks.changed.set()


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
