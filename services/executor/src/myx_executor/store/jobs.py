"""Jobs: accept, read, list; and what callers change of them. No lease is needed here."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from myx_executor.domain.job_plan import Place
from myx_executor.domain.jobs import Job, JobStatus, JobTarget, Share, TargetStatus
from myx_executor.domain.states import LOST_AFTER_S, Status, sources_of
from myx_executor.store.changes import first_change, one_more
from myx_executor.store.jobs_changes import CHANGE, JobChange
from myx_executor.store.jobs_fragment import REVISION
from myx_executor.store.jobs_rows import (
    JOB_COLUMNS,
    JOB_FROM,
    SAFE,
    TARGET_COLUMNS,
    TARGET_FROM,
    job_from_row,
    options_to_json,
    share_to_json,
    target_from_row,
)
from myx_executor.store.pool import Pool

_INSERT: LiteralString = f"""
with j as (
  insert into executor.job (
    id, name, selector, kind, spec, secret_names, has_stdin, options, sealed, requested_by, request_id,
    sealed_request_digest, status, deadline_at, changes, target_count, targets_sha256, batch_count, retry_of,
    schedule_id)
  values (
    %(id)s, %(name)s, %(selector)s, %(kind)s, %(spec)s, %(secret_names)s, %(has_stdin)s, %(options)s, %(sealed)s,
    %(requested_by)s, %(request_id)s, %(sealed_request_digest)s, 'pending',
    now() + make_interval(secs => %(deadline_s)s::float8),
    {first_change("'pending'", "%(requested_by)s::text", "'accepted'")},
    %(target_count)s, %(targets_sha256)s, %(batch_count)s, %(retry_of)s::uuid, %(schedule_id)s::uuid)
  on conflict (requested_by, request_id) where request_id is not null do nothing
  returning id),
t as (
  insert into executor.job_target (job_id, number, server_id, server_name, agent_id, label_value, batch)
  select j.id, p.number, p.server_id, p.server_name, p.agent_id, p.label_value, p.batch
  from j, unnest(%(numbers)s::int[], %(server_ids)s::text[], %(server_names)s::text[], %(agent_ids)s::text[],
    %(label_values)s::text[], %(batches)s::int[]) as p (number, server_id, server_name, agent_id, label_value, batch))
select id from j"""

_BY_REQUEST: LiteralString = """
select id, sealed_request_digest from executor.job
where requested_by = %(requested_by)s and request_id = %(request_id)s and request_id is not null"""

_GET: LiteralString = f"select {JOB_COLUMNS} from {JOB_FROM} where j.id = %(id)s"

_TARGETS: LiteralString = f"""
select {TARGET_COLUMNS} from {TARGET_FROM}
where t.job_id = %(id)s and t.number > %(after)s and (%(statuses)s::text[] is null or t.status = any(%(statuses)s))
order by t.number limit %(limit)s"""

# All of them by pages, or those of some revisions at once.
_ALL: LiteralString = f"""
select {TARGET_COLUMNS}, t.revision from {TARGET_FROM} where t.job_id = %(id)s and t.number > %(behind)s
order by t.number limit %(limit)s"""

_CHANGED: LiteralString = f"""
select {TARGET_COLUMNS}, t.revision from {TARGET_FROM} where t.job_id = %(id)s and t.revision > %(after)s"""

_PEEK: LiteralString = f"select revision, {SAFE} from executor.job where id = %(id)s"

_CONCURRENCY: LiteralString = f"""
update executor.job set options = jsonb_set(options, '{{concurrency}}', %(concurrency)s), revision = {REVISION}
where id = %(id)s and status in ('pending', 'running', 'paused', 'stopping', 'cancelling')
returning id"""

# The commands of all targets under way; those that were never sent are taken up at once and end unsent.
_CANCEL_COMMANDS: LiteralString = f"""
update executor.command as c
set status = 'cancelling', status_since = now(),
    changes = {one_more("'cancelling'", "%(actor)s::text", "'cancel_requested'", "'its job was cancelled'")},
    cancel_requested_at = now(), cancel_grace_s = %(grace_s)s::float8,
    lease_until = case when c.owner is null then null else c.lease_until end,
    deadline_at = now() + make_interval(secs => %(grace_s)s::float8 + %(lost_after_s)s::float8)
from executor.job_target as t
where t.job_id = %(id)s and t.status = 'running' and c.id = t.command_id and c.status = any(%(sources)s)"""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be accepted, with its frozen list."""

    job: Job
    places: Sequence[Place]
    sealed: bytes | None
    request_id: str | None
    sealed_request_digest: bytes | None


@dataclass(frozen=True, slots=True)
class Changed:
    """A target that changed, and at which revision; the target's own is one that can be gone on behind."""

    target: JobTarget
    revision: int


