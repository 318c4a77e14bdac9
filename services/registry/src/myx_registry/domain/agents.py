"""Agents: identity and last known state."""

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    # The last of ONLINE and OFFLINE that was seen, and the last one that an event told of.
    definite_status: AgentStatus = AgentStatus.PENDING
    announced_status: AgentStatus = AgentStatus.PENDING
    # When it changed between the two of late; set while it does so too often.
    changes: Sequence[datetime] = ()
    flapping_since: datetime | None = None
    # The machine that answered first; another one that answers puts the agent into quarantine.
    machine_id: str = ""
    found_machine_id: str = ""
    quarantined_at: datetime | None = None
    boot_id: str = ""
    rebooted_at: datetime | None = None
    # Of the facts whose changes are kept; empty until there are some.
    facts_digest: str = ""


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
class Place:
    """Where an agent listens. The path is secret."""

    rpc_port: int
    rpc_path: str = field(repr=False)


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
    ssh_address: str = ""
    # 0: behind a jump host.
    ssh_port: int = 0
    is_quarantined: bool = False
    paused_until: datetime | None = None
    machine_id: str = ""
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class NextIdentity:
    """The identity that a rotation under way will bring. Secret; certificate and key are PEM."""

    rotation_id: UUID
    agent_token: str = field(repr=False)
    secret_key: str = field(repr=False)
    private_key_pem: str = field(repr=False)
    certificate_pem: str
    certificate_sha256: str
