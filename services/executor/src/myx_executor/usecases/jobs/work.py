"""What a job does on each target: from a request to stored data without secrets, and back for one target."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from myx_executor.domain.command import (
    DEFAULT_CONNECT_TIMEOUT_S,
    DEFAULT_QUEUE_TIMEOUT_S,
    Command,
    CommandSpec,
    Completeness,
    LockMode,
    OfflinePolicy,
    RowKind,
    Secrets,
)
from myx_executor.domain.deployment import Method
from myx_executor.domain.jobs import Work
from myx_executor.domain.states import Status
from myx_executor.usecases.deployments.checks import CreateRequest
from myx_executor.usecases.run_command import RunRequest, or_default

WorkRequest = RunRequest | CreateRequest

# Who asks, for which server, and what is sealed: none of it is part of the work.
_NOT_STORED = frozenset(
    {
        "server",
        "secret_env",
        "secret_vars",
        "stdin",
        "request_id",
        "requested_by",
        "schedule_id",
        "retry_of",
        "job_id",
        "deployment_id",
    }
)


def to_work(request: WorkRequest) -> tuple[Work, Secrets]:
    """The stored form, and what is to be sealed."""
    spec = {one.name: _plain(getattr(request, one.name)) for one in fields(request) if one.name not in _NOT_STORED}
    if isinstance(request, RunRequest):
        secrets = Secrets(request.secret_env, request.stdin)
        return Work(RowKind.COMMAND, spec, tuple(sorted(request.secret_env)), bool(request.stdin)), secrets
    return Work(RowKind.DEPLOYMENT, spec, tuple(sorted(request.secret_vars))), Secrets(request.secret_vars)


def to_request(work: Work, secrets: Secrets) -> WorkRequest:
    """The request again, for no server yet. What a later release stored beside is left out."""
    values: dict[str, Any] = dict(work.spec)
    values["offline"] = OfflinePolicy(values["offline"])
    values["lock"] = LockMode(values["lock"])
    if work.kind is RowKind.COMMAND:
        values["args"] = tuple(values["args"])
        values |= {"secret_env": dict(secrets.env), "stdin": secrets.stdin}
        return RunRequest(server="", **_known(RunRequest, values))
    values |= {name: tuple(values[name]) for name in ("tags", "skip_tags")}
    values |= {"method": Method(values["method"]), "secret_vars": dict(secrets.env)}
    return CreateRequest(server="", **_known(CreateRequest, values))


def shown(work: Work) -> WorkRequest:
    """The request as callers see it: secrets by name, with empty values."""
    return to_request(work, Secrets(dict.fromkeys(work.secret_names, "")))


def with_secrets(work: Work, secrets: Secrets, server_id: str, **more: Any) -> WorkRequest:
    """The request for one server."""
    return replace(to_request(work, secrets), server=server_id, **more)


def command_template(
    request: RunRequest,
    *,
    job_id: UUID,
    requested_by: str,
    schedule_id: UUID | None,
    default_timeout_s: float,
    connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S,
) -> Command:
    """What the commands of all targets have in common; ids and servers come with the statement that starts them."""
    return Command(
        id=job_id,
        server_id="",
        server_name="",
        agent_id="",
        spec=CommandSpec(
            command=request.command,
            args=request.args,
            env=request.env,
            cwd=request.cwd,
            user=request.user,
            timeout_s=or_default(request.timeout_s, default_timeout_s),
            no_output_timeout_s=request.no_output_timeout_s or None,
        ),
        secret_env_names=tuple(sorted(request.secret_env)),
        status=Status.PENDING,
        reason="",
        message="",
        exit_code=None,
        signal="",
        created_at=datetime.now(UTC),
        dispatch_at=None,
        started_at=None,
        ended_at=None,
        cancel_requested_at=None,
        cancel_grace_s=None,
        log_size=0,
        completeness=Completeness.OPEN,
        result=None,
        attempts=(),
        requested_by=requested_by,
        fence=0,
        revision=0,
        offline_policy=request.offline,
        queue_timeout_s=or_default(request.queue_timeout_s, DEFAULT_QUEUE_TIMEOUT_S),
        connect_timeout_s=or_default(request.connect_timeout_s, connect_timeout_s),
        lock_mode=request.lock,
        job_id=job_id,
        schedule_id=schedule_id,
    )


def _known(kind: type[RunRequest] | type[CreateRequest], values: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, OfflinePolicy | LockMode | Method):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    return value
