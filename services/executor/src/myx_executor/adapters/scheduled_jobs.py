"""Jobs that schedules start."""

from dataclasses import replace
from uuid import UUID

from myx.executor.v1.job_service_pb2 import CreateJobRequest
from myx_executor.convert.jobs import job_request
from myx_executor.convert.scheduled_work import Request
from myx_executor.domain.job_plan import targets_sha256
from myx_executor.store.jobs import JobStore
from myx_executor.usecases.deployments.checks import CreateRequest
from myx_executor.usecases.jobs.create import CreateJob, DeploymentChecks
from myx_executor.usecases.jobs.ports import Targets
from myx_executor.usecases.jobs.requests import JobRequest, check
from myx_executor.usecases.schedules.ports import Subject
from myx_kit.errors import FailedPrecondition, Internal, InvalidArgument


class JobStarter:
    """Fits `StarterOf`."""

    def __init__(self, create: CreateJob, store: JobStore, targets: Targets, deployments: DeploymentChecks) -> None:
        self._create = create
        self._store = store
        self._targets = targets
        self._deployments = deployments

    async def check(self, request: Request) -> None:
        """As CreateJob would; a selector may match nothing yet."""
        asked = _asked(request)
        check(asked)
        if asked.expected_targets_sha256:
            message = "a schedule's job is for whatever matches when it fires: leave it empty"
            raise InvalidArgument("SCHEDULE_INVALID", message, field="expected_targets_sha256")
        if isinstance(asked.work, CreateRequest):
            await self._deployments.check_content(replace(asked.work, server="any"))
        await self._targets.resolve(selector=asked.selector, servers=asked.servers)

    async def subject(self, request: Request) -> Subject:
        """Those that are matched now. FailedPrecondition `SELECTOR_MATCHES_NOTHING`."""
        asked = _asked(request)
        found = await self._targets.resolve(selector=asked.selector, servers=asked.servers)
        ids = [target.server_id for target in found]
        if not ids:
            raise FailedPrecondition("SELECTOR_MATCHES_NOTHING", "no server matches the selector", field="selector")
        return Subject("jobs.create", ids, targets_sha256(ids))

    async def find(self, requested_by: str, request_id: str) -> UUID | None:
        """The job of this request id."""
        found = await self._store.by_request(requested_by, request_id)
        return None if found is None else found[0]

    async def start(self, request: Request, schedule_id: UUID, targets_sha256: str) -> UUID:
        """Accepts a job on the servers that were asked about, and no others."""
        asked = replace(_asked(request), schedule_id=schedule_id, expected_targets_sha256=targets_sha256)
        return (await self._create.create(asked)).id


def _asked(request: Request) -> JobRequest:
    if not isinstance(request, CreateJobRequest):
        raise Internal("WORK_KIND", "the work of a schedule is not of its kind")
    return job_request(request)
