"""States of a job and of its targets as data: who may enter them, what owns them, their deadlines, and what is next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from myx_executor.domain.jobs import Counts, Job, JobStatus, TargetStatus, tell_counts
from myx_executor.domain.states import Status

J, T = JobStatus, TargetStatus

JOB_FINAL: frozenset[JobStatus] = frozenset({J.SUCCESS, J.PARTIAL, J.FAILED, J.STOPPED, J.CANCELLED})
JOB_OPEN: frozenset[JobStatus] = frozenset(JobStatus) - JOB_FINAL
TARGET_OPEN: frozenset[TargetStatus] = frozenset({T.WAITING, T.RUNNING})
TARGET_FINAL: frozenset[TargetStatus] = frozenset(TargetStatus) - TARGET_OPEN

# What counts against `max_failed`.
COUNTS_AS_FAILED: frozenset[TargetStatus] = frozenset({T.FAILED, T.TIMEOUT, T.LOST, T.UNKNOWN})
# What a retry takes when it is not told; what may have run twice is never among it.
RETRIED: tuple[TargetStatus, ...] = (T.FAILED, T.UNREACHABLE, T.TIMEOUT, T.NOT_STARTED)

JOB_TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = {
    J.PENDING: frozenset({J.RUNNING, J.PAUSED, J.STOPPING, J.CANCELLING}) | JOB_FINAL,
    J.RUNNING: frozenset({J.PAUSED, J.STOPPING, J.CANCELLING}) | JOB_FINAL,
    # PENDING: paused before it was begun.
    J.PAUSED: frozenset({J.PENDING, J.RUNNING, J.STOPPING, J.CANCELLING}) | JOB_FINAL,
    J.STOPPING: frozenset({J.CANCELLING}) | JOB_FINAL,
    J.CANCELLING: JOB_FINAL,
} | dict.fromkeys(JOB_FINAL, frozenset())

TARGET_TRANSITIONS: Mapping[TargetStatus, frozenset[TargetStatus]] = {
    T.WAITING: frozenset({T.RUNNING, T.NOT_STARTED}),
    # NOT_STARTED: its deployment was never stored, or its job was stopped before its command was sent.
    T.RUNNING: TARGET_FINAL,
} | dict.fromkeys(TARGET_FINAL, frozenset())

# Times of states that do not follow the job's own deadline.
STOP_GRACE_S = 900.0
# Beyond the time that commands may take to be proved ended or lost (MYX_EXECUTOR_LOST_AFTER_S).
PROOF_MARGIN_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for a state that is not final."""

    entered_by: str
    owned_by: str
    deadline: str
    at_deadline: str
    # With the fields of `next_sentence`.
    next: str


JOB_RULES: Mapping[JobStatus, Rule] = {
    J.PENDING: Rule(
        "who creates it; who resumes it before it was begun",
        "nobody; the first replica with room takes it",
        "the job's own",
        "stopping, reason `deadline`; nothing was started",
        "A replica takes it and starts the first batch.",
    ),
    J.RUNNING: Rule(
        "the owning replica; who resumes it",
        "the replica that holds its lease; another one takes over within 15 s",
        "the job's own",
        "stopping, reason `deadline`: nothing new is started",
        "{running} under way, batch {batch} of {batch_count}; {waiting} wait for their turn.",
    ),
    J.PAUSED: Rule(
        "who pauses it",
        "the replica that holds its lease",
        "the job's own",
        "stopping, reason `deadline`: nothing new is started",
        "Nothing is started until it is resumed; of {running} under way those that run go on, {waiting} wait.",
    ),
    J.STOPPING: Rule(
        "the owning replica: a threshold, a failed canary or the deadline",
        "the replica that holds its lease",
        "the job's own; after that has passed, 15 min",
        "cancelling: what still runs is cancelled",
        "Nothing new is started; {running} under way are waited for.",
    ),
    J.CANCELLING: Rule(
        "who cancels it; the owning replica at the deadline of stopping",
        "the replica that holds its lease",
        "a day beyond the time that commands may take to be proved ended or lost",
        "final; targets whose end was not proved are `unknown`",
        "{running} under way are being cancelled; it is over when every end is proved.",
    ),
}

