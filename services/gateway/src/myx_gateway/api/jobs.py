"""/jobs"""

from typing import Annotated

from fastapi import Query, Response

from myx.executor.v1 import job_service_pb2 as executor
from myx_gateway.api.dependencies import (
    AccessDep,
    ClientsDep,
    JobPath,
    PageSize,
    PageToken,
    PrincipalDep,
    RequestIdDep,
    within,
)
from myx_gateway.api.narrowing import narrow_targets
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import jobs as convert
from myx_gateway.schemas.commands import CancelRequest
from myx_gateway.schemas.jobs import (
    Job,
    JobChanges,
    JobPage,
    JobPreview,
    JobRetry,
    JobStatus,
    JobTargetPage,
    NewJob,
    Selection,
    TargetStatus,
)
from myx_kit.wire_time import duration

router = OperationRouter(tags=["jobs"])

# A start resolves and freezes thousands of targets.
_START_DEADLINE_S = 30.0


@router.operation("jobs.create")
async def create_job(
    clients: ClientsDep, access: AccessDep, request_id: RequestIdDep, body: NewJob, response: Response
) -> Job:
    """Freeze the targets and accept a job; it is carried out in the background."""
    request = convert.wire_job(body)
    await narrow_targets(request, access)
    request.request_id, request.requested_by = request_id, access.principal.name
    answer = await clients.jobs.CreateJob(request, timeout=_START_DEADLINE_S)
    response.headers["Location"] = f"/api/v1/jobs/{answer.job.id}"
    return convert.job(answer.job)


@router.operation("jobs.preview")
async def preview_job(clients: ClientsDep, access: AccessDep, body: Selection) -> JobPreview:
    """The targets that a job would have now, in their batches. Nothing is stored."""
    request = convert.wire_preview(body)
    await narrow_targets(request, access)
    answer = await clients.jobs.PreviewJob(request, timeout=_START_DEADLINE_S)
    return convert.preview(answer)


@router.operation("jobs.list")
async def list_jobs(
    clients: ClientsDep,
    access: AccessDep,
    status: Annotated[list[JobStatus] | None, Query(description="Only these; may be repeated.")] = None,
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> JobPage:
    """Jobs, newest first."""
    answer = await clients.jobs.ListJobs(
        executor.ListJobsRequest(
            page_size=page_size,
            page_token=page_token,
            statuses=[convert.WIRE_JOB_STATUS[item] for item in status or ()],
            within=await within(access),
        )
    )
    return JobPage(items=[convert.job(item) for item in answer.jobs], next_page_token=answer.next_page_token or None)


@router.operation("jobs.get")
async def get_job(clients: ClientsDep, job_id: JobPath) -> Job:
    """One job with its targets counted by state."""
    answer = await clients.jobs.GetJob(executor.GetJobRequest(job_id=job_id))
    return convert.job(answer.job)


@router.operation("jobs.update")
async def update_job(clients: ClientsDep, principal: PrincipalDep, job_id: JobPath, body: JobChanges) -> Job:
    """Change how many targets are under way at once, while the job is open. Safe to repeat."""
    answer = await clients.jobs.UpdateJob(
        executor.UpdateJobRequest(
            job_id=job_id, concurrency=convert.wire_share(body.concurrency), requested_by=principal.name
        )
    )
    return convert.job(answer.job)


@router.operation("jobs.targets")
async def list_job_targets(
    *,
    clients: ClientsDep,
    job_id: JobPath,
    status: Annotated[list[TargetStatus] | None, Query(description="Only these; may be repeated.")] = None,
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> JobTargetPage:
    """The targets of a job, by number."""
    answer = await clients.jobs.ListJobTargets(
        executor.ListJobTargetsRequest(
            job_id=job_id,
            page_size=page_size,
            page_token=page_token,
            statuses=[convert.WIRE_TARGET_STATUS[item] for item in status or ()],
        )
    )
    return JobTargetPage(
        items=[convert.target(item) for item in answer.targets], next_page_token=answer.next_page_token or None
    )


@router.operation("jobs.pause")
async def pause_job(clients: ClientsDep, principal: PrincipalDep, job_id: JobPath) -> Job:
    """Start nothing new; what runs goes on. Safe to repeat."""
    answer = await clients.jobs.PauseJob(executor.PauseJobRequest(job_id=job_id, requested_by=principal.name))
    return convert.job(answer.job)


@router.operation("jobs.resume")
async def resume_job(clients: ClientsDep, principal: PrincipalDep, job_id: JobPath) -> Job:
    """Go on after a pause. Safe to repeat."""
    answer = await clients.jobs.ResumeJob(executor.ResumeJobRequest(job_id=job_id, requested_by=principal.name))
    return convert.job(answer.job)


@router.operation("jobs.cancel")
async def cancel_job(
    clients: ClientsDep, principal: PrincipalDep, job_id: JobPath, body: CancelRequest | None = None
) -> Job:
    """Start nothing new and cancel what runs; it is `cancelling` until every end is proved. Safe to repeat."""
    request = executor.CancelJobRequest(job_id=job_id, requested_by=principal.name)
    if body is not None and body.grace_s is not None:
        request.grace.CopyFrom(duration(body.grace_s))
    answer = await clients.jobs.CancelJob(request)
    return convert.job(answer.job)


@router.operation("jobs.retry")
async def retry_job(
    *,
    clients: ClientsDep,
    principal: PrincipalDep,
    request_id: RequestIdDep,
    job_id: JobPath,
    response: Response,
    body: JobRetry | None = None,
) -> Job:
    """Start a new job with the same content on those targets of a final one that are in the given states."""
    body = body or JobRetry()
    answer = await clients.jobs.RetryJob(
        executor.RetryJobRequest(
            job_id=job_id,
            statuses=[convert.WIRE_TARGET_STATUS[item] for item in body.statuses],
            secrets=body.secrets,
            request_id=request_id,
            requested_by=principal.name,
        ),
        timeout=_START_DEADLINE_S,
    )
    response.headers["Location"] = f"/api/v1/jobs/{answer.job.id}"
    return convert.job(answer.job)