class JobStore:
    """What callers read and change."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def insert(self, new: NewJob) -> bool:
        """Stores a job and its targets; False when the requester has used the request id before."""
        job, places = new.job, new.places
        rows = await self._pool.rows(
            _INSERT,
            {
                "id": job.id,
                "name": job.name,
                "selector": job.selector,
                "kind": str(job.work.kind),
                "spec": Jsonb(dict(job.work.spec)),
                "secret_names": list(job.work.secret_names),
                "has_stdin": job.work.has_stdin,
                "options": Jsonb(options_to_json(job.options)),
                "sealed": new.sealed,
                "requested_by": job.requested_by,
                "request_id": new.request_id,
                "sealed_request_digest": new.sealed_request_digest,
                "deadline_s": job.options.deadline_s,
                "target_count": job.target_count,
                "targets_sha256": job.targets_sha256,
                "batch_count": job.batch_count,
                "retry_of": job.retry_of,
                "schedule_id": job.schedule_id,
                "numbers": [place.number for place in places],
                "server_ids": [place.candidate.server_id for place in places],
                "server_names": [place.candidate.name for place in places],
                "agent_ids": [place.candidate.agent_id for place in places],
                "label_values": [place.candidate.label_value for place in places],
                "batches": [place.batch for place in places],
            },
        )
        return bool(rows)

    async def by_request(self, requested_by: str, request_id: str) -> tuple[UUID, bytes] | None:
        """The job of a request id and the sealed digest of its content."""
        rows = await self._pool.rows(_BY_REQUEST, {"requested_by": requested_by, "request_id": request_id})
        return (rows[0][0], rows[0][1]) if rows else None

    async def get(self, job_id: UUID) -> Job | None:
        """One job, with its counts."""
        rows = await self._pool.rows(_GET, {"id": job_id})
        return job_from_row(rows[0]) if rows else None

    async def page(
        self, *, limit: int, before: UUID | None = None, statuses: Sequence[JobStatus] = ()
    ) -> Sequence[Job]:
        """Jobs by descending id, those before `before`."""
        conditions: list[LiteralString] = ["true"]
        if before is not None:
            conditions.append("j.id < %(before)s")
        if statuses:
            conditions.append("j.status = any(%(statuses)s)")
        where: LiteralString = " and ".join(conditions)
        params: dict[str, Any] = {"before": before, "statuses": [str(one) for one in statuses], "limit": limit}
        rows = await self._pool.rows(
            f"select {JOB_COLUMNS} from {JOB_FROM} where {where} order by j.id desc limit %(limit)s", params
        )
        return [job_from_row(row) for row in rows]

    async def targets(
        self, job_id: UUID, *, limit: int, after: int = 0, statuses: Sequence[TargetStatus] = ()
    ) -> list[JobTarget]:
        """Targets by number, those behind `after`; only those in `statuses` if there are any."""
        wanted = [str(status) for status in statuses] or None
        rows = await self._pool.rows(_TARGETS, {"id": job_id, "after": after, "limit": limit, "statuses": wanted})
        return [target_from_row(row) for row in rows]

    async def peek(self, job_id: UUID) -> tuple[int, int] | None:
        """The revision of the job's own row, and one that targets can be gone on behind."""
        rows = await self._pool.rows(_PEEK, {"id": job_id})
        return (rows[0][0], rows[0][1]) if rows else None

    async def changed(self, job_id: UUID, after: int) -> list[Changed]:
        """Targets that changed behind the revision `after`."""
        rows = await self._pool.rows(_CHANGED, {"id": job_id, "after": after})
        return [Changed(target_from_row(row), row[-1]) for row in rows]

    async def all_targets(self, job_id: UUID, *, behind: int, limit: int) -> list[Changed]:
        """Targets by number, those behind number `behind`."""
        rows = await self._pool.rows(_ALL, {"id": job_id, "behind": behind, "limit": limit})
        return [Changed(target_from_row(row), row[-1]) for row in rows]

    async def change(self, change: JobChange) -> bool:
        """Makes a change of state that was decided from what the job was; False when it is so no more."""
        return bool(await self._pool.rows(CHANGE, change.params()))

    async def set_concurrency(self, job_id: UUID, concurrency: Share) -> bool:
        """How many may be under way at once; False when the job is final or not there."""
        values = {"id": job_id, "concurrency": Jsonb(share_to_json(concurrency))}
        return bool(await self._pool.rows(_CONCURRENCY, values))

    async def cancel_commands(self, job_id: UUID, grace_s: float, actor: str) -> int:
        """Asks for the end of all that is under way; how many had not been asked before."""
        values = {
            "id": job_id,
            "grace_s": grace_s,
            "actor": actor,
            "lost_after_s": LOST_AFTER_S,
            "sources": [str(status) for status in sources_of(Status.CANCELLING)],
        }
        return await self._pool.count(_CANCEL_COMMANDS, values)
