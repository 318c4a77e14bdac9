"""What a replica says about itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from myx_heartbeat.domain import Member
from myx_heartbeat.usecases.doubt import Doubt
from myx_heartbeat.usecases.fleet import Fleet
from myx_heartbeat.usecases.membership import Alone, Membership
from myx_heartbeat.usecases.reports import Reports


@dataclass(frozen=True, slots=True)
class SuspicionNow:
    """A suspicion in times of the calendar."""

    since: datetime
    until: datetime
    failing: int
    message: str


@dataclass(frozen=True, slots=True)
class StatusNow:
    """What this replica does."""

    agents: int
    unsent_reports: int
    members: Sequence[Member]
    suspicion: SuspicionNow | None


class ReplicaStatus:
    """Puts it together."""

    def __init__(
        self,
        fleet: Fleet,
        reports: Reports,
        membership: Membership | Alone,
        doubt: Doubt,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._fleet = fleet
        self._reports = reports
        self._membership = membership
        self._doubt = doubt
        self._clock = clock

    def __call__(self) -> StatusNow:
        """As it is now."""
        suspicion = self._doubt.suspicion
        return StatusNow(
            agents=len(self._fleet),
            unsent_reports=len(self._reports),
            members=self._membership.members,
            suspicion=None
            if suspicion is None
            else SuspicionNow(
                since=self._calendar(suspicion.since),
                until=self._calendar(suspicion.until),
                failing=len(self._doubt.failing),
                message=suspicion.message,
            ),
        )

    def _calendar(self, monotonic_s: float) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=monotonic_s - self._clock())
