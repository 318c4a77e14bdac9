"""CreateJob and PreviewJob: resolve once, freeze, store once, begin."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from myx_executor.domain.command import Change, Secrets
from myx_executor.domain.job_plan import Candidate, Place, freeze, targets_sha256
from myx_executor.domain.jobs import MAX_TARGETS, Job, JobOptions, JobStatus, TargetStatus, Work, check_options
from myx_executor.store.jobs import JobStore, NewJob
from myx_executor.store.jobs_rows import options_to_json
from myx_executor.usecases import origins
from myx_executor.usecases.deployments.checks import CreateRequest
from myx_executor.usecases.jobs.ports import Target, Targets
from myx_executor.usecases.jobs.requests import JobRequest, check, check_selection, content
from myx_executor.usecases.jobs.work import to_work
from myx_executor.usecases.sealing import content_digest, open_digest, seal_digest, seal_secrets
from myx_kit.errors import Aborted, FailedPrecondition, Internal
from myx_kit.ids import new_id
from myx_kit.logging import get_logger
from myx_kit.secretbox import SecretBox

log = get_logger()


class DeploymentChecks(Protocol):
    """Says whether a deployment can be made, whatever the server."""

    async def check_content(self, request: CreateRequest) -> None:
        """Raises what CreateDeployment would, of playbook and artifact."""
        ...


@dataclass(frozen=True, slots=True)
class Frozen:
    """The list of a job's targets, in order."""

    places: Sequence[Place]
    sha256: str

    @property
    def batch_count(self) -> int:
        """How many batches there are."""
        return self.places[-1].batch


class CreateJob:
    """Accepts jobs."""

    def __init__(
        self,
        store: JobStore,
        targets: Targets,
        box: SecretBox,
        deployments: DeploymentChecks,
        on_new: Callable[[], None],
    ) -> None:
        self._store = store
        self._targets = targets
        self._box = box
        self._deployments = deployments
        self._on_new = on_new

    async def preview(self, selector: str, servers: Sequence[str], options: JobOptions) -> Frozen:
        """The list that a job would have now. Errors as the proto says."""
        check_selection(selector, servers)
        check_options(options)
        return await self._freeze(selector, servers, options)

    async def create(self, request: JobRequest) -> Job:
        """The stored job, new or that of the first call with this request id. Errors as the proto says."""
        check(request)
        digest = _digest(request)
        known = await self.earlier(request.requested_by, request.request_id, digest)
        if known is not None:
            return known
        if isinstance(request.work, CreateRequest):
            await self._deployments.check_content(replace(request.work, server="any"))
        frozen = await self._freeze(request.selector, request.servers, request.options)
        if request.expected_targets_sha256 and frozen.sha256 != request.expected_targets_sha256:
            message = f"the selection has other targets now ({len(frozen.places)}): look at the list again"
            raise FailedPrecondition("TARGETS_CHANGED", message, targets_sha256=frozen.sha256)
        work, secrets = to_work(request.work)
        job = new_job(
            request.name,
            request.selector,
            work,
            request.options,
            frozen,
            requested_by=request.requested_by,
            schedule_id=request.schedule_id,
        )
        return await self.store(job, frozen, secrets, request.request_id, digest)

    async def store(self, job: Job, frozen: Frozen, secrets: Secrets, request_id: str, digest: bytes) -> Job:
        """Stores a job with its list and has it begun; the first one of its request id."""
        new = NewJob(
            job=job,
            places=frozen.places,
            sealed=seal_secrets(self._box, job.id, secrets, table="job"),
            request_id=request_id or None,
            sealed_request_digest=seal_digest(self._box, job.id, digest, table="job") if request_id else None,
        )
        if await self._store.insert(new):
            origins.remember(job.id)
            log.info("job_accepted", job_id=str(job.id), targets=job.target_count, requested_by=job.requested_by)
            self._on_new()
            return await self._store.get(job.id) or job
        known = await self.earlier(job.requested_by, request_id, digest)
        if known is None:
            raise Internal("REQUEST_ID_VANISHED", "the first job of this request id is gone")
        return known

    async def earlier(self, requested_by: str, request_id: str, digest: bytes) -> Job | None:
        """The job of a request id. Aborted `REQUEST_ID_REUSED` when it has another content."""
        if not request_id:
            return None
        found = await self._store.by_request(requested_by, request_id)
        if found is None:
            return None
        job_id, sealed = found
        if open_digest(self._box, job_id, sealed, table="job") != digest:
            message = "the request id was used before for another job"
            raise Aborted("REQUEST_ID_REUSED", message, field="request_id", job_id=str(job_id))
        return await self._store.get(job_id)

    async def _freeze(self, selector: str, servers: Sequence[str], options: JobOptions) -> Frozen:
        found = await self._targets.resolve(selector=selector, servers=servers)
        return frozen_list([_candidate(one, options.batch_label) for one in found], options)


def frozen_list(candidates: Sequence[Candidate], options: JobOptions) -> Frozen:
    """FailedPrecondition `SELECTOR_MATCHES_NOTHING`, `TOO_MANY_TARGETS`."""
    places = freeze(candidates, options)
    if not places:
        raise FailedPrecondition("SELECTOR_MATCHES_NOTHING", "no server matches the selector", field="selector")
    if len(places) > MAX_TARGETS:
        message = f"{len(places)} servers match, a job may have {MAX_TARGETS}: narrow the selector"
        raise FailedPrecondition("TOO_MANY_TARGETS", message, field="selector")
    return Frozen(places, targets_sha256(place.candidate.server_id for place in places))


def new_job(
    name: str,
    selector: str,
    work: Work,
    options: JobOptions,
    frozen: Frozen,
    *,
    requested_by: str,
    retry_of: UUID | None = None,
    schedule_id: UUID | None = None,
) -> Job:
    """A job that nobody works on yet."""
    now = datetime.now(UTC)
    return Job(
        id=new_id(),
        name=name,
        selector=selector,
        work=work,
        options=options,
        status=JobStatus.PENDING,
        reason="",
        message="",
        status_since=now,
        deadline_at=now + timedelta(seconds=options.deadline_s),
        owner="",
        changes=(Change(now, "", str(JobStatus.PENDING), requested_by, "accepted", ""),),
        target_count=len(frozen.places),
        targets_sha256=frozen.sha256,
        batch=0,
        batch_count=frozen.batch_count,
        hold_until=None,
        created_at=now,
        started_at=None,
        ended_at=None,
        requested_by=requested_by,
        retry_of=retry_of,
        schedule_id=schedule_id,
        counts={TargetStatus.WAITING: len(frozen.places)},
    )


def _candidate(target: Target, label: str) -> Candidate:
    return Candidate(target.server_id, target.name, target.agent_id, target.labels.get(label) if label else None)


def _digest(request: JobRequest) -> bytes:
    work, secrets = to_work(request.work)
    hidden = {**secrets.env, "\0stdin": base64.b64encode(secrets.stdin).decode()}
    # What was not asked for is left out: releases before may not have known it.
    asked = {name: value for name, value in work.spec.items() if value is not False and value not in (None, "", [], {})}
    return content_digest(content(request, asked, hidden) | {"options": options_to_json(request.options)})
