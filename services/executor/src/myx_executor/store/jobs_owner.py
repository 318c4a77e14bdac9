"""The owner's side of jobs: leases, what changed, and every write under the fence. Batches only."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from myx_executor.domain.command import Command
from myx_executor.domain.jobs import JobOptions, JobStatus, TargetStatus
from myx_executor.models.commands import OPEN_STATUSES
from myx_executor.store.changes import entered, first_change
from myx_executor.store.commands import policy_params
from myx_executor.store.jobs_changes import CHANGE, JobChange
from myx_executor.store.jobs_fragment import REVISION, TARGET_ENDS
from myx_executor.store.jobs_rows import SAFE, options_from_json
from myx_executor.store.outbox import INSERT_EVENT, OutboxEvent
from myx_executor.store.pool import Pool

_OPEN: LiteralString = "('pending', 'running', 'paused', 'stopping', 'cancelling')"

_CLAIM: LiteralString = f"""
with free as (
  select id from executor.job
  where status in {_OPEN} and (lease_until is null or lease_until < now()) and id <> all(%(held)s)
  order by id limit %(limit)s
  for update skip locked)
update executor.job as j
set owner = %(owner)s, lease_until = now() + make_interval(secs => %(lease_s)s), fence = j.fence + 1
from free where j.id = free.id
returning j.id, j.fence"""

_RENEW: LiteralString = f"""
update executor.job as j set lease_until = now() + make_interval(secs => %(lease_s)s)
from unnest(%(ids)s::uuid[], %(fences)s::bigint[]) as held (id, fence)
where j.id = held.id and j.fence = held.fence and j.status in {_OPEN}
returning j.id"""

_GIVE_UP: LiteralString = f"""
update executor.job as j set lease_until = null, owner = null
from unnest(%(ids)s::uuid[], %(fences)s::bigint[]) as held (id, fence)
where j.id = held.id and j.fence = held.fence and j.status in {_OPEN}"""

_HEAD: LiteralString = f"""
select fence, status, options, batch, hold_until, deadline_at, reason, message, change_count, cancel_grace_s, now(),
  {SAFE}
from executor.job where id = %(id)s"""

_BRIEF: LiteralString = """
select name, kind, spec, secret_names, has_stdin, sealed, requested_by, schedule_id, target_count, targets_sha256
from executor.job where id = %(id)s"""

_SERVER_IDS: LiteralString = "select server_id from executor.job_target where job_id = %(id)s"

_STATES: LiteralString = """
select number, batch, status, case when reserved then command_id end from executor.job_target
where job_id = %(id)s and revision > %(after)s"""

_UNBEGUN: LiteralString = """
select count(*) from executor.job_target as t join executor.command as c on c.id = t.command_id
where t.job_id = %(id)s and t.status = 'running' and c.status in ('pending', 'queued')"""

# The job's row stays as it is until the start is stored: who pauses, cancels or takes over comes before or after it.
# The numbers are named twice: without statistics the planner would look at every target for each of them.
_MAY_START: LiteralString = """
j as (
  select id, requested_by, schedule_id from executor.job
  where id = %(job_id)s and fence = %(fence)s and status = 'running' for share),
t as (
  update executor.job_target as t
  set status = 'running', command_id = n.command_id, reserved = {reserved}, revision = {revision}
  from j, unnest(%(numbers)s::int[], %(command_ids)s::uuid[]) as n (number, command_id)
  where t.job_id = j.id and t.number = n.number and t.status = 'waiting'
    and t.job_id = %(job_id)s and t.number = any(%(numbers)s::int[])
  returning t.number, t.server_id, t.server_name, t.agent_id, t.command_id)""".replace("{revision}", REVISION)

_DISPATCH: LiteralString = (
    "with "
    + _MAY_START.replace("{reserved}", "false")
    + f""",
c as (
  insert into executor.command (
    id, server_id, server_name, agent_id, command, args, env, secret_env_names, cwd, command_user, timeout_s,
    no_output_timeout_s, sealed, requested_by, status, fence, deadline_at, changes, offline_policy, queue_timeout_s,
    connect_timeout_s, lock_mode, job_id, schedule_id)
  select t.command_id, t.server_id, t.server_name, t.agent_id, %(command)s, %(args)s, %(env)s, %(secret_env_names)s,
    %(cwd)s, %(command_user)s, %(timeout_s)s, %(no_output_timeout_s)s, s.sealed, j.requested_by, 'pending', 0,
    now() + make_interval(secs => %(queue_timeout_s)s::float8),
    {first_change("'pending'", "j.requested_by", "'accepted'")},
    %(offline_policy)s, %(queue_timeout_s)s, %(connect_timeout_s)s, %(lock_mode)s, j.id, j.schedule_id
  from j, t join unnest(%(command_ids)s::uuid[], %(sealed)s::bytea[]) as s (id, sealed) on s.id = t.command_id)
