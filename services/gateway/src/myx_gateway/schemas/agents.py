"""Agents."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from myx_gateway.schemas.common import Answer


class AgentStatus(StrEnum):
    """Whether MyX can talk to an agent; `unknown` while MyX doubts itself."""

    PENDING = "pending"
    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class Attempt(Answer):
    """One try of a call to an agent."""

    at: datetime | None
    cause: str = Field(description="Empty for the try that succeeded.")
    message: str
    wait_s: float | None = Field(description="Wait before the next try.")


class Disk(Answer):
    """One mounted file system."""

    mount: str
    total_bytes: int
    free_bytes: int


class Facts(Answer):
    """What the agent says about its host."""

    hostname: str
    os: str
    arch: str
    kernel: str
    python: str
    cpus: int
    load_1m: float
    load_5m: float
    load_15m: float
    memory_total_bytes: int
    memory_available_bytes: int
    disks: list[Disk]
    machine_id: str
    boot_id: str
    uptime_s: float | None
    running_command_ids: list[str]
    reported_at: datetime | None
    deployment_tool_version: str
    deployment_tool_digest: str
    bundle_version: str = Field(description="Bundle that the agent was installed from; empty: by hand.")
    bundle_digest: str
    capabilities: list[str]


class Quarantine(Answer):
    """Another machine answers with this agent's identity: nothing is sent to it."""

    since: datetime | None
    expected_machine_id: str
    found_machine_id: str


class Agent(Answer):
    """The agent of one server as last seen."""

    id: str
    server_id: str
    status: AgentStatus
    status_reason: str = Field(description="Cause, for example `refused`; empty when online.")
    status_message: str
    status_since: datetime | None
    version: str
    rpc_port: int
    certificate_sha256: str
    rpc_supported: bool
    rpc_last_check: datetime | None
    rpc_last_success: datetime | None
    last_heartbeat: datetime | None
    latency_s: float | None
    failure_streak: int
    last_attempts: list[Attempt]
    facts: Facts | None
    rotating: bool = Field(description="Its token, secret and certificate are being changed.")
    flapping: bool = Field(description="Changes between online and offline too often of late.")
    flapping_since: datetime | None
    quarantine: Quarantine | None
    rebooted_at: datetime | None = Field(description="When the host's present boot was first seen.")
    created_at: datetime | None


class AgentPage(Answer):
    """One page of agents, by server name."""

    items: list[Agent]
    next_page_token: str | None


class CheckResult(Answer):
    """What calling the agent now gave."""

    status: AgentStatus
    cause: str
    message: str
    attempts: list[Attempt]
