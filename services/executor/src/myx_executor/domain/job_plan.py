"""Which targets a job has, in which order, and what is to be done now. Pure."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from myx_executor.domain.job_states import COUNTS_AS_FAILED, JOB_FINAL, TARGET_OPEN, grade, outcome_message
from myx_executor.domain.jobs import JobOptions, JobStatus, Share, TargetStatus


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that the job is for; `label_value` is that of the batch label."""

    server_id: str
    name: str
    agent_id: str = ""
    label_value: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A target's number (from 1, the order of starting) and batch (from 1)."""

    number: int
    batch: int
    candidate: Candidate


def targets_sha256(server_ids: Iterable[str]) -> str:
    """Lower-case hex SHA-256 over the ids, sorted, each followed by a newline."""
    digest = hashlib.sha256()
    for server_id in sorted(server_ids):
        digest.update(f"{server_id}\n".encode())
    return digest.hexdigest()


def freeze(candidates: Sequence[Candidate], options: JobOptions) -> list[Place]:
    """Every server once, in the order in which they are started, with their batches."""
    unique = list({one.server_id: one for one in candidates}.values())
    if options.batch_label:
        unique.sort(key=lambda one: (one.label_value is None, one.label_value or "", one.name, one.server_id))
    else:
        unique.sort(key=lambda one: (one.name, one.server_id))
    places: list[Place] = []
    for batch, members in enumerate(_batches(unique, options), start=1):
        places += [Place(len(places) + number, batch, one) for number, one in enumerate(members, start=1)]
    return places


def _batches(ordered: Sequence[Candidate], options: JobOptions) -> Iterator[Sequence[Candidate]]:
    total, start = len(ordered), 0
    if options.canary is not None and total:
        start = min(options.canary.of(total), total)
        yield ordered[:start]
    if options.batch_label:
        yield from _by_label(ordered[start:])
        return
    sizes = options.batches or (Share(total),)
    turn = 0
    while start < total:
        size = sizes[min(turn, len(sizes) - 1)].of(total)
        yield ordered[start : start + size]
        start, turn = start + size, turn + 1


def _by_label(ordered: Sequence[Candidate]) -> Iterator[Sequence[Candidate]]:
    groups: defaultdict[str | None, list[Candidate]] = defaultdict(list)
    for one in ordered:
        groups[one.label_value].append(one)
    yield from groups.values()


