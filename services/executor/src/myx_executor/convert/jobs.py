"""Jobs: proto and domain, both ways. Pure."""

from collections.abc import Iterator, Sequence

from google.protobuf.message import Message

from myx.executor.v1 import job_pb2 as pb
from myx.executor.v1 import job_service_pb2 as service
from myx.executor.v1.command_pb2 import LOG_STREAM_STDERR, LOG_STREAM_STDOUT, LogFrame, LogGap
from myx.executor.v1.command_service_pb2 import RunCommandRequest
from myx.executor.v1.deployment_service_pb2 import CreateDeploymentRequest
from myx_executor.convert import deployments
from myx_executor.convert.commands import (
    LOCK_MODES,
    OFFLINE_POLICIES,
    change_to_proto,
    run_request,
    seconds_or_none,
)
from myx_executor.convert.values import to_struct
from myx_executor.domain.job_plan import Place
from myx_executor.domain.job_states import next_sentence
from myx_executor.domain.jobs import DEFAULT_DEADLINE_S, Job, JobOptions, JobStatus, JobTarget, Share, TargetStatus
from myx_executor.domain.log import STDOUT, Piece
from myx_executor.usecases.jobs.follow import Update
from myx_executor.usecases.jobs.manage import Repeat, job_id_of
from myx_executor.usecases.jobs.requests import JobRequest
from myx_executor.usecases.jobs.tail import Output
from myx_executor.usecases.jobs.work import WorkRequest, shown
from myx_executor.usecases.run_command import RunRequest
from myx_kit.errors import InvalidArgument
from myx_kit.wire_time import duration, timestamp

JOB_STATUSES = {status: pb.JobStatus.Value(f"JOB_STATUS_{status.name}") for status in JobStatus}
_FROM_JOB: dict[int, JobStatus] = {number: status for status, number in JOB_STATUSES.items()}
TARGET_STATUSES = {status: pb.TargetStatus.Value(f"TARGET_STATUS_{status.name}") for status in TargetStatus}
_FROM_TARGET: dict[int, TargetStatus] = {number: status for status, number in TARGET_STATUSES.items()}


def job_request(request: service.CreateJobRequest) -> JobRequest:
    """A CreateJobRequest; what is wrong in it the use case says. InvalidArgument when there is nothing to do."""
    return JobRequest(
        work=_work(request.work),
        name=request.name,
        selector=request.selector,
        servers=tuple(request.servers),
        options=job_options(request.options),
        expected_targets_sha256=request.expected_targets_sha256,
        request_id=request.request_id,
        requested_by=request.requested_by,
    )


def repeat(request: service.RetryJobRequest) -> Repeat:
    """A RetryJobRequest."""
    return Repeat(
        job_id=job_id_of(request.job_id),
        statuses=target_statuses(request.statuses),
        secrets=dict(request.secrets),
        request_id=request.request_id,
        requested_by=request.requested_by,
    )


def job_options(message: pb.JobOptions) -> JobOptions:
    """Options as they came; what is not set has its default."""
    deadline_s = seconds_or_none(message, "deadline")
    return JobOptions(
        concurrency=_share(message, "concurrency") or JobOptions().concurrency,
        batches=tuple(share_of(share) for share in message.batches),
        batch_label=message.batch_label,
        batch_pause_s=seconds_or_none(message, "batch_pause") or 0.0,
        canary=_share(message, "canary"),
        canary_soak_s=seconds_or_none(message, "canary_soak") or 0.0,
        max_failed=_share(message, "max_failed"),
        max_unreachable=_share(message, "max_unreachable"),
        deadline_s=DEFAULT_DEADLINE_S if deadline_s is None else deadline_s,
    )


def share_of(share: pb.Share) -> Share:
    """A share; one that says nothing is a count of 0."""
    return Share(percent=share.percent) if share.WhichOneof("amount") == "percent" else Share(share.count)


def job_statuses(numbers: Sequence[int]) -> list[JobStatus]:
    """States of a filter. InvalidArgument for a number that is none."""
    try:
        return [_FROM_JOB[number] for number in numbers]
    except KeyError:
        raise InvalidArgument("ARGUMENT_INVALID", "statuses has a value that is no state", field="statuses") from None


def target_statuses(numbers: Sequence[int]) -> list[TargetStatus]:
    """States of a filter. InvalidArgument for a number that is none."""
    try:
        return [_FROM_TARGET[number] for number in numbers]
    except KeyError:
        raise InvalidArgument("ARGUMENT_INVALID", "statuses has a value that is no state", field="statuses") from None


def job_to_proto(job: Job) -> pb.Job:
    """A job as callers see it."""
    return pb.Job(
        id=str(job.id),
        name=job.name,
        selector=job.selector,
        work=_work_to_proto(shown(job.work)),
        options=_options_to_proto(job.options),
        status=JOB_STATUSES[job.status],
        reason=job.reason,
        message=job.message,
        status_since=timestamp(job.status_since),
        deadline_at=timestamp(job.deadline_at),
        owner=job.owner,
        next=next_sentence(job),
        changes=[change_to_proto(change) for change in job.changes],
        target_count=job.target_count,
        targets_sha256=job.targets_sha256,
        counts=[
            pb.TargetCount(status=TARGET_STATUSES[status], count=job.counts[status])
            for status in TargetStatus
            if job.counts.get(status)
        ],
        batch=job.batch,
        batch_count=job.batch_count,
        created_at=timestamp(job.created_at),
        started_at=timestamp(job.started_at),
        ended_at=timestamp(job.ended_at),
        requested_by=job.requested_by,
        retry_of=str(job.retry_of or ""),
        schedule_id=str(job.schedule_id or ""),
        revision=job.revision,
    )