select number, command_id, server_id from t"""
)

_RESERVE: LiteralString = (
    "with " + _MAY_START.replace("{reserved}", "true") + " select number, command_id, server_id from t"
)

_RESERVED: LiteralString = """
select number, command_id, server_id from executor.job_target where job_id = %(id)s and status = 'running' and reserved
order by number"""

# What was reserved and never stored ends with the refusal.
_REFUSED: LiteralString = f"""
update executor.job_target as t
set status = %(status)s, reserved = false, command_id = null, reason = %(reason)s, message = %(message)s,
    ended_at = now(), revision = {REVISION}
where t.command_id = %(command_id)s and t.status = 'running' and t.reserved"""

_ADVANCE: LiteralString = f"""
update executor.job
set batch = %(batch)s, hold_until = now() + make_interval(secs => %(hold_s)s::float8), revision = {REVISION}
where id = %(id)s and fence = %(fence)s and status = 'running' and batch < %(batch)s
returning id"""

# A row of `command` that ended without telling its target: written by a release before, or deleted.
_RECONCILE: LiteralString = f"""
with j as (
  select id from executor.job where id = %(id)s and fence = %(fence)s for share),
done as (
  update executor.job_target as t set {TARGET_ENDS}
  from j, executor.command as c
  where t.job_id = j.id and t.status = 'running' and not t.reserved and c.id = t.command_id
    and c.status not in {OPEN_STATUSES}
  returning t.number),
gone as (
  update executor.job_target as t
  set status = 'lost', reason = 'command_gone', message = 'its command was deleted before its end was known',
      ended_at = now(), revision = {REVISION}
  from j where t.job_id = j.id and t.status = 'running' and not t.reserved
    and not exists (select 1 from executor.command as c where c.id = t.command_id)
  returning t.number)
select number from done union all select number from gone"""

_GIVE_UP_TARGETS: LiteralString = f"""
with j as (
  select id from executor.job where id = %(id)s and fence = %(fence)s and status = 'cancelling' for share)
update executor.job_target as t
set status = 'unknown', reason = 'cancel_not_proved', message = 'its end was not proved in time', ended_at = now(),
    reserved = false, revision = {REVISION}
from j where t.job_id = j.id and t.status = 'running'"""

_ENTERED: LiteralString = entered(
    "%(to)s::text", "%(actor)s::text", "coalesce(nullif(%(reason)s::text, ''), 'ended')", "%(message)s::text"
)

_FINISH: LiteralString = f"""
with n as (
  select status, count(*) as n from executor.job_target where job_id = %(id)s group by status),
c as (
  update executor.job as c
  set {_ENTERED}, change_count = c.change_count + 1, reason = %(reason)s, message = %(message)s, ended_at = now(),
      deadline_at = null, hold_until = null, sealed = null, owner = null, lease_until = null,
      counts = (select coalesce(jsonb_object_agg(status, n), '{{}}') from n), revision = {REVISION}
  where c.id = %(id)s and c.fence = %(fence)s and c.change_count = %(expected)s and c.status in {_OPEN}
    and not exists (select 1 from n where n.status in ('waiting', 'running'))
  returning c.id, c.target_count, c.counts),
o as ({INSERT_EVENT} from c)
select target_count, counts from c"""


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this replica leases."""

    job_id: UUID
    fence: int


@dataclass(frozen=True, slots=True)
class JobHead:
    """What of a job may change while it is worked on. `now` is the database's, `safe` a revision to go on behind."""

    fence: int
    status: JobStatus
    options: JobOptions
    batch: int
    hold_until: datetime | None
    deadline_at: datetime | None
    reason: str
    message: str
    change_count: int
    cancel_grace_s: float | None
    now: datetime
    safe: int


@dataclass(frozen=True, slots=True)
class JobBrief:
    """What of a job stays as it is."""

    name: str
    kind: str
    spec: Mapping[str, Any]
    secret_names: tuple[str, ...]
    has_stdin: bool
    sealed: bytes | None
    requested_by: str
    schedule_id: UUID | None
    target_count: int
    targets_sha256: str


@dataclass(frozen=True, slots=True)
class TargetState:
    """Where a target stands; `reserved`: the id of a deployment that is to be made."""

    number: int
    batch: int
    status: TargetStatus
    reserved: UUID | None


@dataclass(frozen=True, slots=True)
class Started:
    """A target that was marked as under way."""

    number: int
    command_id: UUID
    server_id: str


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """What was stored at the end."""

    target_count: int
    counts: Mapping[str, int]


