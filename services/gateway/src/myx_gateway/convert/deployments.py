"""Deployments, their steps and the events of their plays."""

from typing import Any

from myx.executor.v1 import deployment_pb2, deployment_service_pb2
from myx_gateway.convert.commands import command_status, completeness
from myx_gateway.convert.states import put_queueing, put_seconds, queueing, tracked
from myx_gateway.convert.values import from_struct, to_struct
from myx_gateway.convert.wire import moment_of, names_of, seconds_of
from myx_gateway.schemas.deployments import Deployment, DeploymentWork, Method, PlayEvent, Recap, Step, StepStatus

_METHOD_NAME = names_of(deployment_pb2.DeploymentMethod, Method)
_METHOD = {name: number for number, name in _METHOD_NAME.items()}
_STEP_STATUS = names_of(deployment_pb2.StepStatus, StepStatus)


def wire_deployment(work: DeploymentWork) -> deployment_service_pb2.CreateDeploymentRequest:
    """The request to start it; where, and who asks, is the caller's to add."""
    request = deployment_service_pb2.CreateDeploymentRequest(
        kind=work.kind,
        method=_METHOD[work.method],
        project=work.project,
        playbook=work.playbook,
        extra_vars=to_struct(work.extra_vars),
        secret_vars=work.secret_vars,
        check=work.check,
        diff=work.diff,
        tags=work.tags,
        skip_tags=work.skip_tags,
        limit=work.limit,
        force=work.force,
        new_port=work.new_port,
        new_path=work.new_path,
        artifact_sha256=work.artifact_sha256,
    )
    put_queueing(work, request)
    put_seconds(request.timeout, work.timeout_s)
    put_seconds(request.no_output_timeout, work.no_output_timeout_s)
    return request


def step(message: deployment_pb2.DeploymentStep) -> Step:
    """One step."""
    return Step(
        name=message.name,
        title=message.title,
        status=_STEP_STATUS.get(message.status, StepStatus.UNKNOWN),
        reason=message.reason,
        message=message.message,
        cure=message.cure,
        started_at=moment_of(message, "started_at"),
        ended_at=moment_of(message, "ended_at"),
        log_offset=message.log_offset,
    )


def recap(message: deployment_pb2.PlayRecap) -> Recap:
    """The counts of a play."""
    return Recap(
        ok=message.ok,
        changed=message.changed,
        failed=message.failed,
        skipped=message.skipped,
        unreachable=message.unreachable,
        rescued=message.rescued,
        ignored=message.ignored,
        duration_s=seconds_of(message, "duration"),
    )


def content(message: deployment_pb2.Deployment | deployment_service_pb2.CreateDeploymentRequest) -> dict[str, Any]:
    """The fields of `DeploymentContent`, from a deployment or a request without secrets."""
    if isinstance(message, deployment_pb2.Deployment):
        secret_names = list(message.secret_var_names)
    else:
        secret_names = sorted(message.secret_vars)
    return {
        "kind": message.kind,
        "method": _METHOD_NAME.get(message.method, Method.AUTO),
        "project": message.project,
        "playbook": message.playbook,
        "extra_vars": from_struct(message.extra_vars),
        "secret_var_names": secret_names,
        "check": message.check,
        "diff": message.diff,
        "tags": list(message.tags),
        "skip_tags": list(message.skip_tags),
        "limit": message.limit,
        "timeout_s": seconds_of(message, "timeout"),
        "no_output_timeout_s": seconds_of(message, "no_output_timeout"),
        **queueing(message),
    }


def deployment(message: deployment_pb2.Deployment) -> Deployment:
    """A deployment."""
    return Deployment(
        id=message.id,
        server_id=message.server_id,
        server_name=message.server_name,
        method_used=_METHOD_NAME.get(message.method_used),
        project_version=message.project_version,
        project_digest=message.project_digest,
        status=command_status(message.status),
        reason=message.reason,
        message=message.message,
        cure=message.cure,
        steps=[step(item) for item in message.steps],
        recap=recap(message.recap) if message.HasField("recap") else None,
        created_at=moment_of(message, "created_at"),
        started_at=moment_of(message, "started_at"),
        ended_at=moment_of(message, "ended_at"),
        cancel_requested_at=moment_of(message, "cancel_requested_at"),
        requested_by=message.requested_by,
        log_size_bytes=message.log_size_bytes,
        log_completeness=completeness(message.log_completeness),
        retry_of=message.retry_of,
        details=dict(message.details),
        job_id=message.job_id,
        schedule_id=message.schedule_id,
        **content(message),
        **tracked(message),
    )


def play_event(message: deployment_pb2.PlayEvent) -> PlayEvent:
    """One progress event."""
    return PlayEvent(seq=message.seq, event=from_struct(message.event))
