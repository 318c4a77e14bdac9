"""`JobService`."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from grpc.aio import ServicerContext

from myx.executor.v1 import job_service_pb2 as pb
from myx.executor.v1.job_service_pb2_grpc import JobServiceServicer
from myx_executor.convert import jobs as convert
from myx_executor.convert.commands import seconds_or_none
from myx_executor.usecases.jobs.create import CreateJob
from myx_executor.usecases.jobs.follow import FollowJob
from myx_executor.usecases.jobs.manage import ChangeJobs, ReadJobs, RetryJob, job_id_of


@dataclass(frozen=True, slots=True)
class JobCases:
    """The use cases of jobs."""

    create: CreateJob
    read: ReadJobs
    change: ChangeJobs
    retry: RetryJob
    follow: FollowJob


class JobServicer(JobServiceServicer):
    """`myx.executor.v1.JobService`; statuses and reasons are in the proto's comments."""

    def __init__(self, cases: JobCases) -> None:
        self._cases = cases

    async def PreviewJob(  # noqa: N802
        self, request: pb.PreviewJobRequest, context: ServicerContext[pb.PreviewJobRequest, pb.PreviewJobResponse]
    ) -> pb.PreviewJobResponse:
        """The targets that a job would have now."""
        options = convert.job_options(request.options)
        frozen = await self._cases.create.preview(request.selector, tuple(request.servers), options)
        return pb.PreviewJobResponse(
            targets=[convert.place_to_proto(place) for place in frozen.places],
            targets_sha256=frozen.sha256,
            batch_count=frozen.batch_count,
        )

    async def CreateJob(  # noqa: N802
        self, request: pb.CreateJobRequest, context: ServicerContext[pb.CreateJobRequest, pb.CreateJobResponse]
    ) -> pb.CreateJobResponse:
        """Stores a job and answers at once."""
        job = await self._cases.create.create(convert.job_request(request))
        return pb.CreateJobResponse(job=convert.job_to_proto(job))

    async def GetJob(  # noqa: N802
        self, request: pb.GetJobRequest, context: ServicerContext[pb.GetJobRequest, pb.GetJobResponse]
    ) -> pb.GetJobResponse:
        """One job."""
        job = await self._cases.read.get(job_id_of(request.job_id))
        return pb.GetJobResponse(job=convert.job_to_proto(job))

    async def ListJobs(  # noqa: N802
        self, request: pb.ListJobsRequest, context: ServicerContext[pb.ListJobsRequest, pb.ListJobsResponse]
    ) -> pb.ListJobsResponse:
        """Jobs, newest first."""
        jobs, token = await self._cases.read.list(
            page_size=request.page_size,
            page_token=request.page_token,
            statuses=convert.job_statuses(request.statuses),
            within=request.within.ids if request.HasField("within") else None,
        )
        return pb.ListJobsResponse(jobs=[convert.job_to_proto(job) for job in jobs], next_page_token=token)

    async def ListJobTargets(  # noqa: N802
        self,
        request: pb.ListJobTargetsRequest,
        context: ServicerContext[pb.ListJobTargetsRequest, pb.ListJobTargetsResponse],
    ) -> pb.ListJobTargetsResponse:
        """Targets by number."""
        targets, token = await self._cases.read.targets(
            job_id_of(request.job_id),
            page_size=request.page_size,
            page_token=request.page_token,
            statuses=convert.target_statuses(request.statuses),
        )
        return pb.ListJobTargetsResponse(
            targets=[convert.target_to_proto(target) for target in targets], next_page_token=token
        )

    async def PauseJob(  # noqa: N802
        self, request: pb.PauseJobRequest, context: ServicerContext[pb.PauseJobRequest, pb.PauseJobResponse]
    ) -> pb.PauseJobResponse:
        """Starts nothing new."""
        job = await self._cases.change.pause(job_id_of(request.job_id), request.requested_by)
        return pb.PauseJobResponse(job=convert.job_to_proto(job))

    async def ResumeJob(  # noqa: N802
        self, request: pb.ResumeJobRequest, context: ServicerContext[pb.ResumeJobRequest, pb.ResumeJobResponse]
    ) -> pb.ResumeJobResponse:
        """Goes on."""
        job = await self._cases.change.resume(job_id_of(request.job_id), request.requested_by)
        return pb.ResumeJobResponse(job=convert.job_to_proto(job))

    async def CancelJob(  # noqa: N802
        self, request: pb.CancelJobRequest, context: ServicerContext[pb.CancelJobRequest, pb.CancelJobResponse]
    ) -> pb.CancelJobResponse:
        """Starts nothing new and cancels what runs."""
        grace_s = seconds_or_none(request, "grace")
        job = await self._cases.change.cancel(job_id_of(request.job_id), grace_s, request.requested_by)
        return pb.CancelJobResponse(job=convert.job_to_proto(job))

    async def RetryJob(  # noqa: N802
        self, request: pb.RetryJobRequest, context: ServicerContext[pb.RetryJobRequest, pb.RetryJobResponse]
    ) -> pb.RetryJobResponse:
        """A new job on some targets of a final one."""
        job = await self._cases.retry.retry(convert.repeat(request))
        return pb.RetryJobResponse(job=convert.job_to_proto(job))

    async def UpdateJob(  # noqa: N802
        self, request: pb.UpdateJobRequest, context: ServicerContext[pb.UpdateJobRequest, pb.UpdateJobResponse]
    ) -> pb.UpdateJobResponse:
        """Changes how many targets are under way at once."""
        job = await self._cases.change.set_concurrency(job_id_of(request.job_id), convert.share_of(request.concurrency))
        return pb.UpdateJobResponse(job=convert.job_to_proto(job))

    async def FollowJob(  # noqa: N802
        self, request: pb.FollowJobRequest, context: ServicerContext[pb.FollowJobRequest, pb.FollowJobResponse]
    ) -> AsyncIterator[pb.FollowJobResponse]:
        """Changes and output. The initial metadata go out once the request was found good."""
        steps = self._cases.follow.stream(
            job_id_of(request.job_id), request.after_revision, output=request.output, offsets=dict(request.offsets)
        )
        async with aclosing(steps):
            async for step in steps:
                if step is None:
                    await context.send_initial_metadata(())
                else:
                    yield convert.update_to_proto(step)
