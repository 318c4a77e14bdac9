"""Commands: accept, read, list, cancel; and who works on them."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.errors import UndefinedTable
from psycopg.types.json import Jsonb

from myx_executor.domain.command import Attempt, Command, Head
from myx_executor.domain.states import LOST_AFTER_S, OPEN, Status
from myx_executor.models.base import MIGRATIONS, SCHEMA
from myx_executor.models.commands import OPEN_STATUSES
from myx_executor.store.changes import first_change, one_more
from myx_executor.store.command_waits import CANCEL, EXPIRE, EXPIRED, MARK_SENT, MARK_UNSENT, QUEUE
from myx_executor.store.jobs_fragment import HOLDING, held
from myx_executor.store.outbox import OutboxEvent
from myx_executor.store.pool import Pool
from myx_executor.store.rows import COMMAND_COLUMNS, COMMAND_WIDTH, attempts_to_json, command_from_row, in_statuses
from myx_kit.db import revisions

CANCELLABLE = sorted(str(status) for status in OPEN - {Status.CANCELLING})


@dataclass(frozen=True, slots=True)
class NewCommand:
    """A command to be accepted. `owner` None: it waits until a replica has room."""

    command: Command
    sealed: bytes | None
    request_id: str | None
    sealed_request_digest: bytes | None
    owner: str | None
    lease_s: float


@dataclass(frozen=True, slots=True)
class Owned:
    """A command that this replica leases, with what was sealed for it. `maybe_sent`: by another that had it before."""

    command: Command
    sealed: bytes | None
    maybe_sent: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """What tells a follower whether there is more than it has seen."""

    status: Status
    log_size: int


# What its owner sends at once is marked as sent when it gets the owner, which saves a write. What may wait for its
# agent is marked when the agent is there (MARK_SENT), so that it goes on waiting if its owner dies over a try.
_SENT_BY_INSERT: LiteralString = "%(owner)s::text is not null and %(offline_policy)s::text <> 'queue'"
_SENT_BY_CLAIM: LiteralString = (
    "c.dispatch_at is null and (c.kind = 'deployment' or c.fence = 0 and c.offline_policy <> 'queue')"
)

_INSERT: LiteralString = f"""
insert into executor.command as c (
  id, server_id, server_name, agent_id, command, args, env, secret_env_names, cwd, command_user, timeout_s,
  no_output_timeout_s, sealed, requested_by, request_id, sealed_request_digest, status, owner, lease_until, fence,
  dispatch_at, deadline_at, changes, offline_policy, queue_timeout_s, connect_timeout_s, lock_mode, job_id, schedule_id)
values (
  %(id)s, %(server_id)s, %(server_name)s, %(agent_id)s, %(command)s, %(args)s, %(env)s, %(secret_env_names)s, %(cwd)s,
  %(command_user)s, %(timeout_s)s, %(no_output_timeout_s)s, %(sealed)s, %(requested_by)s, %(request_id)s,
  %(sealed_request_digest)s, 'pending', %(owner)s::text,
  case when %(owner)s::text is not null then now() + make_interval(secs => %(lease_s)s::float8) end,
  case when %(owner)s::text is not null then 1 else 0 end,
  case when {_SENT_BY_INSERT} then now() end,
  now() + make_interval(secs => case when {_SENT_BY_INSERT} then %(connect_timeout_s)s::float8
    else %(queue_timeout_s)s::float8 end),
  {first_change("'pending'", "%(requested_by)s::text", "'accepted'")},
  %(offline_policy)s, %(queue_timeout_s)s, %(connect_timeout_s)s, %(lock_mode)s, %(job_id)s::uuid,
  %(schedule_id)s::uuid)