class Tally:
    """Where the targets of one job stand, kept up to date one by one; every question is answered without a search."""

    def __init__(self, targets: Iterable[tuple[int, int, TargetStatus]]) -> None:
        """`targets`: number, batch, state."""
        self._batch_of: dict[int, int] = {}
        self._status_of: dict[int, TargetStatus] = {}
        self._members: defaultdict[int, list[int]] = defaultdict(list)
        self._open: defaultdict[int, int] = defaultdict(int)
        self._bad_canaries = 0
        self._next: defaultdict[int, int] = defaultdict(int)
        self.counts: dict[TargetStatus, int] = dict.fromkeys(TargetStatus, 0)
        for number, batch, status in sorted(targets):
            self._batch_of[number] = batch
            self._members[batch].append(number)
            self._enter(number, status)

    def __len__(self) -> int:
        return len(self._status_of)

    def __contains__(self, number: int) -> bool:
        return number in self._status_of

    def status(self, number: int) -> TargetStatus:
        """Where a target stands."""
        return self._status_of[number]

    def update(self, number: int, status: TargetStatus) -> None:
        """A target stands elsewhere now."""
        before = self._status_of[number]
        if before is status:
            return
        self.counts[before] -= 1
        self._open[self._batch_of[number]] -= before in TARGET_OPEN
        self._enter(number, status)

    @property
    def running(self) -> int:
        """Targets under way."""
        return self.counts[TargetStatus.RUNNING]

    @property
    def waiting(self) -> int:
        """Targets whose turn has not come."""
        return self.counts[TargetStatus.WAITING]

    @property
    def failed(self) -> int:
        """Targets that count against `max_failed`."""
        return sum(self.counts[status] for status in COUNTS_AS_FAILED)

    @property
    def unreachable(self) -> int:
        """Targets that count against `max_unreachable`."""
        return self.counts[TargetStatus.UNREACHABLE]

    def open_in(self, batch: int) -> int:
        """Targets of a batch that are not final."""
        return self._open[batch]

    def bad_in_first_batch(self) -> int:
        """Targets of the first batch that are final and did not succeed."""
        return self._bad_canaries

    def next_waiting(self, batch: int, limit: int) -> list[int]:
        """At most `limit` targets of a batch whose turn it is, in order."""
        members = self._members[batch]
        first = self._next[batch]
        while first < len(members) and self._status_of[members[first]] is not TargetStatus.WAITING:
            first += 1
        self._next[batch] = first
        found: list[int] = []
        for number in members[first:]:
            if len(found) >= limit:
                break
            if self._status_of[number] is TargetStatus.WAITING:
                found.append(number)
        return found

    def _enter(self, number: int, status: TargetStatus) -> None:
        self._status_of[number] = status
        self.counts[status] += 1
        batch = self._batch_of[number]
        if status in TARGET_OPEN:
            self._open[batch] += 1
        elif batch == 1 and status is not TargetStatus.SUCCESS:
            self._bad_canaries += 1


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a job decides, beside its targets."""

    status: JobStatus
    options: JobOptions
    batch: int
    hold_until: datetime | None
    deadline_at: datetime
    reason: str = ""
    # Of those under way, how many are not known to have begun: only reserved, waiting, or just being tried.
    unbegun: int = 0


@dataclass(frozen=True, slots=True)
class Begin:
    """The job is under way with its first batch."""


@dataclass(frozen=True, slots=True)
class Advance:
    """The next batch is the one under way; nothing of it is started for `hold_s`."""

    batch: int
    hold_s: float


@dataclass(frozen=True, slots=True)
class Start:
    """Start these targets."""

    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`, unless something changes."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing new is started; what waits or was never sent is not started any more."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CancelRest:
    """What still runs has had its time."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No end of what still runs was proved: it is unknown."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The job is over."""

    status: JobStatus
    reason: str
    message: str


Step = Begin | Advance | Start | Wait | Stop | CancelRest | GiveUp | Finish


def decide(job: Standing, tally: Tally, now: datetime, at_once: int) -> Step:
    """What to do now with an open job; at most `at_once` targets are started by one step."""
    if job.status in JOB_FINAL:
        raise ValueError("a final job has nothing to be done")
    if not tally.running and not tally.waiting:
        return _finish(job, tally)
    overdue = now >= job.deadline_at
    if job.status is JobStatus.CANCELLING:
        return GiveUp() if overdue else Wait(job.deadline_at)
    if job.status is JobStatus.STOPPING:
        return CancelRest() if overdue else Wait(job.deadline_at)
    if overdue:
        return Stop("deadline", "the job's deadline has passed")
    if (tally.waiting or job.unbegun) and (stop := threshold(job.options, tally)) is not None:
        return stop
    if job.status is JobStatus.PENDING:
        return Begin()
    if job.status is JobStatus.PAUSED:
        return Wait(job.deadline_at)
    return _go_on(job, tally, now, at_once)


def _go_on(job: Standing, tally: Tally, now: datetime, at_once: int) -> Step:
    if not tally.open_in(job.batch):
        if job.batch == 1 and job.options.canary is not None:
            return Advance(job.batch + 1, max(job.options.canary_soak_s, job.options.batch_pause_s))
        return Advance(job.batch + 1, job.options.batch_pause_s if job.batch else 0.0)
    if job.hold_until is not None and now < job.hold_until:
        return Wait(min(job.hold_until, job.deadline_at))
    room = job.options.concurrency.of(len(tally)) - tally.running
    numbers = tally.next_waiting(job.batch, min(room, at_once)) if room > 0 else []
    return Start(numbers) if numbers else Wait(job.deadline_at)


def threshold(options: JobOptions, tally: Tally) -> Stop | None:
    """The stop of a job that has passed one of its thresholds, if anything is left to be kept from starting."""
    if options.canary is not None and (bad := tally.bad_in_first_batch()):
        return Stop("canary_failed", f"{bad} of the canary's targets did not succeed")
    total = len(tally)
    if options.max_failed is not None and tally.failed > (most := options.max_failed.of(total)):
        return Stop("max_failed", f"{tally.failed} targets failed, more than the {most} that may")
    if options.max_unreachable is not None and tally.unreachable > (most := options.max_unreachable.of(total)):
        return Stop("max_unreachable", f"{tally.unreachable} targets are unreachable, more than the {most} that may be")
    return None


def _finish(job: Standing, tally: Tally) -> Finish:
    status = grade(job.status, tally.counts)
    if status is JobStatus.SUCCESS:
        return Finish(status, "", "")
    default = "cancelled" if status is JobStatus.CANCELLED else "targets_failed"
    return Finish(status, job.reason or default, outcome_message(tally.counts))
