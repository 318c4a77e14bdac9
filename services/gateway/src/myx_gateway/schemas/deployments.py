"""Deployments."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from myx_gateway.schemas.commands import CommandStatus, LogCompleteness
from myx_gateway.schemas.common import Answer, Body, Name, Seconds, Text, plain
from myx_gateway.schemas.states import NewQueueing, Queueing, Tracked
from myx_gateway.schemas.values import Values

_Plain = Annotated[str, Field(max_length=255), AfterValidator(plain)]
_Tags = Annotated[list[Name], Field(max_length=64)]
_Secrets = Annotated[dict[Text, Text], Field(max_length=256, json_schema_extra={"writeOnly": True})]


class Method(StrEnum):
    """By which way a deployment reaches its host; `auto`: by the agent when it is online, else over SSH."""

    AUTO = "auto"
    SSH = "ssh"
    AGENT = "agent"


class StepStatus(StrEnum):
    """Where a step stands; `skipped`: nothing was to be done."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Step(Answer):
    """One step of a deployment."""

    name: str
    title: str
    status: StepStatus
    reason: str = Field(description="Cause of a failure, a stable name.")
    message: str
    cure: str = Field(description="What an operator can do about it.")
    started_at: datetime | None
    ended_at: datetime | None
    log_offset: int = Field(description="Where in the log its output begins.")


class Recap(Answer):
    """The counts of the play."""

    ok: int
    changed: int
    failed: int
    skipped: int
    unreachable: int
    rescued: int
    ignored: int
    duration_s: float | None


class DeploymentContent(Queueing):
    """What is done and how, without secrets."""

    kind: str
    method: Method
    project: str
    playbook: str
    extra_vars: dict[str, Any]
    secret_var_names: list[str]
    check: bool
    diff: bool
    tags: list[str]
    skip_tags: list[str]
    limit: str
    timeout_s: float | None
    no_output_timeout_s: float | None


class Deployment(DeploymentContent, Tracked):
    """One playbook, or one change of an agent, on one server."""

    server_id: str
    server_name: str
    method_used: Method | None
    project_version: str
    project_digest: str
    status: CommandStatus
    reason: str
    message: str
    cure: str
    steps: list[Step]
    recap: Recap | None
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cancel_requested_at: datetime | None
    requested_by: str
    log_size_bytes: int
    log_completeness: LogCompleteness
    retry_of: str
    details: dict[str, str]
    job_id: str = Field(description="The job that it belongs to; empty: none.")
    schedule_id: str = Field(description="The schedule that started it; empty: none.")


class DeploymentPage(Answer):
    """One page of deployments, newest first."""

    items: list[Deployment]
    next_page_token: str | None


class DeploymentWork(NewQueueing):
    """A deployment, wherever it is to go."""

    kind: Name = Field(
        description="`install_agent`, `upgrade_agent`, `repair_agent`, `rotate_agent`, `uninstall_agent`, `xray`, "
        "`xray_docker`, `xray_config`, `caddy` or `playbook`."
    )
    method: Annotated[Method, Field(strict=False)] = Method.AUTO
    project: _Plain = Field(default="", description="For `playbook`; empty: `myx`.")
    playbook: _Plain = Field(default="", description="For `playbook`: file below the project's `playbooks/`.")
    extra_vars: Values = Field(default_factory=dict, description="Numbers pass as doubles, whole ones up to 2^53.")
    secret_vars: _Secrets = Field(default_factory=dict, description="As `extra_vars`, masked and never shown again.")
    check: bool = Field(default=False, description="Say what would change, change nothing.")
    diff: bool = False
    tags: _Tags = Field(default_factory=list)
    skip_tags: _Tags = Field(default_factory=list)
    limit: _Plain = ""
    timeout_s: Seconds | None = Field(default=None, description="Null: 1 h.")
    no_output_timeout_s: Seconds | None = Field(
        default=None, description="Limit on the time without output of the play; null or 0: none. Not for agents."
    )
    force: bool = Field(
        default=False,
        description="`upgrade_agent`: also a version that failed here or runs already; `repair_agent`: also while "
        "commands run, or when the network is what seems wrong; `uninstall_agent`: also while commands run.",
    )
    new_port: bool = Field(default=False, description="`install_agent`: give the agent a new port.")
    new_path: bool = Field(default=False, description="`install_agent`: give the agent a new path.")
    artifact_sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = Field(
        default="", description="Artifact that is put on the host; its path there is the variable `artifact_path`."
    )


class NewDeployment(DeploymentWork):
    """A deployment to start on one server."""

    server: Name = Field(description="Id or name.")


class RetryRequest(Body):
    """What a repeat needs anew."""

    secret_vars: _Secrets = Field(default_factory=dict, description="Needed again once they are gone.")


class PlayEvent(Answer):
    """One progress event of a play: `play_started`, `task_started`, `task_result` or `recap`."""

    seq: int
    event: dict[str, Any]


class PlayEvents(Answer):
    """Events after a number."""

    items: list[PlayEvent]
    is_final: bool = Field(description="The deployment is over and nothing follows.")
