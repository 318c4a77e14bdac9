"""How agents fared over time, and pauses of their checks."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from myx_gateway.schemas.agents import AgentStatus, Attempt
from myx_gateway.schemas.common import Answer, Body, Name, Seconds, Text
from myx_gateway.schemas.jobs import MAX_SELECTOR

_LONGEST_S = 90 * 86_400


class Transition(Answer):
    """A change of an agent's status or cause."""

    at: datetime | None
    before: AgentStatus
    after: AgentStatus
    cause: str
    message: str
    attempts: list[Attempt]


class TransitionPage(Answer):
    """One page of changes, newest first."""

    items: list[Transition]
    next_page_token: str | None


class FactChange(Answer):
    """A change of what an agent says about its host."""

    at: datetime | None
    fact: str
    before: str
    after: str


class FactChangePage(Answer):
    """One page of changes, newest first."""

    items: list[FactChange]
    next_page_token: str | None


class Metric(StrEnum):
    """What is measured. `memory`, `disk` (the fullest file system): used parts. `up`: the answered part of checks."""

    LATENCY = "latency"
    LOAD_1M = "load_1m"
    MEMORY = "memory"
    DISK = "disk"
    UP = "up"


class Point(Answer):
    """What was measured from `at` on for one step."""

    at: datetime | None
    min: float
    mean: float
    max: float
    count: int


class Series(Answer):
    """Metrics of one agent over time; steps in which nothing was measured have no point."""

    step_s: float
    metrics: dict[Metric, list[Point]]


class _Chosen(Body):
    selector: Annotated[Text, Field(max_length=MAX_SELECTOR)] = Field(default="", description="As `env=prod`.")
    servers: list[Name] = Field(default_factory=list, max_length=10_000, description="Ids or names.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.selector) == bool(self.servers):
            raise ValueError("needs exactly one of selector and servers")
        return self


class NewPause(_Chosen):
    """A time without checks and repairs."""

    for_s: Annotated[Seconds, Field(gt=0, le=_LONGEST_S)] | None = Field(default=None, description="From now on.")
    until: Annotated[datetime, Field(strict=False)] | None = None
    reason: Annotated[Text, Field(max_length=500)] = ""

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.for_s is None) == (self.until is None):
            raise ValueError("needs exactly one of for_s and until")
        if self.until is not None and self.until.tzinfo is None:
            raise ValueError("until needs a time zone, as 2026-01-31T12:00:00Z")
        return self


class Resume(_Chosen):
    """Whose pause is to end."""


class Affected(Answer):
    """How many servers it was about."""

    servers: int


class Member(Answer):
    """A replica of the heartbeat service that shares the fleet."""

    id: str
    address: str
    joined_at: datetime | None
    lease_until: datetime | None
    agents: int


class Suspicion(Answer):
    """A replica sees most of its share fail and believes it only after a second opinion."""

    since: datetime | None
    until: datetime | None
    failing: int
    agents: int
    message: str


class HeartbeatStatus(Answer):
    """The heartbeat service, as one of its replicas sees it."""

    agents: int = Field(description="Agents that this replica checks.")
    unsent_reports: int
    members: list[Member]
    suspicion: Suspicion | None
