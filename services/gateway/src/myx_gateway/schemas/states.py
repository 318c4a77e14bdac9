"""What commands, deployments and jobs have in common: a state with its history, and how they wait."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from myx_gateway.schemas.common import Answer, Body, Seconds


class OfflinePolicy(StrEnum):
    """What becomes of work whose agent cannot be reached; `queue`: it waits up to `queue_timeout_s`."""

    FAIL = "fail"
    SKIP = "skip"
    QUEUE = "queue"


class LockMode(StrEnum):
    """What work asks of other work on its server: nothing, no exclusive lock, or no lock at all."""

    NONE = "none"
    SHARED = "shared"
    EXCLUSIVE = "exclusive"


class StatusChange(Answer):
    """One change of state, as it was written."""

    at: datetime | None
    from_: str = Field(alias="from", description="Empty at the creation.")
    to: str
    actor: str = Field(description="`token:admin`, `executor:<replica>`.")
    cause: str = Field(description="A stable name.")
    evidence: str = Field(description="What it was concluded from.")


class Tracked(Answer):
    """The state of something, since when, why, and what happens next."""

    id: str
    status_since: datetime | None
    deadline_at: datetime | None = Field(description="When the state ends at the latest; null once it is final.")
    owner: str = Field(description="The replica that works on it; empty: none, or it is final.")
    next: str = Field(description="What happens next, as a sentence; empty once it is final.")
    changes: list[StatusChange] = Field(description="Every change of state, the first one first.")


class Queueing(Answer):
    """How work waits."""

    offline: OfflinePolicy
    queue_timeout_s: float | None
    lock: LockMode


class NewQueueing(Body):
    """How work is to wait."""

    offline: Annotated[OfflinePolicy, Field(strict=False)] = OfflinePolicy.FAIL
    queue_timeout_s: Seconds | None = Field(
        default=None, description="Limit on the wait for a replica, an agent or a lock; null: 1 h."
    )
    lock: Annotated[LockMode, Field(strict=False)] = LockMode.NONE
