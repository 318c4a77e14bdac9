"""What schedules need from outside; adapters fit these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from myx_executor.domain.schedules import Work


@dataclass(frozen=True, slots=True)
class Order:
    """Work to be started now. The same `requested_by` and `request_id` start it once."""

    work: Work
    request_id: str
    requested_by: str
    schedule_id: UUID


@dataclass(frozen=True, slots=True)
class Subject:
    """What work is about, as it is now: the operation's name, the servers' ids, and for a job the hash of its list."""

    operation: str
    server_ids: Sequence[str]
    targets_sha256: str = ""


class Starter(Protocol):
    """Commands, deployments and jobs, by one face. Errors are those of their own creation; those of `check` name the
    field in the work."""

    async def check(self, work: Work) -> None:
        """Whether it could be started now, as far as can be told: InvalidArgument, NotFound, FailedPrecondition."""
        ...

    async def subject(self, work: Work) -> Subject:
        """What it is about now. NotFound `SERVER_NOT_FOUND`; FailedPrecondition `SELECTOR_MATCHES_NOTHING`."""
        ...

    async def find(self, order: Order) -> UUID | None:
        """What was started under this request id before."""
        ...

    async def start(self, order: Order, subject: Subject) -> UUID:
        """Starts it, once, on the servers of `subject`; the id. A job that has other ones by now: FailedPrecondition
        `TARGETS_CHANGED`."""
        ...


class Access(Protocol):
    """What somebody may do, asked of whoever knows it."""

    async def refusal(self, principal: str, operation: str, server_ids: Sequence[str]) -> str | None:
        """Why not, as a sentence; None: allowed.

        Unavailable and DeadlineExceeded: not known now; FailedPrecondition `ACCESS_UNKNOWN`: nobody can be asked.
        """
        ...
