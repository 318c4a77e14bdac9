"""Reading, pausing, resuming, cancelling and changing jobs, and repeating what did not go well."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from myx_executor.domain.command import Secrets
from myx_executor.domain.job_plan import Candidate
from myx_executor.domain.job_states import JOB_FINAL, RETRIED, TARGET_FINAL
from myx_executor.domain.jobs import MAX_TARGETS, Job, JobStatus, JobTarget, Share, TargetStatus, check_concurrency
from myx_executor.store.jobs import JobStore
from myx_executor.store.jobs_changes import JobChange
from myx_executor.usecases.commands import DEFAULT_GRACE_S, MAX_GRACE_S
from myx_executor.usecases.jobs import events
from myx_executor.usecases.jobs.bells import JobBells
from myx_executor.usecases.jobs.cancel import CancelUnderWay
from myx_executor.usecases.jobs.create import CreateJob, frozen_list, new_job
from myx_executor.usecases.jobs.requests import check_request_id
from myx_executor.usecases.lists import DEFAULT_PAGE, MAX_PAGE, newest_first
from myx_executor.usecases.sealing import content_digest
from myx_kit.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from myx_kit.ids import parse_id
from myx_kit.pagination import clamp, decode_token, encode_token

# A change that meets another one looks again and tries again.
_TRIES = 10


class ReadJobs:
    """One job, pages of them, and their targets."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    async def get(self, job_id: UUID) -> Job:
        """NotFound `JOB_NOT_FOUND`."""
        return await get_job(self._store, job_id)

    async def list(
        self,
        *,
        page_size: int,
        page_token: str,
        statuses: Sequence[JobStatus],
        within: Sequence[str] | None = None,
    ) -> tuple[Sequence[Job], str]:
        """Newest first, and the token of the next page (empty on the last). InvalidArgument `PAGE_TOKEN_INVALID`."""

        async def read(limit: int, before: UUID | None) -> Sequence[Job]:
            return await self._store.page(limit=limit, before=before, statuses=statuses, within=within)

        return await newest_first(read, page_size, page_token)

    async def targets(
        self, job_id: UUID, *, page_size: int, page_token: str, statuses: Sequence[TargetStatus]
    ) -> tuple[Sequence[JobTarget], str]:
        """By number, and the token of the next page. NotFound `JOB_NOT_FOUND`; InvalidArgument `PAGE_TOKEN_INVALID`."""
        after = _after(page_token)
        size = clamp(page_size, DEFAULT_PAGE, MAX_PAGE)
        found = await self._store.targets(job_id, limit=size + 1, after=after, statuses=statuses)
        if not found:
            await get_job(self._store, job_id)
        if len(found) <= size:
            return found, ""
        return found[:size], encode_token(str(found[size - 1].number))


class ChangeJobs:
    """What callers change of open jobs: each change is decided from what the job is, and made only if it still is."""

    def __init__(
        self,
        store: JobStore,
        bells: JobBells,
        under_way: CancelUnderWay,
        *,
        proof_s: float,
        on_event: Callable[[], None],
        on_new: Callable[[], None],
    ) -> None:
        self._store = store
        self._bells = bells
        self._under_way = under_way
        self._proof_s = proof_s
        self._on_event = on_event
        self._on_new = on_new

    async def pause(self, job_id: UUID, actor: str) -> Job:
        """Starts nothing new. NotFound `JOB_NOT_FOUND`; FailedPrecondition `JOB_NOT_OPEN`."""

        def change(job: Job) -> JobChange | None:
            if job.status is JobStatus.PAUSED:
                return None
            _must_be(job, JobStatus.PENDING, JobStatus.RUNNING)
            event = events.paused(job.id, job.change_count, "requested")
            return JobChange(job.id, job.change_count, JobStatus.PAUSED, actor, "pause_requested", event=event)

        return await self._change(job_id, change)

    async def resume(self, job_id: UUID, actor: str) -> Job:
        """Goes on. NotFound `JOB_NOT_FOUND`; FailedPrecondition `JOB_NOT_OPEN`."""

        def change(job: Job) -> JobChange | None:
            if job.status in (JobStatus.PENDING, JobStatus.RUNNING):
                return None
            _must_be(job, JobStatus.PAUSED)
            to = JobStatus.PENDING if job.started_at is None else JobStatus.RUNNING
            return JobChange(job.id, job.change_count, to, actor, "resume_requested")

        return await self._change(job_id, change)

    async def cancel(self, job_id: UUID, grace_s: float | None, actor: str) -> Job:
        """Nothing waits any more, and what runs is asked to end. NotFound; InvalidArgument `GRACE_INVALID`."""
        grace_s = DEFAULT_GRACE_S if grace_s is None else grace_s
        if not 0 <= grace_s <= MAX_GRACE_S:
            message = f"grace must be from 0 to {MAX_GRACE_S:.0f} seconds"
            raise InvalidArgument("GRACE_INVALID", message, field="grace")

        def change(job: Job) -> JobChange | None:
            if job.status in JOB_FINAL or job.status is JobStatus.CANCELLING:
                return None
            return JobChange(
                job.id,
                job.change_count,
                JobStatus.CANCELLING,
                actor,
                "cancel_requested",
                reason="cancelled",
                at_least_s=self._proof_s,
                grace_s=grace_s,
                drop_waiting=True,
            )

        job = await self._change(job_id, change)
        if job.status is not JobStatus.CANCELLING:
            return job
        await self._under_way.cancel(job_id, grace_s, actor)
        return await get_job(self._store, job_id)

    async def set_concurrency(self, job_id: UUID, share: Share) -> Job:
        """How many may be under way. NotFound; FailedPrecondition `JOB_NOT_OPEN`; InvalidArgument."""
        check_concurrency(share)
        if not await self._store.set_concurrency(job_id, share):
            _must_be(await get_job(self._store, job_id), *set(JobStatus) - JOB_FINAL)
        self._bells.note(job_id)
        return await get_job(self._store, job_id)

    async def _change(self, job_id: UUID, decide: Callable[[Job], JobChange | None]) -> Job:
        for _ in range(_TRIES):
            job = await get_job(self._store, job_id)
            change = decide(job)
            if change is None:
                return job
            if await self._store.change(change):
                self._bells.note(job_id)
                self._on_new()
                if change.event is not None:
                    self._on_event()
                return await get_job(self._store, job_id)
        raise Aborted("JOB_BUSY", "the job changes all the time: try again", job_id=str(job_id))