def target_to_proto(target: JobTarget) -> pb.JobTarget:
    """A target as callers see it."""
    return pb.JobTarget(
        number=target.number,
        server_id=target.server_id,
        server_name=target.server_name,
        batch=target.batch,
        status=TARGET_STATUSES[target.status],
        command_id=str(target.command_id or ""),
        reason=target.reason,
        message=target.message,
        exit_code=target.exit_code,
        started_at=timestamp(target.started_at),
        ended_at=timestamp(target.ended_at),
        log_size_bytes=target.log_size,
        output_sha256=target.output_sha256,
        revision=target.revision,
    )


def place_to_proto(place: Place) -> pb.JobTarget:
    """A target that there would be."""
    return pb.JobTarget(
        number=place.number,
        server_id=place.candidate.server_id,
        server_name=place.candidate.name,
        batch=place.batch,
        status=pb.TARGET_STATUS_WAITING,
    )


def update_to_proto(update: Update) -> service.FollowJobResponse:
    """One message of a stream."""
    return service.FollowJobResponse(
        job=None if update.job is None else job_to_proto(update.job),
        targets=[target_to_proto(target) for target in update.targets],
        output=[part for one in update.output for part in _output_to_proto(one)],
    )


def _output_to_proto(output: Output) -> Iterator[service.TargetOutput]:
    number, pieces = output
    part = service.TargetOutput(number=number)
    for piece in pieces:
        if piece.gap_reason is None:
            part.frames.extend(_frames(piece))
            continue
        if part.frames:
            yield part
            part = service.TargetOutput(number=number)
        gap = LogGap(from_offset=piece.offset, to_offset=piece.end, reason=piece.gap_reason)
        yield service.TargetOutput(number=number, gap=gap)
    if part.frames:
        yield part


def _frames(piece: Piece) -> Iterator[LogFrame]:
    for run in piece.runs():
        stream = LOG_STREAM_STDOUT if run.stream == STDOUT else LOG_STREAM_STDERR
        yield LogFrame(stream=stream, offset=run.offset, data=run.data)


def _work(work: pb.JobWork) -> WorkRequest:
    match work.WhichOneof("work"):
        case "command":
            return run_request(work.command)
        case "deployment":
            return deployments.create_request(work.deployment)
        case _:
            raise InvalidArgument("ARGUMENT_INVALID", "work must be a command or a deployment", field="work")


def _work_to_proto(request: WorkRequest) -> pb.JobWork:
    if isinstance(request, RunRequest):
        command = RunCommandRequest(
            command=request.command,
            args=request.args,
            env=request.env,
            secret_env=request.secret_env,
            cwd=request.cwd,
            user=request.user,
            timeout=duration(request.timeout_s),
            no_output_timeout=duration(request.no_output_timeout_s),
            offline=OFFLINE_POLICIES[request.offline],
            queue_timeout=duration(request.queue_timeout_s),
            connect_timeout=duration(request.connect_timeout_s),
            lock=LOCK_MODES[request.lock],
        )
        return pb.JobWork(command=command)
    deployment = CreateDeploymentRequest(
        kind=request.kind,
        method=deployments.METHODS[request.method],
        project=request.project,
        playbook=request.playbook,
        extra_vars=to_struct(request.extra_vars),
        secret_vars=request.secret_vars,
        check=request.check,
        diff=request.diff,
        tags=request.tags,
        skip_tags=request.skip_tags,
        limit=request.limit,
        timeout=duration(request.timeout_s),
        no_output_timeout=duration(request.no_output_timeout_s),
        force=request.force,
        new_port=request.new_port,
        new_path=request.new_path,
        artifact_sha256=request.artifact_sha256,
        offline=OFFLINE_POLICIES[request.offline],
        queue_timeout=duration(request.queue_timeout_s),
        lock=LOCK_MODES[request.lock],
    )
    return pb.JobWork(deployment=deployment)


def _options_to_proto(options: JobOptions) -> pb.JobOptions:
    return pb.JobOptions(
        concurrency=_share_to_proto(options.concurrency),
        batches=[_share_to_proto(share) for share in options.batches],
        batch_label=options.batch_label,
        batch_pause=duration(options.batch_pause_s),
        canary=_share_or_none(options.canary),
        canary_soak=duration(options.canary_soak_s),
        max_failed=_share_or_none(options.max_failed),
        max_unreachable=_share_or_none(options.max_unreachable),
        deadline=duration(options.deadline_s),
    )


def _share(message: Message, name: str) -> Share | None:
    return share_of(getattr(message, name)) if message.HasField(name) else None


def _share_to_proto(share: Share) -> pb.Share:
    return pb.Share(count=share.count) if share.percent is None else pb.Share(percent=share.percent)


def _share_or_none(share: Share | None) -> pb.Share | None:
    return None if share is None else _share_to_proto(share)