on conflict (requested_by, request_id) where request_id is not null do nothing
returning {COMMAND_COLUMNS}"""

_BY_REQUEST: LiteralString = f"""
select {COMMAND_COLUMNS}, c.sealed_request_digest from executor.command c
where c.requested_by = %(requested_by)s and c.request_id = %(request_id)s and c.request_id is not null"""

_GET: LiteralString = f"select {COMMAND_COLUMNS} from executor.command c where c.id = %(id)s"

_HEAD: LiteralString = "select fence, status, log_size from executor.command where id = %(id)s"

_PROGRESS: LiteralString = "select id, status, log_size from executor.command where id = any(%(ids)s)"

# Whether a row may have been sent before is told by `dispatch_at` as it was: every owner sets it before it sends.
# What its job holds is left alone, unless it has a lock to give back.
_CLAIM: LiteralString = f"""
with free as (
  select c.id, c.dispatch_at, {_SENT_BY_CLAIM} as is_sent from executor.command as c
  where c.status in {OPEN_STATUSES} and (c.lease_until is null or c.lease_until < now())
    and (c.dispatch_at is not null or c.deadline_at > now()) and c.id <> all(%(held)s)
    and not ({held("c")} and c.lock_held_at is null)
  order by c.id limit %(limit)s
  for update skip locked)
update executor.command as c
set owner = %(owner)s, lease_until = now() + make_interval(secs => %(lease_s)s), fence = c.fence + 1,
    dispatch_at = case when free.is_sent then now() else c.dispatch_at end,
    status = case c.status when 'queued' then 'pending' else c.status end,
    status_since = case c.status when 'queued' then now() else c.status_since end,
    changes = case c.status when 'queued'
      then {one_more("'pending'", "'executor:' || %(owner)s::text", "'claimed'", "'it is tried again'")}
      else c.changes end,
    deadline_at = case when free.is_sent then now() + make_interval(secs => c.connect_timeout_s)
      else c.deadline_at end
