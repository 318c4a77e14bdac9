"""A deployment: what was asked, its steps, and what is known of its play."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from myx_executor.domain.command import Command

SHIPPED = "myx"


class Method(StrEnum):
    """By which way a deployment reaches its host."""

    AUTO = "auto"
    SSH = "ssh"
    AGENT = "agent"


class Kind(StrEnum):
    """What a deployment does."""

    INSTALL_AGENT = "install_agent"
    UPGRADE_AGENT = "upgrade_agent"
    REPAIR_AGENT = "repair_agent"
    ROTATE_AGENT = "rotate_agent"
    UNINSTALL_AGENT = "uninstall_agent"
    XRAY = "xray"
    XRAY_DOCKER = "xray_docker"
    XRAY_CONFIG = "xray_config"
    CADDY = "caddy"
    PLAYBOOK = "playbook"


# Those that change the agent itself: one at a time on a server.
AGENT_KINDS = frozenset(
    {Kind.INSTALL_AGENT, Kind.UPGRADE_AGENT, Kind.REPAIR_AGENT, Kind.ROTATE_AGENT, Kind.UNINSTALL_AGENT}
)

# The agent that is there cannot do it, or only it can.
ONLY_METHOD: Mapping[Kind, Method] = {
    Kind.INSTALL_AGENT: Method.SSH,
    Kind.REPAIR_AGENT: Method.SSH,
    Kind.UNINSTALL_AGENT: Method.SSH,
    Kind.ROTATE_AGENT: Method.AGENT,
}

PLAYBOOKS: Mapping[Kind, str] = {
    Kind.INSTALL_AGENT: "install_agent.yml",
    Kind.REPAIR_AGENT: "install_agent.yml",
    Kind.UPGRADE_AGENT: "upgrade_agent.yml",
    Kind.UNINSTALL_AGENT: "uninstall_agent.yml",
    Kind.XRAY: "deploy_xray.yml",
    Kind.XRAY_DOCKER: "deploy_xray_docker.yml",
    Kind.XRAY_CONFIG: "deploy_xray_config.yml",
    Kind.CADDY: "deploy_caddy.yml",
}


class StepStatus(StrEnum):
    """Where a step stands."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether the step is not run any more."""
        return self not in (StepStatus.PENDING, StepStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it is stored; `log_offset` is where its output begins."""

    name: str
    title: str
    status: StepStatus = StepStatus.PENDING
    reason: str = ""
    message: str = ""
    cure: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    log_offset: int = 0


@dataclass(frozen=True, slots=True)
class Recap:
    """Counts of one play's host."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    skipped: int = 0
    unreachable: int = 0
    rescued: int = 0
    ignored: int = 0
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for; nothing of it changes. `extra_vars` is without the secret ones."""

    kind: Kind
    method: Method
    project: str = SHIPPED
    playbook: str = ""
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    secret_var_names: tuple[str, ...] = ()
    check: bool = False
    diff: bool = False
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    limit: str = ""
    force: bool = False
    new_port: bool = False
    new_path: bool = False
    artifact_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as stored: its row of `command` (state, lease, log) and its own."""

    row: Command
    plan: Plan
    method_used: Method | None = None
    project_version: str = ""
    project_digest: str = ""
    retry_of: UUID | None = None
    cure: str = ""
    steps: tuple[Step, ...] = ()
    recap: Recap | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> UUID:
        """That of both rows."""
        return self.row.id

    @property
    def is_final(self) -> bool:
        """True when nothing will change any more."""
        return self.row.is_final


class StepFailed(Exception):
    """A step cannot be done: a stable reason, what happened, and what an operator can do about it."""

    def __init__(self, reason: str, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.cure = cure


class DeploymentLost(StepFailed):
    """What was under way cannot be gone on with, and its outcome is not known."""


class StepCancelled(Exception):
    """The end that was asked for is proved."""


class StepSkipped(Exception):
    """Nothing was to be done; says why."""


def recap_from_wire(document: object) -> Recap | None:
    """The recap of a play's result (`{"localhost": {"ok": …}}`) or event, read leniently; None when there is none."""
    if not isinstance(document, dict):
        return None
    hosts = document.get("hosts", document)
    if not isinstance(hosts, dict):
        return None
    counts = next((one for one in hosts.values() if isinstance(one, dict)), None)
    if counts is None:
        return None
    names = ("ok", "changed", "failed", "skipped", "unreachable", "rescued", "ignored")
    duration = document.get("duration_s", counts.get("duration_s", 0.0))
    seconds = float(duration) if isinstance(duration, int | float) and 0 <= duration < 1e8 else 0.0
    return Recap(**{name: _count(counts.get(name)) for name in names}, duration_s=seconds)


def _count(value: object) -> int:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31
    return value if isinstance(value, int) and fits else 0
