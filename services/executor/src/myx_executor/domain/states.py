"""States of a command and the changes that are allowed, as data (CONTRACTS: states of a command)."""

from collections.abc import Mapping
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
    Status.QUEUED: frozenset({Status.PENDING, Status.CANCELLING, Status.CANCELLED, Status.FAILED, Status.SKIPPED}),
    Status.RUNNING: _ENDS | {Status.CANCELLING},
    Status.CANCELLING: _ENDS,
} | dict.fromkeys(FINAL, frozenset())


# What does not hear from its agent for this long beyond all other limits is lost (setting).
LOST_AFTER_S = 86_400.0
# Beside the limits that agents keep themselves: they are given this much more before the control plane acts.
MARGIN_S = 60.0


def sources_of(target: Status) -> list[Status]:
    """The states from which `target` may be entered, sorted."""
    return sorted(source for source, targets in TRANSITIONS.items() if target in targets)
