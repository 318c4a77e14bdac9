"""What the outcome of a heartbeat changes in an agent, and what it makes known."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from myx_registry.domain.agents import AgentFacts, AgentHealth, AgentStatus, CallAttempt

# So many changes between online and offline within this time are flapping, until there was none for the calm.
FLAP_CHANGES = 6
FLAP_WINDOW = timedelta(minutes=30)
FLAP_CALM = timedelta(minutes=15)

OTHER_MACHINE = "other_machine"
_DEFINITE = (AgentStatus.ONLINE, AgentStatus.OFFLINE)
# Facts whose changes are kept: what says which machine it is and what is installed, not what is measured.
KEPT_FACTS = (
    "hostname", "os", "os_id", "os_version", "arch", "kernel", "python", "cpus", "memory_total_bytes", "machine_id",
    "boot_id", "deployment_tool_version", "deployment_tool_digest", "bundle_version", "bundle_digest",
)  # fmt: skip


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
    # Checks since the last report, and those that were answered (reports are merged while the registry is away).
    checks: int = 1
    answered: int = 0


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """What a batch of reports is applied to."""

    id: UUID
    server_id: UUID
    health: AgentHealth
    revision: int


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that an event tells. `revision` is the agent's after it."""

    agent_id: UUID
    server_id: UUID
    revision: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Transition(Fact):
    """An agent entered ONLINE or OFFLINE."""

    status: AgentStatus
    cause: str
    version: str


@dataclass(frozen=True, slots=True)
class VersionChange(Fact):
    """Another version answers than before."""

    version: str
    previous_version: str


@dataclass(frozen=True, slots=True)
class Flapping(Fact):
    """It changes too often: single changes are not told from now on."""

    changes: int


@dataclass(frozen=True, slots=True)
class Settled(Fact):
    """It has stopped flapping."""

    status: AgentStatus
    cause: str


@dataclass(frozen=True, slots=True)
class Quarantined(Fact):
    """Another machine answers with its identity."""


@dataclass(frozen=True, slots=True)
class Rebooted(Fact):
    """Its host was started anew."""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """An entry of an agent's history: status or cause became another."""

    agent_id: UUID
    at: datetime
    before: AgentStatus
    after: AgentStatus
    cause: str
    message: str
    attempts: Sequence[CallAttempt]


@dataclass(frozen=True, slots=True)
class FactChange:
    """Another entry of it: a fact of the host became another."""

    agent_id: UUID
    at: datetime
    fact: str
    before: str
    after: str


@dataclass(slots=True)
class Applied:
    """What a batch of reports came to."""

    changed: list[AgentRecord] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    history: list[StatusChange] = field(default_factory=list)
    # Agents whose kept facts are others than before, with the new facts and when they were seen.
    refreshed: dict[UUID, tuple[datetime, AgentFacts]] = field(default_factory=dict)
    # The reports that were not stale.
    taken: list[HeartbeatReport] = field(default_factory=list)
    # Agents that another machine answers for.
    quarantined: set[UUID] = field(default_factory=set)


def apply_reports(
    records: Iterable[AgentRecord], reports: Iterable[HeartbeatReport], latest: datetime | None = None
) -> Applied:
    """The records that changed, and what became of them in the order of their agents and times.

    Reports of other agents are passed over; several of one agent apply oldest first; one that is not newer than the
    last one applied changes nothing, unless that one is later than `latest`: then a clock ran ahead when it was made.
    """
    by_agent: dict[UUID, list[HeartbeatReport]] = {}
    for report in reports:
        by_agent.setdefault(report.agent_id, []).append(report)
    applied = Applied()
    for record in records:
        after = record
        for report in sorted(by_agent.get(record.id, ()), key=lambda report: report.checked_at):
            after = _apply(after, report, applied, latest)
        if after is not record:
            applied.changed.append(after)
        if after.health.quarantined_at is not None:
            applied.quarantined.add(record.id)
    return applied


def _apply(record: AgentRecord, report: HeartbeatReport, applied: Applied, latest: datetime | None) -> AgentRecord:
    before = record.health
    if before.quarantined_at is not None:
        return record
    last = before.rpc_last_check
    if last is not None and report.checked_at <= last and (latest is None or last <= latest):
        return record
    applied.taken.append(report)
    found = report.facts.machine_id if report.facts else ""
    is_other = bool(found and before.machine_id and found != before.machine_id)
    if is_other:
        report = replace(report, status=AgentStatus.OFFLINE, cause=OTHER_MACHINE, version="", facts=None,
                         message=f"another machine ({found}) answers with this agent's identity")  # fmt: skip
    health = _checked(before, report)
    if is_other:
        health = replace(health, quarantined_at=report.checked_at, found_machine_id=found)
    change = _Change(record, health, report, applied)
    change.host()
    change.status()
    if is_other:
        change.tell(Quarantined)
    return change.result()