class JobOwnerStore:
    """Statements of the replica that holds a job's lease; what they return says whether it still does."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, owner: str, lease_s: float, limit: int, held: Sequence[UUID]) -> list[ClaimedJob]:
        """Leases at most `limit` jobs that nobody works on, oldest first; never those in `held`."""
        rows = await self._pool.rows(_CLAIM, {"owner": owner, "lease_s": lease_s, "limit": limit, "held": list(held)})
        return [ClaimedJob(*row) for row in rows]

    async def renew(self, lease_s: float, held: Sequence[ClaimedJob]) -> set[UUID]:
        """Prolongs leases; those that are still ours and open."""
        return {row[0] for row in await self._pool.rows(_RENEW, {"lease_s": lease_s, **_pairs(held)})}

    async def give_up(self, held: Sequence[ClaimedJob]) -> int:
        """Ends leases at once, so that any replica may go on; how many there were."""
        return await self._pool.count(_GIVE_UP, _pairs(held))

    async def head(self, job_id: UUID) -> JobHead | None:
        """What may have changed of the job itself."""
        rows = await self._pool.rows(_HEAD, {"id": job_id})
        if not rows:
            return None
        row = rows[0]
        return JobHead(row[0], JobStatus(row[1]), options_from_json(row[2]), *row[3:])

    async def brief(self, job_id: UUID) -> JobBrief:
        """What stays as it is."""
        row = (await self._pool.rows(_BRIEF, {"id": job_id}))[0]
        return JobBrief(row[0], row[1], row[2], tuple(row[3]), *row[4:])

    async def server_ids(self, job_id: UUID) -> list[str]:
        """Servers of all targets."""
        return [row[0] for row in await self._pool.rows(_SERVER_IDS, {"id": job_id})]

    async def states(self, job_id: UUID, after: int) -> list[TargetState]:
        """Targets that changed behind the revision `after`."""
        rows = await self._pool.rows(_STATES, {"id": job_id, "after": after})
        return [TargetState(row[0], row[1], TargetStatus(row[2]), row[3]) for row in rows]

    async def unbegun(self, job_id: UUID) -> int:
        """How many of those under way have a command that waits, or whose agent is still being tried."""
        return int((await self._pool.rows(_UNBEGUN, {"id": job_id}))[0][0])

    async def change(self, change: JobChange) -> bool:
        """A change of state; False when the job is not what it was decided from."""
        return bool(await self._pool.rows(CHANGE, change.params()))

    async def advance(self, job_id: UUID, fence: int, batch: int, hold_s: float) -> bool:
        """The next batch is the one under way."""
        return bool(await self._pool.rows(_ADVANCE, {"id": job_id, "fence": fence, "batch": batch, "hold_s": hold_s}))

    async def dispatch(
        self, held: ClaimedJob, template: Command, numbers: Sequence[int], orders: Sequence[tuple[UUID, bytes | None]]
    ) -> list[Started]:
        """Stores a command for each target that still waits, for any replica to take; which ones were.

        `orders`: the id of each one's command and what is sealed for it.
        """
        spec = template.spec
        values = {
            **_starting(held.job_id, held.fence, numbers, [command_id for command_id, _ in orders]),
            "sealed": [sealed for _, sealed in orders],
            "command": spec.command,
            "args": list(spec.args),
            "env": Jsonb(dict(spec.env)),
            "secret_env_names": list(template.secret_env_names),
            "cwd": spec.cwd,
            "command_user": spec.user,
            "timeout_s": spec.timeout_s,
            "no_output_timeout_s": spec.no_output_timeout_s,
            **policy_params(template),
        }
        return [Started(*row) for row in await self._pool.rows(_DISPATCH, values)]

    async def reserve(
        self, job_id: UUID, fence: int, numbers: Sequence[int], deployment_ids: Sequence[UUID]
    ) -> list[Started]:
        """Gives ids to targets that still wait; which ones."""
        rows = await self._pool.rows(_RESERVE, _starting(job_id, fence, numbers, deployment_ids))
        return [Started(*row) for row in rows]

    async def reserved(self, job_id: UUID) -> list[Started]:
        """Targets whose deployment is still to be made."""
        return [Started(*row) for row in await self._pool.rows(_RESERVED, {"id": job_id})]

    async def refused(self, command_id: UUID, status: TargetStatus, reason: str, message: str) -> None:
        """The end of a reserved target whose deployment was refused."""
        values = {"command_id": command_id, "status": str(status), "reason": reason, "message": message}
        await self._pool.count(_REFUSED, values)

    async def reconcile(self, job_id: UUID, fence: int) -> int:
        """Ends targets whose command is over without having told; how many."""
        return len(await self._pool.rows(_RECONCILE, {"id": job_id, "fence": fence}))

    async def give_up_targets(self, job_id: UUID, fence: int) -> int:
        """What is still under way in a cancelled job is unknown from now on; how many."""
        return await self._pool.count(_GIVE_UP_TARGETS, {"id": job_id, "fence": fence})

    async def finish(self, change: JobChange, event: OutboxEvent) -> FinishedJob | None:
        """The end; None when a target is not final, or the job not what it was."""
        values = {
            "id": change.job_id,
            "fence": change.fence,
            "expected": change.expected,
            "actor": change.actor,
            "to": str(change.to),
            "reason": change.reason,
            "message": change.message,
            **event.params(0),
        }
        rows = await self._pool.rows(_FINISH, values)
        return FinishedJob(rows[0][0], rows[0][1]) if rows else None


def _starting(job_id: UUID, fence: int, numbers: Sequence[int], ids: Sequence[UUID]) -> dict[str, Any]:
    return {"job_id": job_id, "fence": fence, "numbers": list(numbers), "command_ids": list(ids)}


def _pairs(held: Sequence[ClaimedJob]) -> dict[str, Any]:
    return {"ids": [one.job_id for one in held], "fences": [one.fence for one in held]}
