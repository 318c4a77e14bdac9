"""A job: one thing on many servers, how it goes over them, and where each of them stands."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from myx_executor.domain.command import Change, RowKind
from myx_kit.errors import InvalidArgument

MAX_TARGETS = 20_000
MAX_BATCHES = 100
MAX_NAME = 200
MAX_LABEL = 320
DEFAULT_DEADLINE_S = 86_400.0
LONGEST_DEADLINE_S = 30 * 86_400.0
LONGEST_PAUSE_S = 7 * 86_400.0


class JobStatus(StrEnum):
    """Where a job stands; the values are those of database and REST."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    CANCELLING = "cancelling"
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELLED = "cancelled"


class TargetStatus(StrEnum):
    """Where one target of a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LOST = "lost"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    NOT_STARTED = "not_started"


Counts = Mapping[TargetStatus, int]


@dataclass(frozen=True, slots=True)
class Share:
    """A number of targets, or a part of them in percent (then `count` says nothing)."""

    count: int = 0
    percent: float | None = None

    def of(self, total: int) -> int:
        """How many of `total`: a part is rounded up, to one at least."""
        if self.percent is None:
            return self.count
        return max(1, math.ceil(round(total * self.percent / 100, 6)))


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a job goes over its targets. Times in seconds; None: no threshold, no canary."""

    concurrency: Share = Share(50)
    batches: tuple[Share, ...] = ()
    batch_label: str = ""
    batch_pause_s: float = 0.0
    canary: Share | None = None
    canary_soak_s: float = 0.0
    max_failed: Share | None = None
    max_unreachable: Share | None = None
    deadline_s: float = DEFAULT_DEADLINE_S


@dataclass(frozen=True, slots=True)
class Work:
    """What is done on each target, without its secrets: a request's fields as plain data, and what they keep back."""

    kind: RowKind
    spec: Mapping[str, Any]
    secret_names: tuple[str, ...] = ()
    has_stdin: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A job as stored."""

    id: UUID
    name: str
    selector: str
    work: Work
    options: JobOptions
    status: JobStatus
    reason: str
    message: str
    status_since: datetime
    # None once it is final.
    deadline_at: datetime | None
    owner: str
    changes: tuple[Change, ...]
    target_count: int
    targets_sha256: str
    batch: int
    batch_count: int
    # The batch under way begins at this time.
    hold_until: datetime | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    requested_by: str
    retry_of: UUID | None = None
    schedule_id: UUID | None = None
    cancel_grace_s: float | None = None
    fence: int = 0
    # How often its state was changed; the history keeps fewer.
    change_count: int = 0
    # Grows with each change of the job or of a target.
    revision: int = 0
    counts: Counts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobTarget:
    """One server of a job, as stored."""

    number: int
    server_id: str
    server_name: str
    agent_id: str
    batch: int
    status: TargetStatus
    # Value of the batch label; None: the server had none.
    label_value: str | None = None
    command_id: UUID | None = None
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    log_size: int = 0
    output_sha256: str = ""
    revision: int = 0


def check_options(options: JobOptions) -> None:
    """InvalidArgument `JOB_OPTIONS_INVALID` with the field for the first thing that cannot be."""
    _check_share("concurrency", options.concurrency)
    if len(options.batches) > MAX_BATCHES:
        raise _invalid("batches", f"batches may name at most {MAX_BATCHES} sizes; the last one is repeated")
    for share in options.batches:
        _check_share("batches", share)
    if options.batches and options.batch_label:
        raise _invalid("batch_label", "batches are made by size or by label: give batches or batch_label, not both")
    label = options.batch_label
    if len(label) > MAX_LABEL or not label.isprintable():
        raise _invalid("batch_label", f"batch_label must be the key of a label, at most {MAX_LABEL} characters")
    if options.canary is not None:
        _check_share("canary", options.canary)
    if options.canary_soak_s and options.canary is None:
        raise _invalid("canary_soak", "canary_soak is the wait after a canary: give canary too")
    for name, limit in (("max_failed", options.max_failed), ("max_unreachable", options.max_unreachable)):
        if limit is not None:
            _check_share(name, limit, least=0)
    for name, seconds in (("batch_pause", options.batch_pause_s), ("canary_soak", options.canary_soak_s)):
        if not (math.isfinite(seconds) and 0 <= seconds <= LONGEST_PAUSE_S):
            raise _invalid(name, f"{name} must be from 0 to {LONGEST_PAUSE_S:.0f} seconds")
    if not (math.isfinite(options.deadline_s) and 0 < options.deadline_s <= LONGEST_DEADLINE_S):
        raise _invalid("deadline", f"deadline must be more than 0 and at most {LONGEST_DEADLINE_S:.0f} seconds")


def check_concurrency(share: Share) -> None:
    """InvalidArgument `JOB_OPTIONS_INVALID`."""
    _check_share("concurrency", share)


def _check_share(name: str, share: Share, least: int = 1) -> None:
    if share.percent is not None:
        if not (math.isfinite(share.percent) and 0 < share.percent <= 100):
            raise _invalid(name, f"{name} in percent must be more than 0 and at most 100")
    elif not least <= share.count <= MAX_TARGETS:
        raise _invalid(name, f"{name} must be from {least} to {MAX_TARGETS}, or a part in percent")


def _invalid(field_name: str, message: str) -> InvalidArgument:
    return InvalidArgument("JOB_OPTIONS_INVALID", message, field=field_name)


def tell_counts(counts: Counts, statuses: Sequence[TargetStatus]) -> str:
    """Counts as words, for example `2 failed, 1 unreachable`; those that are 0 are left out."""
    words = [f"{counts[status]} {str(status).replace('_', ' ')}" for status in statuses if counts.get(status)]
    return ", ".join(words)
