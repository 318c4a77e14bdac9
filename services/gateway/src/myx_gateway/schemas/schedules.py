"""Schedules: work that starts by the clock."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, Field, model_validator

from myx_gateway.schemas.commands import CommandContent, NewCommand
from myx_gateway.schemas.common import Answer, Body, Name, Seconds, Text
from myx_gateway.schemas.deployments import NewDeployment
from myx_gateway.schemas.jobs import JobContent, JobDeployment, NewJob

_CRON_RULE = "Minute, hour, day of month, month, day of week."
_ZONE_RULE = "IANA name, for example `Europe/Berlin`."
_MISSED_WITHIN = Field(default=None, description="`run_once` only for a time not older than this; null: 1 h.")


class MissedPolicy(StrEnum):
    """What happens to times that passed while nobody could fire; `run_once`: once for all of them."""

    SKIP = "skip"
    RUN_ONCE = "run_once"


class OverlapPolicy(StrEnum):
    """What happens at a time when what was started before is not over; `wait`: at most one waits."""

    SKIP = "skip"
    WAIT = "wait"
    ALLOW = "allow"


class FireOutcome(StrEnum):
    """What became of one time. `unknown`: a newer service's word."""

    PENDING = "pending"
    WAITING = "waiting"
    STARTED = "started"
    SKIPPED = "skipped"
    MISSED = "missed"
    DENIED = "denied"
    FAILED = "failed"
    UNKNOWN = "unknown"


_Missed = Annotated[MissedPolicy, Field(strict=False)]
_Overlap = Annotated[OverlapPolicy, Field(strict=False)]
_Cron = Annotated[Text, Field(min_length=1, max_length=255)]
_Zone = Annotated[Text, Field(max_length=64)]


class NewScheduledWork(Body):
    """What is started: exactly one of `command`, `deployment` and `job`."""

    command: NewCommand | None = None
    deployment: NewDeployment | None = None
    job: NewJob | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(work is not None for work in (self.command, self.deployment, self.job)) != 1:
            raise ValueError("needs exactly one of command, deployment and job")
        return self


class NewSchedule(Body):
    """A schedule to add."""

    name: Name = Field(description="Unique, as a server's name.")
    cron: _Cron = Field(description=_CRON_RULE)
    time_zone: _Zone = Field(default="", description=f"{_ZONE_RULE} Empty: UTC.")
    missed: _Missed = MissedPolicy.SKIP
    missed_within_s: Seconds | None = _MISSED_WITHIN
    overlap: _Overlap = OverlapPolicy.SKIP
    paused: bool = False
    work: NewScheduledWork


_CHANGEABLE: Final = {
    "cron": "cron",
    "time_zone": "time_zone",
    "missed": "missed",
    "missed_within_s": "missed_within",
    "overlap": "overlap",
    "paused": "paused",
    "work": "work",
}


class ScheduleChanges(Body):
    """What to change; a field that is not there or null stays.

    Who changes cron, time zone or work becomes the owner.
    """

    cron: _Cron | None = Field(default=None, description=_CRON_RULE)
    time_zone: _Zone | None = Field(default=None, description=_ZONE_RULE)
    missed: _Missed | None = None
    missed_within_s: Seconds | None = None
    overlap: _Overlap | None = None
    paused: bool | None = None
    work: NewScheduledWork | None = Field(default=None, description="Replaced as a whole, secrets too.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.changed():
            raise ValueError(f"needs at least one of {', '.join(_CHANGEABLE)}")
        return self

    def changed(self) -> list[str]:
        """What the executor calls the fields to change."""
        return [wire for name, wire in _CHANGEABLE.items() if getattr(self, name) is not None]


class SchedulePreview(Body):
    """An expression to look at."""

    cron: _Cron = Field(description=_CRON_RULE)
    time_zone: _Zone = Field(default="", description=f"{_ZONE_RULE} Empty: UTC.")
    count: int = Field(default=5, ge=1, le=100)
    after: Annotated[AwareDatetime, Field(strict=False)] | None = Field(default=None, description="Null: now.")


class ScheduleTimes(Answer):
    """When an expression fires."""

    times: list[datetime]


class ScheduledCommand(CommandContent):
    """A command that a schedule starts, without secrets."""

    server: str


class ScheduledDeployment(JobDeployment):
    """A deployment that a schedule starts, without secrets."""

    server: str


class ScheduledJob(JobContent):
    """A job that a schedule starts, without secrets."""

    servers: list[str]
    expected_targets_sha256: str


class ScheduledWork(Answer):
    """What is started; one of the three."""

    command: ScheduledCommand | None
    deployment: ScheduledDeployment | None
    job: ScheduledJob | None


class ScheduleFire(Answer):
    """What became of one time."""

    slot_at: datetime | None
    outcome: FireOutcome
    reason: str
    message: str
    started_kind: str = Field(description="`command`, `deployment` or `job`; empty: nothing was started.")
    started_id: str
    decided_at: datetime | None


class Schedule(Answer):
    """Work that starts by the clock."""

    id: str
    name: str
    cron: str
    time_zone: str
    missed: MissedPolicy
    missed_within_s: float | None
    overlap: OverlapPolicy
    paused: bool
    work: ScheduledWork
    owner: str = Field(description="Under whose authority it fires.")
    next_times: list[datetime] = Field(description="At most 5; empty while it is paused.")
    last_fire: ScheduleFire | None
    created_at: datetime | None
    updated_at: datetime | None
    etag: str


class SchedulePage(Answer):
    """One page of schedules, by name."""

    items: list[Schedule]
    next_page_token: str | None


class ScheduleFirePage(Answer):
    """One page of a schedule's times, newest first."""

    items: list[ScheduleFire]
    next_page_token: str | None
