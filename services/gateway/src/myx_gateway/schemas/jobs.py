"""Jobs: one thing on many servers."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from myx_gateway.schemas.commands import CommandContent, CommandWork
from myx_gateway.schemas.common import Answer, Body, Name, Seconds, Text
from myx_gateway.schemas.deployments import DeploymentContent, DeploymentWork
from myx_gateway.schemas.shares import Share, Threshold
from myx_gateway.schemas.states import Tracked

MAX_SELECTOR = 4096


class JobStatus(StrEnum):
    """Where a job stands; final from `success` on. `unknown`: a newer service's word."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    CANCELLING = "cancelling"
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


FINAL_JOB = frozenset({JobStatus.SUCCESS, JobStatus.PARTIAL, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELLED})


class TargetStatus(StrEnum):
    """Where one target stands; the sum over all states is the number of targets, always."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LOST = "lost"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    NOT_STARTED = "not_started"


_Statuses = list[Annotated[TargetStatus, Field(strict=False)]]


class JobOptions(Body):
    """How a job goes over its targets. Numbers of targets are texts: `10`, or `10%` of all."""

    concurrency: Share | None = Field(default=None, description="Targets under way at once; null: 50.")
    batches: list[Share] = Field(
        default_factory=list,
        max_length=1000,
        description="Sizes of the batches, one after the other, the last one repeated; empty: one batch.",
    )
    batch_label: Text = Field(
        default="",
        max_length=255,
        description="Batches are the groups of targets with the same value of this label. Excludes `batches`.",
    )
    batch_pause_s: Seconds | None = Field(default=None, description="Between two batches.")
    canary: Share | None = Field(default=None, description="The first batch, before all others; all must succeed.")
    canary_soak_s: Seconds | None = Field(default=None, description="Wait after the canary.")
    max_failed: Threshold | None = Field(default=None, description="More failed targets stop the job; null: never.")
    max_unreachable: Threshold | None = Field(
        default=None, description="More unreachable targets stop the job; null: never."
    )
    deadline_s: Seconds | None = Field(default=None, description="Of the whole job; null: 24 h.")


class NewJobWork(Body):
    """What is done on each target: exactly one of `command` and `deployment`."""

    command: CommandWork | None = None
    deployment: DeploymentWork | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.command is None) == (self.deployment is None):
            raise ValueError("needs exactly one of command and deployment")
        return self


class Selection(Body):
    """Which servers: a selector, or their ids or names."""

    selector: Annotated[Text, Field(min_length=1, max_length=MAX_SELECTOR)] | None = Field(
        default=None, description="For example `env=prod and role in (web,api)`; `all` is every server."
    )
    servers: list[Name] = Field(
        default_factory=list, max_length=20_000, validate_default=True, description="Ids or names."
    )
    options: JobOptions = Field(default_factory=JobOptions)

    @field_validator("servers")
    @classmethod
    def _one(cls, servers: list[str], info: ValidationInfo) -> list[str]:
        if "selector" in info.data and (info.data["selector"] is None) == (not servers):
            said = "exclude a selector" if servers else "or a selector must be given (`all` is every server)"
            raise ValueError(said)
        return servers


class NewJob(Selection):
    """A job to start."""

    name: Text = Field(default="", max_length=255, description="For people.")
    work: NewJobWork
    expected_targets_sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = Field(
        default="", description="`targets_sha256` of a preview: other targets are refused; empty: whatever matches now."
    )


class JobChanges(Body):
    """What can be changed while a job is open."""

    concurrency: Share = Field(description="Targets under way at once.")


class JobRetry(Body):
    """Which targets are tried again, and what is needed anew."""

    statuses: _Statuses = Field(
        default_factory=list, description="Empty: `failed`, `unreachable`, `timeout` and `not_started`."
    )
    secrets: Annotated[dict[Text, Text], Field(max_length=256, json_schema_extra={"writeOnly": True})] = Field(
        default_factory=dict, description="The secret environment or variables, which are not kept."
    )


class JobDeployment(DeploymentContent):
    """A deployment that a job makes, without secrets."""

    force: bool
    new_port: bool
    new_path: bool
    artifact_sha256: str


class JobWork(Answer):
    """What is done on each target; one of both."""

    command: CommandContent | None
    deployment: JobDeployment | None


class JobContent(Answer):
    """What a job does, where and how."""

    name: str
    selector: str
    work: JobWork
    options: JobOptions


class Job(JobContent, Tracked):
    """One thing on many servers."""

    status: JobStatus
    reason: str
    message: str
    target_count: int
    targets_sha256: str = Field(description="Over the ids of the targets, sorted, each followed by a newline.")
    counts: dict[TargetStatus, int] = Field(description="Targets by state.")
    batch: int = Field(description="The batch under way, from 1; 0: none yet.")
    batch_count: int
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    requested_by: str
    retry_of: str
    schedule_id: str
    revision: int = Field(description="Grows with each change of the job or of a target.")


class JobPage(Answer):
    """One page of jobs, newest first."""

    items: list[Job]
    next_page_token: str | None


class JobTarget(Answer):
    """One server of a job."""

    number: int = Field(description="From 1, by the order in which they are started.")
    server_id: str
    server_name: str
    batch: int
    status: TargetStatus
    command_id: str = Field(description="Of its command or deployment; empty: not started.")
    reason: str
    message: str
    exit_code: int | None
    started_at: datetime | None
    ended_at: datetime | None
    log_size_bytes: int
    output_sha256: str = Field(description="The same for targets with the same output; empty: not known.")
    revision: int


class JobTargetPage(Answer):
    """One page of targets, by number."""

    items: list[JobTarget]
    next_page_token: str | None


class JobPreview(Answer):
    """The targets that a job would have now."""

    targets: list[JobTarget]
    targets_sha256: str
    batch_count: int
