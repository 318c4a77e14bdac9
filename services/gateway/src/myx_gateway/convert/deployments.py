"""Deployments, their steps and the events of their plays."""

from myx.executor.v1 import deployment_pb2
from myx_gateway.convert.commands import command_status, completeness
from myx_gateway.convert.values import from_struct
from myx_gateway.convert.wire import moment_of, seconds_of
from myx_gateway.schemas.deployments import Deployment, Method, PlayEvent, Recap, Step, StepStatus

_METHOD = {
    Method.AUTO: deployment_pb2.DEPLOYMENT_METHOD_AUTO,
    Method.SSH: deployment_pb2.DEPLOYMENT_METHOD_SSH,
    Method.AGENT: deployment_pb2.DEPLOYMENT_METHOD_AGENT,
}
_METHOD_NAME = {number: name for name, number in _METHOD.items()}
_STEP_STATUS = {
    deployment_pb2.STEP_STATUS_PENDING: StepStatus.PENDING,
    deployment_pb2.STEP_STATUS_RUNNING: StepStatus.RUNNING,
    deployment_pb2.STEP_STATUS_SUCCESS: StepStatus.SUCCESS,
    deployment_pb2.STEP_STATUS_FAILED: StepStatus.FAILED,
    deployment_pb2.STEP_STATUS_SKIPPED: StepStatus.SKIPPED,
    deployment_pb2.STEP_STATUS_CANCELLED: StepStatus.CANCELLED,
}


def wire_method(method: Method) -> deployment_pb2.DeploymentMethod.ValueType:
    """The wire form of a method."""
    return _METHOD[method]


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


def deployment(message: deployment_pb2.Deployment) -> Deployment:
    """A deployment."""
    return Deployment(
        id=message.id,
        server_id=message.server_id,
        server_name=message.server_name,
        kind=message.kind,
        method=_METHOD_NAME.get(message.method, Method.AUTO),
        method_used=_METHOD_NAME.get(message.method_used),
        project=message.project,
        playbook=message.playbook,
        project_version=message.project_version,
        project_digest=message.project_digest,
        extra_vars=from_struct(message.extra_vars),
        secret_var_names=list(message.secret_var_names),
        check=message.check,
        diff=message.diff,
        tags=list(message.tags),
        skip_tags=list(message.skip_tags),
        limit=message.limit,
        timeout_s=seconds_of(message, "timeout"),
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
    )


def play_event(message: deployment_pb2.PlayEvent) -> PlayEvent:
    """One progress event."""
    return PlayEvent(seq=message.seq, event=from_struct(message.event))
