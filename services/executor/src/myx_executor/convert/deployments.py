"""Deployments: proto and domain, both ways. Pure."""

from collections.abc import Mapping
from typing import Any

from myx.executor.v1 import deployment_pb2 as pb
from myx.executor.v1.deployment_service_pb2 import CreateDeploymentRequest
from myx_executor.convert.commands import (
    COMPLETENESS,
    LOCK_MODES,
    OFFLINE_POLICIES,
    STATUSES,
    change_to_proto,
    lock_mode,
    offline_policy,
    seconds_or_none,
)
from myx_executor.convert.values import from_struct, to_struct
from myx_executor.domain.deployment import Deployment, Method, Recap, Step, StepStatus
from myx_executor.domain.next_step import next_sentence
from myx_executor.usecases.deployments.checks import CreateRequest
from myx_kit.errors import InvalidArgument
from myx_kit.wire_time import duration, timestamp

METHODS = {method: pb.DeploymentMethod.Value(f"DEPLOYMENT_METHOD_{method.name}") for method in Method}
_FROM_METHODS: dict[int, Method] = {number: method for method, number in METHODS.items()} | {0: Method.AUTO}
_STEP_STATUSES = {status: pb.StepStatus.Value(f"STEP_STATUS_{status.name}") for status in StepStatus}


def create_request(request: CreateDeploymentRequest) -> CreateRequest:
    """A CreateDeploymentRequest; what is wrong in it the use case says. InvalidArgument `METHOD_INVALID`."""
    if request.method not in _FROM_METHODS:
        raise InvalidArgument("METHOD_INVALID", "method must be AUTO, SSH or AGENT", field="method")
    return CreateRequest(
        server=request.server,
        kind=request.kind,
        method=_FROM_METHODS[request.method],
        project=request.project,
        playbook=request.playbook,
        extra_vars=from_struct(request.extra_vars),
        secret_vars=dict(request.secret_vars),
        check=request.check,
        diff=request.diff,
        tags=tuple(request.tags),
        skip_tags=tuple(request.skip_tags),
        limit=request.limit,
        timeout_s=seconds_or_none(request, "timeout"),
        no_output_timeout_s=seconds_or_none(request, "no_output_timeout"),
        force=request.force,
        new_port=request.new_port,
        new_path=request.new_path,
        artifact_sha256=request.artifact_sha256,
        request_id=request.request_id,
        requested_by=request.requested_by,
        offline=offline_policy(request.offline),
        queue_timeout_s=seconds_or_none(request, "queue_timeout"),
        lock=lock_mode(request.lock),
    )


def deployment_to_proto(deployment: Deployment) -> pb.Deployment:
    """A deployment as callers see it."""
    row, plan = deployment.row, deployment.plan
    used = deployment.method_used
    return pb.Deployment(
        id=str(row.id),
        server_id=row.server_id,
        server_name=row.server_name,
        kind=plan.kind,
        method=METHODS[plan.method],
        method_used=METHODS[used] if used else pb.DEPLOYMENT_METHOD_UNSPECIFIED,
        project=plan.project,
        playbook=plan.playbook,
        project_version=deployment.project_version,
        project_digest=deployment.project_digest,
        extra_vars=to_struct(plan.extra_vars),
        secret_var_names=plan.secret_var_names,
        check=plan.check,
        diff=plan.diff,
        tags=plan.tags,
        skip_tags=plan.skip_tags,
        limit=plan.limit,
        status=STATUSES[row.status],
        reason=row.reason,
        message=row.message,
        cure=deployment.cure,
        steps=[_step(step) for step in deployment.steps],
        recap=_recap(deployment.recap),
        created_at=timestamp(row.created_at),
        started_at=timestamp(row.started_at),
        ended_at=timestamp(row.ended_at),
        cancel_requested_at=timestamp(row.cancel_requested_at),
        requested_by=row.requested_by,
        log_size_bytes=row.log_size,
        log_completeness=COMPLETENESS[row.completeness],
        retry_of=str(deployment.retry_of or ""),
        details=deployment.details,
        timeout=duration(row.spec.timeout_s),
        no_output_timeout=duration(row.spec.no_output_timeout_s),
        status_since=timestamp(row.status_since),
        deadline_at=timestamp(row.deadline_at),
        owner=row.owner,
        next=next_sentence(row),
        changes=[change_to_proto(change) for change in row.changes],
        offline=OFFLINE_POLICIES[row.offline_policy],
        queue_timeout=duration(row.queue_timeout_s),
        lock=LOCK_MODES[row.lock_mode],
        job_id=str(row.job_id or ""),
        schedule_id=str(row.schedule_id or ""),
    )


def event_to_proto(seq: int, event: Mapping[str, Any]) -> pb.PlayEvent:
    """One progress event."""
    return pb.PlayEvent(seq=seq, event=to_struct({**event, "seq": seq}))


def _step(step: Step) -> pb.DeploymentStep:
    return pb.DeploymentStep(
        name=step.name,
        title=step.title,
        status=_STEP_STATUSES[step.status],
        reason=step.reason,
        message=step.message,
        cure=step.cure,
        started_at=timestamp(step.started_at),
        ended_at=timestamp(step.ended_at),
        log_offset=step.log_offset,
    )


def _recap(recap: Recap | None) -> pb.PlayRecap | None:
    if recap is None:
        return None
    return pb.PlayRecap(
        ok=recap.ok,
        changed=recap.changed,
        failed=recap.failed,
        skipped=recap.skipped,
        unreachable=recap.unreachable,
        rescued=recap.rescued,
        ignored=recap.ignored,
        duration=duration(recap.duration_s),
    )
