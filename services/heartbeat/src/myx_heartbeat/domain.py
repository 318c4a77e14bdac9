"""What a check of an agent means, and when the next one is due. Pure: no clock, no chance, no I/O of its own."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

CLOCK_SKEW = "clock_skew"
# A clock that went back further than this was wrong before: following it is better than stamps from the future.
_MAX_STEP_BACK = timedelta(minutes=4)
_TICK = timedelta(microseconds=1)


class Status(StrEnum):
    """Whether the control plane can talk to an agent (the registry's AgentStatus)."""

    PENDING = "pending"
    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Connection data of one agent as the registry gives it; what is secret stays out of the repr."""

    agent_id: str
    server_id: str
    server_name: str
    address: str
    rpc_port: int
    rpc_path: str = field(repr=False)
    agent_token: str = field(repr=False)
    secret_key: str = field(repr=False)
    certificate_sha256: str
    status: Status
    revision: int
    # The certificate that a rotation under way will bring; empty: none.
    next_certificate_sha256: str = ""
    # Where the host's sshd listens; 0: it is not known, or lies behind a jump host.
    ssh_address: str = ""
    ssh_port: int = 0
    # Another machine answers there: nothing is sent to it.
    quarantined: bool = False
    paused_until: datetime | None = None

    @property
    def way(self) -> tuple[str | int, ...]:
        """Address and credentials: with the same ones a check is the same check. Secret."""
        return (self.address, self.rpc_port, self.rpc_path, self.agent_token, self.secret_key,
                self.certificate_sha256, self.next_certificate_sha256)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a call. `cause` is empty for the one that succeeded, `wait_s` None for the last one."""

    at: datetime
    cause: str
    message: str
    wait_s: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check came to. `cause` is empty when the agent answered; `facts` is the result of `get_status`."""

    cause: str = ""
    message: str = ""
    tries: tuple[Try, ...] = ()
    latency_s: float | None = None
    version: str = ""
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """An outcome as it goes to the registry. `is_transition`: status or cause differ from what was reported before."""

    agent_id: str
    checked_at: datetime
    status: Status
    outcome: Outcome
    is_transition: bool
    # Checks that this report stands for, and how many of them were answered.
    checks: int = 1
    answered: int = 0


@dataclass(frozen=True, slots=True)
class Intervals:
    """The rules of time, in seconds (settings of the same names)."""

    min_interval_s: float
    max_interval_s: float
    startup_interval_s: float
    startup_wait_s: float
    first_checks_per_s: float


@dataclass(frozen=True, slots=True)
class Member:
    """A replica that shares the fleet while its lease holds. `address`: host:port of its gRPC server."""

    member_id: str
    address: str
    joined_at: datetime
    lease_until: datetime
    agents: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a replica sees of agents that another one checks: causes by id, empty for those that answer it.

    While it `doubts_itself`, a cause says nothing about the agent; an answer is an answer.
    """

    causes: Mapping[str, str]
    doubts_itself: bool


def holder(agent_id: str, member_ids: Sequence[str]) -> str:
    """The member that checks an agent (rendezvous hashing): who joins or leaves moves only what it takes or had.

    `member_ids` must not be empty; their order does not matter.
    """
    return max(member_ids, key=lambda member_id: (_weight(agent_id, member_id), member_id))


def _weight(agent_id: str, member_id: str) -> bytes:
    return hashlib.blake2b(f"{member_id}\n{agent_id}".encode(), digest_size=8).digest()


def is_checked(endpoint: Endpoint, now: datetime) -> bool:
    """Whether an agent is to be checked at all: not while another machine answers for it, nor while it is paused."""
    return not endpoint.quarantined and (endpoint.paused_until is None or endpoint.paused_until <= now)


def verdict(outcome: Outcome) -> Status:
    """Any failure that is left after the retries means offline (seed 3.2); 401 and 400 are not retried, so at once.

    Clocks that differ are no fault of the agent: token and signature were right, so it is there, and which clock is
    wrong is not known (CONTRACTS.md).
    """
    if not outcome.cause:
        return Status.ONLINE
    return Status.UNKNOWN if outcome.cause == CLOCK_SKEW else Status.OFFLINE


def judge(agent_id: str, outcome: Outcome, checked_at: datetime, known: tuple[Status, str]) -> Report:
    """The report of an outcome for an agent whose last known (status, cause) is `known`."""
    status = verdict(outcome)
    is_transition = (status, outcome.cause) != known
    return Report(agent_id, checked_at, status, outcome, is_transition, answered=int(not outcome.cause))


def merge(older: Report, newer: Report) -> Report:
    """The newer one for both; still a transition if the older one, which nobody has seen, was."""
    return replace(
        newer,
        is_transition=newer.is_transition or older.is_transition,
        checks=newer.checks + older.checks,
        answered=newer.answered + older.answered,
    )


def next_delay_s(intervals: Intervals, share: float, *, is_starting: bool) -> float:
    """Seconds until the next check; `share` in [0, 1) is drawn by the caller. A starting agent is asked more often."""
    if is_starting:
        return intervals.startup_interval_s
    return intervals.min_interval_s + share * (intervals.max_interval_s - intervals.min_interval_s)


def first_delay_s(intervals: Intervals, count: int, share: float) -> float:
    """Seconds until the first check of one of `count` agents that come at once, after a start or a pause.

    Spread so that they do not come in one rush; a small fleet is known at once, a large one within one interval.
    """
    return share * min(intervals.max_interval_s, count / intervals.first_checks_per_s)


def stamp(now: datetime, last: datetime) -> datetime:
    """The time of a report: always later than the one before, also when the wall clock is set back a little."""
    if now > last or last - now > _MAX_STEP_BACK:
        return now
    return last + _TICK
