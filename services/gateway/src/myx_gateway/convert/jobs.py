"""Jobs, their targets and their options."""

from typing import Any

from myx.executor.v1 import deployment_service_pb2, job_pb2, job_service_pb2
from myx_gateway.convert import commands, deployments
from myx_gateway.convert.states import put_seconds, tracked
from myx_gateway.convert.wire import moment_of, names_of, seconds_of
from myx_gateway.schemas.commands import CommandContent
from myx_gateway.schemas.jobs import (
    Job,
    JobDeployment,
    JobOptions,
    JobPreview,
    JobStatus,
    JobTarget,
    JobWork,
    NewJob,
    NewJobWork,
    Selection,
    TargetStatus,
)
from myx_gateway.schemas.shares import parse_share

_JOB_STATUS = names_of(job_pb2.JobStatus, JobStatus)
_TARGET_STATUS = names_of(job_pb2.TargetStatus, TargetStatus)
WIRE_JOB_STATUS = {status: number for number, status in _JOB_STATUS.items()}
WIRE_TARGET_STATUS = {status: number for number, status in _TARGET_STATUS.items()}


def wire_share(text: str) -> job_pb2.Share:
    """The wire form of a share that was checked."""
    count, percent = parse_share(text)
    return job_pb2.Share(percent=percent) if count is None else job_pb2.Share(count=count)


def share(message: job_pb2.Share) -> str:
    """`10` or `10%`."""
    if message.WhichOneof("amount") == "percent":
        return f"{message.percent:.6f}".rstrip("0").rstrip(".") + "%"
    return str(message.count)


def wire_options(options: JobOptions) -> job_pb2.JobOptions:
    """The wire form of options; what is not given stays unset."""
    message = job_pb2.JobOptions(
        batches=[wire_share(text) for text in options.batches], batch_label=options.batch_label
    )
    for name in ("concurrency", "canary", "max_failed", "max_unreachable"):
        text = getattr(options, name)
        if text is not None:
            getattr(message, name).CopyFrom(wire_share(text))
    put_seconds(message.batch_pause, options.batch_pause_s)
    put_seconds(message.canary_soak, options.canary_soak_s)
    put_seconds(message.deadline, options.deadline_s)
    return message


def _options(message: job_pb2.JobOptions) -> JobOptions:
    def text(name: str) -> str | None:
        return share(getattr(message, name)) if message.HasField(name) else None  # type: ignore[arg-type]

    # Not checked: what the executor has accepted is shown as it is.
    return JobOptions.model_construct(
        concurrency=text("concurrency"),
        batches=[share(item) for item in message.batches],
        batch_label=message.batch_label,
        batch_pause_s=seconds_of(message, "batch_pause"),
        canary=text("canary"),
        canary_soak_s=seconds_of(message, "canary_soak"),
        max_failed=text("max_failed"),
        max_unreachable=text("max_unreachable"),
        deadline_s=seconds_of(message, "deadline"),
    )


def wire_work(work: NewJobWork) -> job_pb2.JobWork:
    """The wire form of a job's work."""
    if work.command is not None:
        return job_pb2.JobWork(command=commands.wire_command(work.command))
    assert work.deployment is not None  # noqa: S101 - the schema has seen to it
    return job_pb2.JobWork(deployment=deployments.wire_deployment(work.deployment))


def wire_preview(body: Selection) -> job_service_pb2.PreviewJobRequest:
    """The request for a preview."""
    return job_service_pb2.PreviewJobRequest(
        selector=body.selector or "", servers=body.servers, options=wire_options(body.options)
    )


def wire_job(body: NewJob) -> job_service_pb2.CreateJobRequest:
    """The request to start a job; who asks is the caller's to add."""
    return job_service_pb2.CreateJobRequest(
        name=body.name,
        selector=body.selector or "",
        servers=body.servers,
        work=wire_work(body.work),
        options=wire_options(body.options),
        expected_targets_sha256=body.expected_targets_sha256,
    )


def deployment_content(message: deployment_service_pb2.CreateDeploymentRequest) -> dict[str, Any]:
    """The fields of `JobDeployment`."""
    return {
        "force": message.force,
        "new_port": message.new_port,
        "new_path": message.new_path,
        "artifact_sha256": message.artifact_sha256,
        **deployments.content(message),
    }


def _work(message: job_pb2.JobWork) -> JobWork:
    kind = message.WhichOneof("work")
    return JobWork(
        command=CommandContent(**commands.content(message.command)) if kind == "command" else None,
        deployment=JobDeployment(**deployment_content(message.deployment)) if kind == "deployment" else None,
    )


def content(message: job_pb2.Job | job_service_pb2.CreateJobRequest) -> dict[str, Any]:
    """The fields of `JobContent`."""
    return {
        "name": message.name,
        "selector": message.selector,
        "work": _work(message.work),
        "options": _options(message.options),
    }


def job(message: job_pb2.Job) -> Job:
    """A job."""
    return Job(
        id=message.id,
        status=_JOB_STATUS.get(message.status, JobStatus.UNKNOWN),
        reason=message.reason,
        message=message.message,
        target_count=message.target_count,
        targets_sha256=message.targets_sha256,
        counts={_target_status(item.status): item.count for item in message.counts},
        batch=message.batch,
        batch_count=message.batch_count,
        created_at=moment_of(message, "created_at"),
        started_at=moment_of(message, "started_at"),
        ended_at=moment_of(message, "ended_at"),
        requested_by=message.requested_by,
        retry_of=message.retry_of,
        schedule_id=message.schedule_id,
        revision=message.revision,
        **content(message),
        **tracked(message),
    )


def target(message: job_pb2.JobTarget) -> JobTarget:
    """A target."""
    return JobTarget(
        number=message.number,
        server_id=message.server_id,
        server_name=message.server_name,
        batch=message.batch,
        status=_target_status(message.status),
        command_id=message.command_id,
        reason=message.reason,
        message=message.message,
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        started_at=moment_of(message, "started_at"),
        ended_at=moment_of(message, "ended_at"),
        log_size_bytes=message.log_size_bytes,
        output_sha256=message.output_sha256,
        revision=message.revision,
    )


def preview(message: job_service_pb2.PreviewJobResponse) -> JobPreview:
    """The targets that a job would have."""
    return JobPreview(
        targets=[target(item) for item in message.targets],
        targets_sha256=message.targets_sha256,
        batch_count=message.batch_count,
    )


def _target_status(status: job_pb2.TargetStatus.ValueType) -> TargetStatus:
    return _TARGET_STATUS.get(status, TargetStatus.UNKNOWN)
