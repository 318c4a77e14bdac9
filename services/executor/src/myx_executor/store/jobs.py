"""Jobs: accept, read, list; and what callers change of them. No lease is needed here."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from myx_executor.domain.command import Command
from myx_executor.domain.job_plan import Place
from myx_executor.domain.jobs import Job, JobStatus, JobTarget, Share, TargetStatus
from myx_executor.domain.states import LOST_AFTER_S, Status
from myx_executor.store.changes import first_change
from myx_executor.store.command_waits import CANCEL_SET
from myx_executor.store.commands import CANCELLABLE
from myx_executor.store.jobs_changes import CHANGE, JobChange
from myx_executor.store.jobs_fragment import JOB_TARGET_DONE, JOB_TARGET_TAKEN_BACK, REVISION, UNSENT
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
from myx_executor.store.outbox import OutboxEvent
from myx_executor.store.pool import Pool
from myx_executor.store.rows import COMMAND_COLUMNS, COMMAND_WIDTH, command_from_row

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

_WITHIN: LiteralString = """j.target_count > 0 and not exists (
  select 1 from executor.job_target as outside
  where outside.job_id = j.id and outside.server_id <> all(%(within)s::text[]))"""

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

_UNDER_WAY: LiteralString = f"""
select {COMMAND_COLUMNS}, coalesce(d.kind, '') from executor.job_target as t
  join executor.command as c on c.id = t.command_id left join executor.deployment as d on d.id = c.id
where t.job_id = %(id)s and t.status = 'running' and c.status = any(%(sources)s) and (not %(unsent)s or {UNSENT})
order by t.number limit %(limit)s"""


def _cancel(which: LiteralString, then: LiteralString) -> LiteralString:
    """As of a single command: what was never sent ends here and now, with its event. `then`: what of its target.

    Locked in one order, as several may ask.
    """
    return f"""
with k as (
  select id from executor.command where id = any(%(ids)s) order by id for update),
m as (
  update executor.command as c set {CANCEL_SET}
  from k where c.id = k.id and {which}
  returning {COMMAND_COLUMNS}),
c as (select * from m where status = 'cancelled'),
o as (
  insert into executor.outbox (event_id, subject, payload)
  select e.event_id, e.subject, e.payload from c join unnest(
    %(ids)s::uuid[], %(event_ids)s::text[], %(subjects)s::text[], %(payloads)s::bytea[])
    as e (id, event_id, subject, payload) on e.id = c.id){then}
select id, status from m"""


_CANCEL_COMMANDS = _cancel("c.status = any(%(sources)s)", JOB_TARGET_DONE)
_TAKE_BACK = _cancel(UNSENT, JOB_TARGET_TAKEN_BACK)


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

    def __init__(self, pool: Pool, *, lost_after_s: float = LOST_AFTER_S) -> None:
        self._pool = pool
        self._lost_after_s = lost_after_s

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
        self,
        *,
        limit: int,
        before: UUID | None = None,
        statuses: Sequence[JobStatus] = (),
        within: Sequence[str] | None = None,
    ) -> Sequence[Job]:
        """Jobs by descending id, those before `before`; `within`: those that have no target outside these servers."""
        conditions: list[LiteralString] = ["true"]
        if before is not None:
            conditions.append("j.id < %(before)s")
        if statuses:
            conditions.append("j.status = any(%(statuses)s)")
        if within is not None:
            conditions.append(_WITHIN)
        where: LiteralString = " and ".join(conditions)
        params: dict[str, Any] = {
            "before": before,
            "statuses": [str(one) for one in statuses],
            "within": None if within is None else list(within),
            "limit": limit,
        }
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

    async def under_way(self, job_id: UUID, limit: int, *, unsent: bool = False) -> list[tuple[Command, str]]:
        """Commands of a job whose end was not asked for yet, and for deployments their kind; only the `unsent` ones."""
        values = {"id": job_id, "limit": limit, "sources": CANCELLABLE, "unsent": unsent}
        rows = await self._pool.rows(_UNDER_WAY, values)
        return [(command_from_row(row), row[COMMAND_WIDTH]) for row in rows]

    async def cancel_commands(
        self, command_ids: Sequence[UUID], grace_s: float, actor: str, message: str, events: Sequence[OutboxEvent]
    ) -> dict[UUID, Status]:
        """Asks for the end of commands; what each one is now. `events`: for those never sent."""
        values = self._ends(command_ids, actor, message, events) | {"grace_s": grace_s, "sources": CANCELLABLE}
        return {row[0]: Status(row[1]) for row in await self._pool.rows(_CANCEL_COMMANDS, values)}

    async def take_back(
        self, command_ids: Sequence[UUID], reason: str, actor: str, message: str, events: Sequence[OutboxEvent]
    ) -> dict[UUID, Status]:
        """Ends those that still were never sent; their targets are not started, with this reason."""
        values = self._ends(command_ids, actor, message, events) | {"grace_s": 0.0, "reason": reason}
        return {row[0]: Status(row[1]) for row in await self._pool.rows(_TAKE_BACK, values)}

    def _ends(
        self, command_ids: Sequence[UUID], actor: str, message: str, events: Sequence[OutboxEvent]
    ) -> dict[str, Any]:
        return {
            "ids": list(command_ids),
            "actor": actor,
            "message": message,
            "lost_after_s": self._lost_after_s,
            "event_ids": [str(event.event_id) for event in events],
            "subjects": [event.subject for event in events],
            "payloads": [event.payload for event in events],
        }