@dataclass(frozen=True, slots=True)
class Repeat:
    """Which targets of a job to do again; no states: those that certainly did not end well."""

    job_id: UUID
    statuses: Sequence[TargetStatus] = ()
    secrets: Mapping[str, str] | None = None
    request_id: str = ""
    requested_by: str = ""


class RetryJob:
    """Repeats a job that is final, on some of its targets."""

    def __init__(self, store: JobStore, create: CreateJob) -> None:
        self._store = store
        self._create = create

    async def retry(self, repeat: Repeat) -> Job:
        """A new job with the same content. Errors as the proto says."""
        check_request_id(repeat.request_id)
        statuses = tuple(repeat.statuses) or RETRIED
        if not TARGET_FINAL.issuperset(statuses):
            message = "statuses must be states in which a target has ended"
            raise InvalidArgument("ARGUMENT_INVALID", message, field="statuses")
        digest = _digest(repeat, statuses)
        known = await self._create.earlier(repeat.requested_by, repeat.request_id, digest)
        if known is not None:
            return known
        job = await get_job(self._store, repeat.job_id)
        if job.status not in JOB_FINAL:
            raise FailedPrecondition("JOB_NOT_FINAL", "the job is not over yet: wait, or cancel it")
        secrets = _secrets_again(job, repeat.secrets or {})
        found = await self._store.targets(job.id, limit=MAX_TARGETS, statuses=statuses)
        if not found:
            names = ", ".join(str(status) for status in statuses)
            raise FailedPrecondition("NO_SUCH_TARGETS", f"no target of the job is {names}", field="statuses")
        frozen = frozen_list(
            [Candidate(one.server_id, one.server_name, one.agent_id, one.label_value) for one in found], job.options
        )
        again = new_job(
            job.name,
            job.selector,
            job.work,
            job.options,
            frozen,
            requested_by=repeat.requested_by,
            retry_of=job.id,
        )
        return await self._create.store(again, frozen, secrets, repeat.request_id, digest)


def _secrets_again(job: Job, given: Mapping[str, str]) -> Secrets:
    missing = sorted(set(job.work.secret_names) - given.keys())
    if missing:
        message = f"secret values are not kept: give {', '.join(missing)} again"
        raise FailedPrecondition("SECRETS_GONE", message, field="secrets")
    unknown = sorted(given.keys() - set(job.work.secret_names))
    if unknown:
        message = f"the job had no secret {', '.join(unknown)}"
        raise InvalidArgument("ARGUMENT_INVALID", message, field="secrets")
    if job.work.has_stdin:
        message = "its standard input is not kept: make a new job with it"
        raise FailedPrecondition("SECRETS_GONE", message, field="secrets")
    return Secrets(dict(given))


def _digest(repeat: Repeat, statuses: Sequence[TargetStatus]) -> bytes:
    names = sorted({str(status) for status in statuses})
    hidden = {name: base64.b64encode(value.encode()).decode() for name, value in (repeat.secrets or {}).items()}
    return content_digest({"retry_of": str(repeat.job_id), "statuses": names, "secrets": hidden})


async def get_job(store: JobStore, job_id: UUID) -> Job:
    """NotFound `JOB_NOT_FOUND`."""
    job = await store.get(job_id)
    if job is None:
        raise not_found(str(job_id))
    return job


def not_found(job_id: str) -> NotFound:
    """The error for an id that no job has."""
    return NotFound("JOB_NOT_FOUND", "there is no such job", job_id=job_id[:64])


def job_id_of(text: str) -> UUID:
    """A job id as callers give it; NotFound for what can be none."""
    try:
        return parse_id(text, "job_id")
    except InvalidArgument:
        raise not_found(text) from None


def _must_be(job: Job, *statuses: JobStatus) -> None:
    if job.status not in statuses:
        told = f"the job is {job.status}, not {' or '.join(statuses)}"
        message = f"the job is over ({job.status})" if job.status in JOB_FINAL else told
        raise FailedPrecondition("JOB_NOT_OPEN", message, job_id=str(job.id), status=str(job.status))


def _after(page_token: str) -> int:
    if not page_token:
        return 0
    (text,) = decode_token(page_token, 1)
    if not text.isdecimal() or len(text) > 9:
        message = "page_token is not one that MyX gave"
        raise InvalidArgument("PAGE_TOKEN_INVALID", message, field="page_token")
    return int(text)
