"""Schedules: work that starts by the clock, and what becomes of each of its times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from myx_executor.domain.cron import Cron

DEFAULT_MISSED_WITHIN_S: Final = 3600.0
MIN_MISSED_WITHIN_S: Final = 60.0
MAX_MISSED_WITHIN_S: Final = 7 * 86_400.0
# Times that one look records; older ones are counted only.
MAX_RECORDED: Final = 100
# A time that waits for the one before longer than this is skipped.
MAX_WAIT_S: Final = 7 * 86_400.0


class Missed(StrEnum):
    """What happens to times that passed while nobody could fire."""

    SKIP = "skip"
    RUN_ONCE = "run_once"


class Overlap(StrEnum):
    """What happens at a time when what was started before has not ended."""

    SKIP = "skip"
    WAIT = "wait"
    ALLOW = "allow"


class FireOutcome(StrEnum):
    """What became of one time."""

    PENDING = "pending"
    WAITING = "waiting"
    STARTED = "started"
    SKIPPED = "skipped"
    MISSED = "missed"
    DENIED = "denied"
    FAILED = "failed"


UNDECIDED: Final = frozenset({FireOutcome.PENDING, FireOutcome.WAITING})


@dataclass(frozen=True, slots=True)
class FireRule:
    """What holds while a time is undecided: its deadline, and the outcome and reason at it."""

    deadline: str
    at_deadline: FireOutcome
    reason: str


RULES: Final[Mapping[FireOutcome, FireRule]] = {
    FireOutcome.PENDING: FireRule("the time + missed_within", FireOutcome.FAILED, "not_in_time"),
    FireOutcome.WAITING: FireRule("begin of the wait + 7 days", FireOutcome.SKIPPED, "waited_too_long"),
}


class WorkKind(StrEnum):
    """What a schedule starts."""

    COMMAND = "command"
    DEPLOYMENT = "deployment"
    JOB = "job"


@dataclass(frozen=True, slots=True)
class Work:
    """What is started. `document` is its request as JSON, where secrets are names with empty values."""

    kind: WorkKind
    document: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    stdin: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Fire:
    """One time of a schedule and what became of it."""

    slot_at: datetime
    outcome: FireOutcome
    reason: str = ""
    message: str = ""
    started_id: UUID | None = None
    started_kind: str = ""
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as stored; `work` is without secret values. `last_slot_at`: its last time that was looked at."""

    id: UUID
    name: str
    cron: Cron
    missed: Missed
    missed_within_s: float
    overlap: Overlap
    paused: bool
    work: Work
    owner: str
    next_at: datetime | None
    last_slot_at: datetime | None
    revision: int
    created_at: datetime
    updated_at: datetime
    last_fire: Fire | None = None

    @property
    def etag(self) -> str:
        """Opaque to callers; a schedule made anew under an old name differs."""
        return f"{self.id.hex[-12:]}-{self.revision}"


@dataclass(frozen=True, slots=True)
class Due:
    """What one look at a schedule whose time has come decides."""

    fires: Sequence[Fire]
    last_slot_at: datetime
    next_at: datetime | None


def next_after(cron: Cron, now: datetime, last_slot_at: datetime | None) -> datetime | None:
    """The next time to fire: later than now and than every time that was looked at, wherever the clock went since."""
    return cron.after(now if last_slot_at is None else max(now, last_slot_at))


def look(schedule: Schedule, now: datetime, grace_s: float) -> Due:
    """What becomes of the times from `next_at` (which has come) until now: at most the last one is to be started.

    A time is missed when it is seen more than `grace_s` late.
    """
    first = schedule.next_at or now
    # What was stored counts, even if the rules of the zone have changed since.
    times = sorted({first, *schedule.cron.last_times(first, now, MAX_RECORDED + 1)})
    last, late = times[-1], now - times[-1]
    on_time = late <= timedelta(seconds=grace_s)
    catches_up = schedule.missed is Missed.RUN_ONCE and late <= timedelta(seconds=schedule.missed_within_s)
    starts = not schedule.paused and (on_time or catches_up)
    passed = times[:-1] if starts else times
    fires = [_missed(schedule, time) for time in passed[-MAX_RECORDED:]]
    if len(passed) > MAX_RECORDED:
        fires[0] = Fire(fires[0].slot_at, FireOutcome.MISSED, fires[0].reason, "this one and those before it")
    if starts:
        fires.append(Fire(last, FireOutcome.PENDING, "" if on_time else "late"))
    return Due(fires, last, next_after(schedule.cron, now, last))


def _missed(schedule: Schedule, time: datetime) -> Fire:
    if schedule.paused:
        return Fire(time, FireOutcome.MISSED, "paused", "the schedule was paused")
    return Fire(time, FireOutcome.MISSED, "nobody_fired", "nobody could fire at that time")


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a time may start now; `outcome` STARTED: yes."""

    outcome: FireOutcome
    reason: str = ""
    message: str = ""


def turn(overlap: Overlap, *, ahead: int, running: str | None) -> Turn:
    """By the overlap policy. `ahead`: earlier times that are undecided; `running`: what was started and has not ended.

    Of the times that are ahead the first one is about to start or waits: so there is room for one that waits only
    behind what runs or behind that first one.
    """
    if overlap is Overlap.ALLOW or (ahead == 0 and running is None):
        return Turn(FireOutcome.STARTED)
    before = running or "the one before"
    if overlap is Overlap.SKIP:
        return Turn(FireOutcome.SKIPPED, "still_running", f"{before} had not ended")
    if ahead + (running is not None) > 1:
        return Turn(FireOutcome.SKIPPED, "another_waits", f"{before} had not ended, and another time waited for it")
    return Turn(FireOutcome.WAITING, "still_running", f"waits for the end of {before}")
