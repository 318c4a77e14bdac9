"""What is kept for how long, and days as ranges of ids."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

# Partitions are made this far ahead, so that nobody misses the one who makes them for two weeks.
DAYS_AHEAD = 14

# A log that somebody may still look at is not taken for want of room.
YOUNG_LOG_S = 3600.0

# How long a partition waits for the last of its commands to grow old, before the others' rows are deleted one by one.
PATIENCE_S = 86_400.0

# A request id is remembered for as long as its command: a caller that repeats itself must not start it twice.
YOUNG_ROW_S = 86_400.0

# What is removed for want of room goes this far below the limit, so that whole days can go rather than rows.
SLACK = 0.05


@dataclass(frozen=True, slots=True)
class Kept:
    """Days and rows of one kind of history; 0: all of them."""

    days: float = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """What retention keeps. Days count from the end of the work; 0 keeps for ever."""

    command_log_days: float = 30
    deployment_log_days: float = 30
    log_bytes: int = 50 << 30
    commands: Kept = Kept(365)
    deployments: Kept = Kept(365)
    jobs: Kept = Kept(365)
    fires: Kept = Kept(365)


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of the log: ids from `lower` (None: from the first) to before `upper` (None: without end).

    `is_default`: holds what no other one does. `is_partial`: rows were deleted from it, its size does not tell what it
    holds.
    """

    name: str
    lower: UUID | None
    upper: UUID | None
    size_bytes: int = 0
    is_default: bool = False
    is_partial: bool = False

    @property
    def is_day(self) -> bool:
        """Whether it will be old as a whole soon after its first command is; not what was stored before partitions."""
        return not self.is_default and self.lower is not None

    def holds(self, command_id: UUID) -> bool:
        """Whether an id is within its bounds."""
        return (self.lower is None or self.lower <= command_id) and (self.upper is None or command_id < self.upper)

    def ended_before(self, at: datetime) -> bool:
        """Whether all its commands were made before `at`."""
        return self.upper is not None and self.upper <= id_bound(at)


def id_bound(at: datetime) -> UUID:
    """Below every id made at `at` or later, above every id made in the milliseconds before."""
    return UUID(int=max(int(at.timestamp() * 1000), 0) << 80)


def day_of(at: datetime) -> datetime:
    """Its midnight, UTC."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def partition_of(day: datetime) -> Partition:
    """The partition of a day (a midnight, UTC)."""
    return Partition(f"command_log_p{day:%Y%m%d}", id_bound(day), id_bound(day + timedelta(days=1)))


def missing_days(now: datetime, existing: Collection[Partition]) -> Iterator[Partition]:
    """The partitions from yesterday until DAYS_AHEAD from now that overlap none of those that exist."""
    ranges = [one for one in existing if not one.is_default]
    for number in range(-1, DAYS_AHEAD + 1):
        wanted = partition_of(day_of(now) + timedelta(days=number))
        if not any(_overlap(wanted, one) for one in ranges):
            yield wanted


def _overlap(one: Partition, other: Partition) -> bool:
    return (one.upper is None or other.lower is None or other.lower < one.upper) and (
        one.lower is None or other.upper is None or one.lower < other.upper
    )