class _Change:
    """One report's effect, step by step."""

    def __init__(self, record: AgentRecord, health: AgentHealth, report: HeartbeatReport, applied: Applied) -> None:
        self._record = record
        self._before = record.health
        self._health = health
        self._report = report
        self._applied = applied
        self._revision = record.revision
        self._is_new_revision = False

    def tell(self, kind: Callable[..., Fact], **fields: object) -> None:
        """One more event, with a revision of its own; the first one after a change of status has that of the change."""
        self._revision += 0 if self._is_new_revision else 1
        self._is_new_revision = False
        fact = kind(self._record.id, self._record.server_id, self._revision, self._report.checked_at, **fields)
        self._applied.facts.append(fact)

    def host(self) -> None:
        """What the agent says about its host."""
        facts, before = self._report.facts, self._before
        if facts is None:
            return
        digest = facts_digest(facts)
        if digest != before.facts_digest:
            self._applied.refreshed[self._record.id] = (self._report.checked_at, facts)
        rebooted = bool(facts.boot_id and before.boot_id and facts.boot_id != before.boot_id)
        self._health = replace(
            self._health,
            facts_digest=digest,
            machine_id=before.machine_id or facts.machine_id,
            boot_id=facts.boot_id or before.boot_id,
            rebooted_at=self._report.checked_at if rebooted else before.rebooted_at,
        )
        if rebooted:
            self.tell(Rebooted)

    def status(self) -> None:
        """Status, cause, version and how often they change."""
        before, at = self._before, self._report.checked_at
        if (self._health.status, self._health.status_reason) != (before.status, before.status_reason):
            self._applied.history.append(
                StatusChange(
                    agent_id=self._record.id,
                    at=at,
                    before=before.status,
                    after=self._health.status,
                    cause=self._report.cause,
                    message=self._report.message,
                    attempts=self._report.attempts,
                )
            )
        if self._health.status is not before.status:
            self._health = replace(self._health, status_since=at)
            self._revision += 1
            self._is_new_revision = True
        self._count_changes(at)
        self._announce()
        if before.version and before.version != self._health.version:
            self.tell(VersionChange, version=self._health.version, previous_version=before.version)

    def result(self) -> AgentRecord:
        """The record after it."""
        return replace(self._record, health=self._health, revision=self._revision)

    def _count_changes(self, at: datetime) -> None:
        health = self._health
        recent = tuple(one for one in health.changes if one > at - FLAP_WINDOW)
        if health.status in _DEFINITE and health.status is not health.definite_status:
            recent = (*recent, at)[-FLAP_CHANGES:]
            health = replace(health, definite_status=health.status)
        if health.flapping_since is None and len(recent) >= FLAP_CHANGES:
            self._health = replace(health, changes=recent, flapping_since=at)
            self.tell(Flapping, changes=len(recent))
            return
        calm = not recent or at - recent[-1] >= FLAP_CALM
        if health.flapping_since is not None and calm and health.status in _DEFINITE:
            self._health = replace(health, changes=(), flapping_since=None)
            self.tell(Settled, status=health.status, cause=self._report.cause)
            return
        self._health = replace(health, changes=recent)

    def _announce(self) -> None:
        health = self._health
        if health.flapping_since is not None or health.status not in _DEFINITE:
            return
        if health.status is health.announced_status:
            return
        self._health = replace(health, announced_status=health.status)
        self.tell(Transition, status=health.status, cause=self._report.cause, version=health.version)


def facts_digest(facts: AgentFacts) -> str:
    """Of the facts whose changes are kept."""
    kept = [str(getattr(facts, name)) for name in KEPT_FACTS]
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()[:32]


def fact_changes(agent_id: UUID, at: datetime, before: AgentFacts | None, after: AgentFacts) -> list[FactChange]:
    """What became another; nothing for the first facts of an agent."""
    if before is None:
        return []
    pairs = [(name, str(getattr(before, name)), str(getattr(after, name))) for name in KEPT_FACTS]
    return [FactChange(agent_id, at, name, old, new) for name, old, new in pairs if old != new]


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
