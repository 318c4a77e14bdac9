"""What happens next to a command, as a sentence."""

from datetime import datetime, timedelta

from myx_executor.domain.command import Command
from myx_executor.domain.states import RULES, UNCLAIMED_NEXT, Status

# Reasons of QUEUED.
AGENT_OFFLINE = "agent_unreachable"
LOCK_HELD = "lock_held"
ACCESS_UNKNOWN = "access_unknown"
JOB_HELD = "job_held"

_UNTIL = "; waits until "
_WAITS = {
    AGENT_OFFLINE: "its agent to be back",
    LOCK_HELD: "the lock of its server",
    ACCESS_UNKNOWN: "the gateway's word whether it still may",
    JOB_HELD: "its job to go on",
}


def next_sentence(command: Command) -> str:
    """What happens next, and when at the latest; empty once it is final. Of deployments too."""
    template = RULES[command.status].next
    if command.status is Status.PENDING and not command.owner:
        template = UNCLAIMED_NEXT
    return template.format(
        deadline=_clock(command.deadline_at),
        limit=_limit(command),
        wait=_WAITS.get(command.reason, "its turn"),
    )


def has_waited(command: Command) -> bool:
    """Whether it was claimed just now out of the queue."""
    return bool(command.changes) and command.changes[-1].source == Status.QUEUED


def has_waited_for(command: Command, reason: str) -> bool:
    """Whether it was claimed just now out of the queue, where it was for this reason."""
    return has_waited(command) and len(command.changes) > 1 and command.changes[-2].cause == reason


def until(why: str, deadline: datetime) -> str:
    """The message of a row that waits."""
    return f"{why}{_UNTIL}{_clock(deadline)}"


def without_until(message: str) -> str:
    """What a row waited for, of the message that `until` made."""
    return message.partition(_UNTIL)[0]


def _limit(command: Command) -> str:
    if command.started_at is None or not command.spec.timeout_s:
        return ""
    return f", until {_clock(command.started_at + timedelta(seconds=command.spec.timeout_s))} at the most"


def _clock(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S %Z") if at is not None else "its deadline"
