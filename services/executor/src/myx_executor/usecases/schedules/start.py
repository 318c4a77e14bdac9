"""Starting what a time of a schedule stands for: once, because one replica at a time does it, under one request id."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from myx_executor.domain.schedules import MAX_WAIT_S, RULES, Fire, FireOutcome, turn
from myx_executor.store.schedule_fires import ClaimedFire, FireStore
from myx_executor.usecases.schedules.events import fired
from myx_executor.usecases.schedules.ports import Access, Order, Starter
from myx_executor.usecases.schedules.sealing import open_work
from myx_kit.errors import Code, MyxError, Unavailable
from myx_kit.logging import get_logger
from myx_kit.loops import TaskOwner
from myx_kit.secretbox import SecretBox

log = get_logger()

# What may pass by itself. The rest is a refusal, told as it is.
_PASSING: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED})
_PASSING_REASONS: Final = frozenset({"TARGETS_CHANGED"})
_WAIT_S: Final = 5.0
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
# Of the lease: an attempt that takes longer is given up while nobody else can have taken it over.
_ATTEMPT: Final = 0.8


@dataclass(frozen=True, slots=True)
class _Later:
    """Nothing is decided: look again after a pause."""

    outcome: FireOutcome
    reason: str
    message: str
    pause_s: float
    within_s: float


class Starts:
    """Decides the times that have come; at most `max_active` at once, each under a lease of `lease_s` seconds."""

    def __init__(
        self,
        store: FireStore,
        starter: Starter,
        access: Access,
        box: SecretBox,
        *,
        owner: str,
        lease_s: float,
        on_event: Callable[[], None],
        max_active: int = 16,
    ) -> None:
        self._store = store
        self._starter = starter
        self._access = access
        self._box = box
        self._owner = owner
        self._lease_s = lease_s
        self._on_event = on_event
        self._max_active = max_active
        # Set when there may be something to decide.
        self.wake = asyncio.Event()
        self._tasks = TaskOwner("schedules")

    async def run_once(self) -> None:
        """Takes what waits to be decided, as far as there is room."""
        room = self._max_active - len(self._tasks)
        if room <= 0:
            return
        valid_until = asyncio.get_running_loop().time() + self._lease_s * _ATTEMPT
        for fire in await self._store.claim(self._owner, self._lease_s, room):
            self._tasks.start(self._decide(fire, valid_until), name=fire.request_id)

    async def close(self, timeout_s: float) -> None:
        """Ends what is under way; another replica decides it when its lease has run out."""
        await self._tasks.close(timeout_s)

    async def _decide(self, fire: ClaimedFire, valid_until: float) -> None:
        try:
            async with asyncio.timeout_at(valid_until):
                end = await self._attempt(fire)
        except TimeoutError:
            end = _later(fire, "slow", "the start took too long")
        except MyxError as error:
            end = _failure(fire, error)
        except Exception as error:
            log.error("schedule_start_failed", schedule_id=str(fire.schedule_id), exc_info=error)
            end = _later(fire, "internal", "a fault of ours; the executor's log says more")
        try:
            await self._store_end(fire, end)
        except Unavailable as error:
            # The lease runs out; whoever takes it finds what was started.
            log.warning("schedule_fire_not_stored", schedule_id=str(fire.schedule_id), reason=error.reason)
        self.wake.set()

    async def _attempt(self, fire: ClaimedFire) -> Fire | _Later:
        order = Order(fire.work, fire.request_id, fire.principal, fire.schedule_id)
        if fire.fence > 1:
            # Whoever had it before may have started it, and died before that was stored.
            found = await self._starter.find(order)
            if found is not None:
                return _started(fire, found)
        if fire.is_over:
            rule = RULES[fire.outcome]
            return Fire(fire.slot_at, rule.at_deadline, rule.reason, fire.message or "it did not come to a start")
        if fire.paused:
            return Fire(fire.slot_at, FireOutcome.MISSED, "paused", "the schedule was paused")
        ahead, running = await self._store.ahead(fire)
        now = turn(fire.overlap, ahead=ahead, running=running)
        if now.outcome is FireOutcome.WAITING:
            return _Later(FireOutcome.WAITING, now.reason, now.message, _WAIT_S, MAX_WAIT_S)
        if now.outcome is not FireOutcome.STARTED:
            return Fire(fire.slot_at, now.outcome, now.reason, now.message)
        subject = await self._starter.subject(fire.work)
        refusal = await self._access.refusal(fire.principal, subject.operation, subject.server_ids)
        if refusal is not None:
            return Fire(fire.slot_at, FireOutcome.DENIED, "access_denied", refusal)
        work = open_work(self._box, fire.schedule_id, fire.work, fire.sealed)
        whole = Order(work, order.request_id, order.requested_by, order.schedule_id)
        return _started(fire, await self._starter.start(whole, subject))

    async def _store_end(self, fire: ClaimedFire, end: Fire | _Later) -> None:
        if isinstance(end, _Later):
            await self._store.later(
                fire, end.outcome, end.reason, end.message, pause_s=end.pause_s, within_s=end.within_s
            )
            return
        if await self._store.decide(fire, end, fired(fire.schedule_id, end)):
            log.info(
                "schedule_fired",
                schedule_id=str(fire.schedule_id),
                schedule=fire.schedule_name,
                slot_at=fire.slot_at.isoformat(),
                outcome=end.outcome,
                reason=end.reason,
                started_id=str(end.started_id or ""),
            )
            self._on_event()


def _started(fire: ClaimedFire, started_id: UUID) -> Fire:
    return Fire(fire.slot_at, FireOutcome.STARTED, fire.reason if fire.reason == "late" else "", "", started_id)


def _failure(fire: ClaimedFire, error: MyxError) -> Fire | _Later:
    reason = error.reason.lower()
    if (error.code in _PASSING and error.reason != "REQUEST_ID_REUSED") or error.reason in _PASSING_REASONS:
        return _later(fire, reason, error.message)
    return Fire(fire.slot_at, FireOutcome.FAILED, reason, error.message)


def _later(fire: ClaimedFire, reason: str, message: str) -> _Later:
    pause_s = min(_FIRST_PAUSE_S * 2 ** min(fire.fence - 1, 10), _LONGEST_PAUSE_S)
    # Its turn had come: what it waits for now has the bound of a start.
    return _Later(FireOutcome.PENDING, reason, message, pause_s, fire.missed_within_s)