TARGET_RULES: Mapping[TargetStatus, Rule] = {
    T.WAITING: Rule(
        "the creation of the job",
        "the job's owner",
        "the job's",
        "not_started",
        "It waits for its turn.",
    ),
    T.RUNNING: Rule(
        "the job's owner, under its fence",
        "its command or deployment",
        "that of its command or deployment",
        "the end of its command or deployment",
        "Its command or deployment says.",
    ),
}

# How a target ends with its command or deployment; one that was FAILED before it could run is UNREACHABLE.
TARGET_OF: Mapping[Status, TargetStatus] = {
    Status.SUCCESS: T.SUCCESS,
    Status.FAILED: T.FAILED,
    Status.TIMEOUT: T.TIMEOUT,
    Status.CANCELLED: T.CANCELLED,
    Status.LOST: T.LOST,
    Status.UNKNOWN: T.UNKNOWN,
    Status.SKIPPED: T.SKIPPED,
}

# Causes of the agent's ladder by which nobody answered, or nobody who could take work.
NOT_REACHED: frozenset[LiteralString] = frozenset(
    {
        "name_unresolved",
        "no_route",
        "filtered",
        "refused",
        "tls_failed",
        "pin_mismatch",
        "connection_lost",
        "hung",
        "unauthorized",
        "clock_skew",
        "wrong_path",
        "throttled",
        "server_error",
        "other_machine",
    }
)

# Reasons of a FAILED command or deployment that never reached its host; `queue_timeout` too if it waited for its agent.
# Deployments say by which of their ways it was not reached.
UNREACHABLE_REASONS: frozenset[LiteralString] = (
    NOT_REACHED
    | {f"agent_{cause}" for cause in NOT_REACHED}
    | {
        "agent_unreachable",
        "connect_timeout",
        "registry_unavailable",
        "server_not_found",
        "agent_not_found",
        "agent_quarantined",
        "agent_silent",
        "ssh_unreachable",
        "no_ssh_credential",
        "no_way",
    }
)


def next_sentence(job: Job) -> str:
    """What happens next; empty once it is final."""
    if job.status in JOB_FINAL:
        return ""
    if job.status is J.RUNNING and job.hold_until is not None and not job.counts.get(T.RUNNING):
        return f"Batch {job.batch} of {job.batch_count} begins at {_clock(job.hold_until)}."
    return JOB_RULES[job.status].next.format(
        running=job.counts.get(T.RUNNING, 0),
        waiting=job.counts.get(T.WAITING, 0),
        batch=job.batch,
        batch_count=job.batch_count,
    )


def grade(status: JobStatus, counts: Counts) -> JobStatus:
    """How a job ends whose targets are all final; `status` is the one it is in."""
    total = sum(counts.values())
    if counts.get(T.SUCCESS, 0) == total:
        return J.SUCCESS
    cut_short = counts.get(T.NOT_STARTED, 0) > 0
    if status is J.CANCELLING and (cut_short or counts.get(T.CANCELLED) or counts.get(T.UNKNOWN)):
        return J.CANCELLED
    if cut_short:
        return J.STOPPED
    return J.PARTIAL if counts.get(T.SUCCESS) else J.FAILED


def outcome_message(counts: Counts) -> str:
    """The end as a sentence, for example `7 of 10 succeeded; 2 failed, 1 unreachable`; empty when all succeeded."""
    total, good = sum(counts.values()), counts.get(T.SUCCESS, 0)
    if good == total:
        return ""
    rest = [status for status in TargetStatus if status is not T.SUCCESS]
    return f"{good} of {total} succeeded; {tell_counts(counts, rest)}"


def job_sources_of(target: JobStatus) -> list[JobStatus]:
    """The states from which `target` may be entered, sorted."""
    return sorted(source for source, targets in JOB_TRANSITIONS.items() if target in targets)


def _clock(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
