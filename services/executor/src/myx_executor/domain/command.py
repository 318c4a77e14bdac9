"""A command, its result and who may write it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from myx_executor.domain.states import FINAL, Status


class RowKind(StrEnum):
    """What a row of the table `command` is."""

    COMMAND = "command"
    DEPLOYMENT = "deployment"


class OfflinePolicy(StrEnum):
    """What becomes of work whose agent cannot be reached."""

    FAIL = "fail"
    SKIP = "skip"
    QUEUE = "queue"


class LockMode(StrEnum):
    """What work asks of others on the same server from before it is sent until its end."""

    NONE = "none"
    SHARED = "shared"
    EXCLUSIVE = "exclusive"


DEFAULT_QUEUE_TIMEOUT_S = 3600.0
DEFAULT_CONNECT_TIMEOUT_S = 300.0


class Completeness(StrEnum):
    """Whether the stored log is all that the process wrote."""

    OPEN = "open"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """What is run. Times in seconds; `timeout_s` 0: no limit; `no_output_timeout_s` None: no limit."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    user: str = ""
    timeout_s: float = 0.0
    no_output_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is stored sealed until the command was sent."""

    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""

    def __bool__(self) -> bool:
        return bool(self.env or self.stdin)

    def __repr__(self) -> str:
        return f"Secrets(names={sorted(self.env)}, stdin={len(self.stdin)} bytes)"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call to the agent; `wait_s` is the pause before the next one."""

    at: datetime
    cause: str
    message: str
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of state; `source` is empty at the creation."""

    at: datetime
    source: str
    target: str
    actor: str
    cause: str
    evidence: str


@dataclass(frozen=True, slots=True)
class StreamCount:
    """Bytes of one stream in the log, their lower-case hex SHA-256, and bytes that were written but left out."""

    bytes: int = 0
    sha256: str = ""
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class AgentResult:
    """The agent's final word (CONTRACTS: `result` of a finished command)."""

    success: bool = False
    return_code: int | None = None
    signal: str = ""
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    stdout: StreamCount | None = None
    stderr: StreamCount | None = None
    tree_gone: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One execution on one server, as stored."""

    id: UUID
    server_id: str
    server_name: str
    agent_id: str
    spec: CommandSpec
    secret_env_names: tuple[str, ...]
    status: Status
    reason: str
    message: str
    exit_code: int | None
    signal: str
    created_at: datetime
    dispatch_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cancel_requested_at: datetime | None
    cancel_grace_s: float | None
    log_size: int
    completeness: Completeness
    result: AgentResult | None
    attempts: tuple[Attempt, ...]
    requested_by: str
    fence: int
    revision: int
    kind: RowKind = RowKind.COMMAND
    # Since when it is in its state, and when the state ends at the latest; None once it is final.
    status_since: datetime | None = None
    deadline_at: datetime | None = None
    # The replica that works on it; empty: nobody.
    owner: str = ""
    changes: tuple[Change, ...] = ()
    offline_policy: OfflinePolicy = OfflinePolicy.FAIL
    queue_timeout_s: float = DEFAULT_QUEUE_TIMEOUT_S
    connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S
    lock_mode: LockMode = LockMode.NONE
    job_id: UUID | None = None
    schedule_id: UUID | None = None
    # When retention took its log.
    log_purged_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """True when nothing will change any more."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ends: everything that its last write sets beside the log."""

    status: Status
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    completeness: Completeness = Completeness.UNVERIFIED
    result: AgentResult | None = None
    # What it was concluded from, for the history; empty: the message says it.
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The few columns that tell what became of a write whose answer was lost."""

    fence: int
    status: Status
    log_size: int


class LeaseLost(Exception):
    """Another replica owns the command now; the holder stops silently."""
