"""Agents: identity, last known state, and what a heartbeat's outcome changes in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class AgentStatus(StrEnum):
    """Whether the control plane can talk to an agent."""

    PENDING = "pending"
    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CallAttempt:
    """One try of a call. `cause` is empty for the one that succeeded; `wait_s` is None for the last one."""

    at: datetime
    cause: str = ""
    message: str = ""
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """One mounted file system."""

    mount: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What an agent says about its host. Fields are those of the wire message of the same name."""

    hostname: str = ""
    os: str = ""
    arch: str = ""
    kernel: str = ""
    python: str = ""
    cpus: int = 0
    load_1m: float = 0.0
    load_5m: float = 0.0
    load_15m: float = 0.0
    memory_total_bytes: int = 0
    memory_available_bytes: int = 0
    disks: Sequence[Disk] = ()
    machine_id: str = ""
    boot_id: str = ""
    uptime_s: float = 0.0
    running_command_ids: Sequence[str] = ()
    reported_at: datetime | None = None
    deployment_tool_version: str = ""
    deployment_tool_digest: str = ""
    bundle_version: str = ""
    bundle_digest: str = ""
    capabilities: Sequence[str] = ()
    os_id: str = ""
    os_version: str = ""


@dataclass(frozen=True, slots=True)
class HeartbeatReport:
    """Outcome of one check. `version` is empty and `facts` None when the agent did not answer."""

    agent_id: UUID
    checked_at: datetime
    status: AgentStatus
    cause: str = ""
    message: str = ""
    attempts: Sequence[CallAttempt] = ()
    latency_s: float | None = None
    version: str = ""
    facts: AgentFacts | None = None


@dataclass(frozen=True, slots=True)
class AgentHealth:
    """All that heartbeats decide. `facts` is None until the agent has answered `get_status`."""

    status: AgentStatus
    status_since: datetime
    status_reason: str = ""
    status_message: str = ""
    version: str = ""
    rpc_supported: bool = False
    rpc_last_check: datetime | None = None
    rpc_last_success: datetime | None = None
    last_heartbeat: datetime | None = None
    latency_s: float | None = None
    failure_streak: int = 0
    last_attempts: Sequence[CallAttempt] = ()
    facts: AgentFacts | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of one server, without its secrets. `revision` grows with each change of connection data or status."""

    id: UUID
    server_id: UUID
    rpc_port: int
    certificate_sha256: str
    health: AgentHealth
    revision: int
    created_at: datetime
    is_rotating: bool = False


@dataclass(frozen=True, slots=True)
class AgentSecrets:
    """The secret part of an identity; never printed. Certificate and key are PEM."""

    agent_token: str = field(repr=False)
    secret_key: str = field(repr=False)
    rpc_path: str = field(repr=False)
    private_key_pem: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """A new identity, before a port is found for it."""

    agent_id: UUID
    secrets: AgentSecrets
    certificate_pem: str
    certificate_sha256: str


@dataclass(frozen=True, slots=True)
class AgentEndpoint:
    """All that is needed to call an agent. Secret. While a rotation is under way the next certificate is right too."""

    agent_id: UUID
    server_id: UUID
    server_name: str
    address: str
    rpc_port: int
    certificate_sha256: str
    status: AgentStatus
    revision: int
    rpc_path: str = field(repr=False)
    agent_token: str = field(repr=False)
    secret_key: str = field(repr=False)
    next_certificate_sha256: str = ""


@dataclass(frozen=True, slots=True)
class NextIdentity:
    """The identity that a rotation under way will bring. Secret; certificate and key are PEM."""

    rotation_id: UUID
    agent_token: str = field(repr=False)
    secret_key: str = field(repr=False)
    private_key_pem: str = field(repr=False)
    certificate_pem: str
    certificate_sha256: str


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """What a batch of reports is applied to."""

    id: UUID
    server_id: UUID
    health: AgentHealth
    revision: int


@dataclass(frozen=True, slots=True)
class Transition:
    """An agent entered ONLINE or OFFLINE. `revision` is the agent's after it."""

    agent_id: UUID
    server_id: UUID
    status: AgentStatus
    cause: str
    version: str
    revision: int
    at: datetime


@dataclass(frozen=True, slots=True)
class VersionChange:
    """Another version answers than before. `revision` is the agent's after it."""

    agent_id: UUID
    server_id: UUID
    version: str
    previous_version: str
    revision: int
    at: datetime


def apply_report(record: AgentRecord, report: HeartbeatReport) -> tuple[AgentRecord, Transition | None]:
    """The agent after a report, and the transition if there was one.

    A report that is not newer than the last one applied returns the very same record. UNKNOWN means that the control
    plane doubts itself: it counts as no failure of the agent and makes no transition.
    """
    last = record.health.rpc_last_check
    if last is not None and report.checked_at <= last:
        return record, None
    health = _checked(record.health, report)
    if health.status is record.health.status:
        return replace(record, health=health), None
    after = replace(record, health=replace(health, status_since=report.checked_at), revision=record.revision + 1)
    if health.status not in (AgentStatus.ONLINE, AgentStatus.OFFLINE):
        return after, None
    return after, Transition(
        agent_id=record.id,
        server_id=record.server_id,
        status=health.status,
        cause=report.cause,
        version=health.version,
        revision=after.revision,
        at=report.checked_at,
    )


def apply_reports(
    records: Iterable[AgentRecord], reports: Iterable[HeartbeatReport]
) -> tuple[list[AgentRecord], list[Transition | VersionChange]]:
    """The records that changed, and what became of them in the order of their agents and times. Reports of other agents
    are passed over; several of one agent apply oldest first."""
    by_agent: dict[UUID, list[HeartbeatReport]] = {}
    for report in reports:
        by_agent.setdefault(report.agent_id, []).append(report)
    changed: list[AgentRecord] = []
    facts: list[Transition | VersionChange] = []
    for record in records:
        after = record
        for report in sorted(by_agent.get(record.id, ()), key=lambda report: report.checked_at):
            before = after
            after, transition = apply_report(before, report)
            if transition is not None:
                facts.append(transition)
            after, version_change = _told_version(before, after, report)
            if version_change is not None:
                facts.append(version_change)
        if after is not record:
            changed.append(after)
    return changed, facts


def _told_version(
    before: AgentRecord, after: AgentRecord, report: HeartbeatReport
) -> tuple[AgentRecord, VersionChange | None]:
    previous, version = before.health.version, after.health.version
    if not previous or previous == version:
        return after, None
    after = replace(after, revision=after.revision + 1)
    change = VersionChange(after.id, after.server_id, version, previous, after.revision, report.checked_at)
    return after, change


def _checked(health: AgentHealth, report: HeartbeatReport) -> AgentHealth:
    checked = replace(
        health,
        status=report.status,
        status_reason=report.cause,
        status_message=report.message,
        version=report.version or health.version,
        rpc_last_check=report.checked_at,
        last_attempts=report.attempts,
        facts=report.facts or health.facts,
    )
    if report.status is AgentStatus.ONLINE:
        return replace(
            checked,
            rpc_supported=True,
            rpc_last_success=report.checked_at,
            last_heartbeat=report.checked_at,
            latency_s=health.latency_s if report.latency_s is None else report.latency_s,
            failure_streak=0,
        )
    if report.status is AgentStatus.OFFLINE:
        return replace(checked, failure_streak=health.failure_streak + 1)
    return checked
