"""States of a command and of a deployment, as data: what may follow what, who decides it, and until when it lasts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """Where a command stands; the values are those of database and REST."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LOST = "lost"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


_ENDS = frozenset({Status.SUCCESS, Status.FAILED, Status.TIMEOUT, Status.CANCELLED, Status.LOST, Status.UNKNOWN})

FINAL: frozenset[Status] = _ENDS | {Status.SKIPPED}

OPEN: frozenset[Status] = frozenset(Status) - FINAL

# A short command goes from pending to its end in one step: its start and its end are learnt from one answer.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.PENDING: _ENDS | {Status.QUEUED, Status.RUNNING, Status.CANCELLING, Status.SKIPPED},
    # Nothing was sent: a cancel is at once proved.
    Status.QUEUED: frozenset({Status.PENDING, Status.CANCELLED, Status.FAILED}),
    Status.RUNNING: _ENDS | {Status.CANCELLING},
    Status.CANCELLING: _ENDS,
} | dict.fromkeys(FINAL, frozenset())


class Who(StrEnum):
    """Who may change a state."""

    # Whoever may run or cancel it.
    REQUESTER = "requester"
    # The replica that holds the lease; each write names the fence.
    OWNER = "owner"
    # Any replica, by a statement whose guard is that nobody owns the row.
    ANY_REPLICA = "any replica"


class Deadline(StrEnum):
    """What a state's `deadline_at` is made of."""

    # Acceptance + queue_timeout.
    QUEUE = "queue"
    # First try + connect_timeout; while it has certainly not been sent: QUEUE.
    CONNECT = "connect"
    # Start + run limit, + MYX_EXECUTOR_LOST_AFTER_S; without a run limit each contact with the agent moves it.
    RUN = "run"
    # The wish + grace + MYX_EXECUTOR_LOST_AFTER_S; never later than RUN was.
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds while a row is in a state.

    `entered_by`: who may bring it there. `owner`: who works on it. `deadline`: None only when it is final;
    `at_deadline`: what it becomes then, with the reason. `next`: what happens next; {deadline} and {limit} are times,
    {wait} is what a queued row waits for.
    """

    entered_by: frozenset[Who]
    owner: str = ""
    deadline: Deadline | None = None
    at_deadline: Mapping[Status, str] = field(default_factory=dict)
    next: str = ""


_BY_OWNER = Rule(frozenset({Who.OWNER}))

RULES: Mapping[Status, Rule] = {
    Status.PENDING: Rule(
        # Accepted; or claimed when it was queued.
        entered_by=frozenset({Who.REQUESTER, Who.OWNER}),
        owner="the replica that hands it to its agent; any replica with room may take it until then",
        deadline=Deadline.CONNECT,
        at_deadline={Status.FAILED: "agent_unreachable", Status.UNKNOWN: "delivery_unknown"},
        next="is handed to its agent; at {deadline} it fails, or is unknown if it may have been delivered",
    ),
    Status.QUEUED: Rule(
        entered_by=frozenset({Who.OWNER}),
        owner="nobody: any replica looks again within 30 s, or when what it waits for happens",
        deadline=Deadline.QUEUE,
        at_deadline={Status.FAILED: "queue_timeout"},
        next="waits for {wait} and goes on then; at {deadline} it fails",
    ),
    Status.RUNNING: Rule(
        entered_by=frozenset({Who.OWNER}),
        owner="the replica that follows its log; another one when its lease runs out",
        deadline=Deadline.RUN,
        at_deadline={Status.LOST: "agent_gone"},
        next="runs until it ends{limit}; lost if its agent has not told the end by {deadline}",
    ),
    Status.CANCELLING: Rule(
        entered_by=frozenset({Who.REQUESTER}),
        owner="the replica that asks the agent for the end; another one when its lease runs out",
        deadline=Deadline.CANCEL,
        at_deadline={Status.LOST: "cancel_not_proved", Status.UNKNOWN: "delivery_unknown"},
        next="its agent is asked for the end until it has proved it; lost if it has not by {deadline}",
    ),
    Status.SUCCESS: _BY_OWNER,
    Status.TIMEOUT: _BY_OWNER,
    Status.LOST: _BY_OWNER,
    Status.UNKNOWN: _BY_OWNER,
    # At the queue deadline, when nobody owns it.
    Status.FAILED: Rule(frozenset({Who.OWNER, Who.ANY_REPLICA})),
    # At once, when it was never sent.
    Status.CANCELLED: Rule(frozenset({Who.OWNER, Who.REQUESTER})),
    # By the offline policy; self-repair that is off records what it did not do.
    Status.SKIPPED: Rule(frozenset({Who.OWNER, Who.REQUESTER})),
}

# Until they are taken by a replica; then it is the rule's.
UNCLAIMED_NEXT = "waits for a replica with room; at {deadline} it fails"

# What does not hear from its agent for this long beyond all other limits is lost (setting).
LOST_AFTER_S = 86_400.0
# Past the limits that agents keep themselves by this much the control plane asks for the end (setting).
OVERDUE_MARGIN_S = 30.0


def sources_of(target: Status) -> list[Status]:
    """The states from which `target` may be entered, sorted."""
    return sorted(source for source, targets in TRANSITIONS.items() if target in targets)