from free where c.id = free.id
returning {COMMAND_COLUMNS}, c.sealed, free.dispatch_at is not null"""

_IS_HELD: LiteralString = (
    f"select exists (select from executor.job where id = %(job_id)s::uuid and status in {HOLDING})"
)

_WAKE_QUEUED: LiteralString = (
    "update executor.command set lease_until = now() where server_id = %(server_id)s and status = 'queued'"
)

_TOUCH: LiteralString = """
update executor.command as c
set deadline_at = greatest(c.deadline_at, now() + make_interval(secs => %(lost_after_s)s::float8))
where c.id = %(id)s and c.fence = %(fence)s and c.status = 'running' and c.timeout_s = 0"""

_RENEW: LiteralString = f"""
update executor.command as c set lease_until = now() + make_interval(secs => %(lease_s)s), owner = %(owner)s
from unnest(%(ids)s::uuid[], %(fences)s::bigint[]) as held (id, fence)
where c.id = held.id and c.fence = held.fence and c.status in {OPEN_STATUSES}
returning c.id"""

_GIVE_UP: LiteralString = f"""
update executor.command as c set lease_until = null, owner = null
from unnest(%(ids)s::uuid[], %(fences)s::bigint[]) as held (id, fence)
where c.id = held.id and c.fence = held.fence and c.status in {OPEN_STATUSES}"""

_CANCELLING: LiteralString = f"""
select {COMMAND_COLUMNS} from executor.command c
where c.status = 'cancelling' and c.owner = %(owner)s and c.id = any(%(ids)s)"""

_RELEASE_DUE: LiteralString = """
select id, server_id from executor.command
where release_pending and id > %(after)s and ended_at < now() - make_interval(secs => %(age_s)s)
order by id limit %(limit)s"""

_RELEASED: LiteralString = (
    "update executor.command set release_pending = false where id = any(%(ids)s) and release_pending"
)


class CommandStore:
    """Reads and changes of `executor.command` that need no lease, and the leases themselves."""

    def __init__(self, pool: Pool, *, lost_after_s: float = LOST_AFTER_S) -> None:
        self._pool = pool
        self._lost_after_s = lost_after_s

    async def ping(self) -> None:
        """Unavailable unless the database answers and has had the migrations that came with this code."""
        try:
            ((stored,),) = await self._pool.rows("select max(version_num) from executor.alembic_version")
        except UndefinedTable:
            stored = None
        revisions.check(SCHEMA, stored, MIGRATIONS)

    async def insert(self, new: NewCommand) -> Command | None:
        """The stored command; None when the requester has used the request id before."""
        command, spec = new.command, new.command.spec
        rows = await self._pool.rows(
            _INSERT,
            {
                "id": command.id,
                "server_id": command.server_id,
                "server_name": command.server_name,
                "agent_id": command.agent_id,
                "command": spec.command,
                "args": list(spec.args),
                "env": Jsonb(dict(spec.env)),
                "secret_env_names": list(command.secret_env_names),
                "cwd": spec.cwd,
                "command_user": spec.user,
                "timeout_s": spec.timeout_s,
                "no_output_timeout_s": spec.no_output_timeout_s,
                "sealed": new.sealed,
                "requested_by": command.requested_by,
                "request_id": new.request_id,
                "sealed_request_digest": new.sealed_request_digest,
                "owner": new.owner,
                "lease_s": new.lease_s,
                **policy_params(command),
            },
        )
        return command_from_row(rows[0]) if rows else None

    async def by_request(self, requested_by: str, request_id: str) -> tuple[Command, bytes] | None:
        """The command of a request id and the sealed digest of its content."""
        rows = await self._pool.rows(_BY_REQUEST, {"requested_by": requested_by, "request_id": request_id})
        return (command_from_row(rows[0]), rows[0][COMMAND_WIDTH]) if rows else None

    async def get(self, command_id: UUID) -> Command | None:
        """One command."""
        rows = await self._pool.rows(_GET, {"id": command_id})
        return command_from_row(rows[0]) if rows else None

    async def head(self, command_id: UUID) -> Head | None:
        """Fence, state and size of one command."""
        rows = await self._pool.rows(_HEAD, {"id": command_id})
        return Head(rows[0][0], Status(rows[0][1]), rows[0][2]) if rows else None

    async def progress(self, command_ids: Sequence[UUID]) -> dict[UUID, Progress]:
        """State and size of many commands."""
        rows = await self._pool.rows(_PROGRESS, {"ids": list(command_ids)})
        return {row[0]: Progress(Status(row[1]), row[2]) for row in rows}

    async def page(
        self,
        *,
        limit: int,
        before: UUID | None = None,
        server_id: str | None = None,
        server_name: str | None = None,
        statuses: Sequence[Status] = (),
        job_id: UUID | None = None,
        within: Sequence[str] | None = None,
    ) -> Sequence[Command]:
        """Commands by descending id, those before `before`; each filter that is given must match."""
        conditions: list[LiteralString] = ["c.kind = 'command'"]
        if before is not None:
            conditions.append("c.id < %(before)s")
        if server_id is not None:
            conditions.append("c.server_id = %(server_id)s")
        if server_name is not None:
            conditions.append("c.server_name = %(server_name)s")
        if statuses:
            conditions.append(in_statuses(statuses))
        if job_id is not None:
            conditions.append("c.job_id = %(job_id)s")
        if within is not None:
            conditions.append("c.server_id = any(%(within)s::text[])")
        where: LiteralString = " and ".join(conditions)
        params: dict[str, Any] = {
            "before": before,
            "server_id": server_id,
            "server_name": server_name,
            "statuses": [str(status) for status in statuses],
            "job_id": job_id,
            "within": None if within is None else list(within),
            "limit": limit,
        }
        rows = await self._pool.rows(
            f"select {COMMAND_COLUMNS} from executor.command c where {where} order by c.id desc limit %(limit)s", params
        )
        return [command_from_row(row) for row in rows]

    async def cancel(
        self, command_id: UUID, grace_s: float, *, actor: str, message: str, event: OutboxEvent
    ) -> Command | None:
        """Ends an open command that was never sent (with `message` and `event`), marks another as cancelling.

        None when it is cancelling already, or final.
        """
        values = {
            "id": command_id,
            "grace_s": grace_s,
            "lost_after_s": self._lost_after_s,
            "actor": actor,
            "message": message,
            "sources": CANCELLABLE,
            **event.params(0),
        }
        rows = await self._pool.rows(CANCEL, values)
        return command_from_row(rows[0]) if rows else None

    async def expired(self, limit: int) -> list[Command]:
        """Commands and deployments that waited beyond their deadline and were never sent."""
        return [command_from_row(row) for row in await self._pool.rows(EXPIRED, {"limit": limit})]

    async def expire(self, command_id: UUID, actor: str, message: str, event: OutboxEvent) -> Command | None:
        """Ends one of them; None when something else happened to it first."""
        values = {"id": command_id, "actor": actor, "message": message, **event.params(0)}
        rows = await self._pool.rows(EXPIRE, values)
        return command_from_row(rows[0]) if rows else None

    async def queue(
        self,
        command_id: UUID,
        fence: int,
        reason: str,
        message: str,
        *,
        attempts: Sequence[Attempt],
        look_s: float,
    ) -> Command | None:
        """Gives an owned command back to wait: nothing was sent. None when the lease is lost or it is cancelling."""
        values = {
            "id": command_id,
            "fence": fence,
            "reason": reason,
            "message": message,
            "attempts": Jsonb(attempts_to_json(attempts)),
            "look_s": look_s,
        }
        rows = await self._pool.rows(QUEUE, values)
        return command_from_row(rows[0]) if rows else None

    async def mark_sent(self, command_id: UUID, fence: int) -> datetime | None:
        """An owned command may have been sent from now on; the mark. None: not ours, it ends, or its job holds it."""
        rows = await self._pool.rows(MARK_SENT, {"id": command_id, "fence": fence})
        return rows[0][0] if rows else None

    async def mark_unsent(self, command_id: UUID, fence: int, mark: datetime) -> None:
        """It is proved that an owned command was not sent since `mark`."""
        await self._pool.count(MARK_UNSENT, {"id": command_id, "fence": fence, "mark": mark})

    async def is_held(self, command: Command) -> bool:
        """Whether its job, if it has one, starts nothing now."""
        rows = await self._pool.rows(_IS_HELD, {"job_id": command.job_id}) if command.job_id is not None else []
        return bool(rows and rows[0][0])

    async def wake_queued(self, server_id: str) -> int:
        """Lets what waits for a server be claimed at once; how many there are."""
        return await self._pool.count(_WAKE_QUEUED, {"server_id": server_id})

    async def touch(self, command_id: UUID, fence: int) -> bool:
        """There was contact: moves the deadline of a running command without a limit; false when there is none."""
        values = {"id": command_id, "fence": fence, "lost_after_s": self._lost_after_s}
        return await self._pool.count(_TOUCH, values) > 0

    async def claim(self, owner: str, lease_s: float, limit: int, held: Sequence[UUID]) -> list[Owned]:
        """Leases at most `limit` commands that nobody works on, oldest first; never those in `held`."""
        rows = await self._pool.rows(_CLAIM, {"owner": owner, "lease_s": lease_s, "limit": limit, "held": list(held)})
        return [Owned(command_from_row(row), row[COMMAND_WIDTH], row[COMMAND_WIDTH + 1]) for row in rows]

    async def renew(self, owner: str, lease_s: float, held: Sequence[tuple[UUID, int]]) -> set[UUID]:
        """Prolongs the leases (command, fence); those that are still ours and open."""
        rows = await self._pool.rows(_RENEW, {"owner": owner, "lease_s": lease_s, **_pairs(held)})
        return {row[0] for row in rows}

    async def give_up(self, held: Sequence[tuple[UUID, int]]) -> int:
        """Ends leases at once, so that any replica may go on; how many there were."""
        return await self._pool.count(_GIVE_UP, _pairs(held))

    async def cancelling(self, owner: str, held: Sequence[UUID]) -> list[Command]:
        """Of the commands that this replica holds those whose cancellation was asked."""
        return [
            command_from_row(row) for row in await self._pool.rows(_CANCELLING, {"owner": owner, "ids": list(held)})
        ]

    async def release_due(self, after: UUID, age_s: float, limit: int) -> Sequence[tuple[UUID, str]]:
        """Final commands (id, server id) behind `after` that ended `age_s` ago and that the agent still keeps."""
        rows = await self._pool.rows(_RELEASE_DUE, {"after": after, "age_s": age_s, "limit": limit})
        return [(row[0], row[1]) for row in rows]

    async def mark_released(self, command_ids: Sequence[UUID]) -> None:
        """The agent keeps nothing of them any more."""
        await self._pool.count(_RELEASED, {"ids": list(command_ids)})


def policy_params(command: Command) -> dict[str, Any]:
    """Parameters of an insert: what a command asks for beside its content."""
    return {
        "offline_policy": str(command.offline_policy),
        "queue_timeout_s": command.queue_timeout_s,
        "connect_timeout_s": command.connect_timeout_s,
        "lock_mode": str(command.lock_mode),
        "job_id": command.job_id,
        "schedule_id": command.schedule_id,
    }


def _pairs(held: Sequence[tuple[UUID, int]]) -> dict[str, Any]:
    return {"ids": [command_id for command_id, _ in held], "fences": [fence for _, fence in held]}
