"""Commands: accept, read, list, cancel; and who works on them."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg.errors import UndefinedTable
from psycopg.types.json import Jsonb

from myx_executor.domain.command import Command, Head
from myx_executor.domain.states import OPEN, Status, sources_of
from myx_executor.store.outbox import INSERT_EVENT, OutboxEvent
from myx_executor.store.pool import Pool
from myx_executor.store.rows import COMMAND_COLUMNS, COMMAND_WIDTH, command_from_row
from myx_kit.errors import Unavailable

_OPEN = sorted(OPEN)


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
    """A command that this replica leases, with what was sealed for it."""

    command: Command
    sealed: bytes | None


@dataclass(frozen=True, slots=True)
class Progress:
    """What tells a follower whether there is more than it has seen."""

    status: Status
    log_size: int


_INSERT: LiteralString = f"""
insert into executor.command as c (
  id, server_id, server_name, agent_id, command, args, env, secret_env_names, cwd, command_user, timeout_s,
  no_output_timeout_s, sealed, requested_by, request_id, sealed_request_digest, status, owner, lease_until, fence,
  dispatch_at)
values (
  %(id)s, %(server_id)s, %(server_name)s, %(agent_id)s, %(command)s, %(args)s, %(env)s, %(secret_env_names)s, %(cwd)s,
  %(command_user)s, %(timeout_s)s, %(no_output_timeout_s)s, %(sealed)s, %(requested_by)s, %(request_id)s,
  %(sealed_request_digest)s, 'pending', %(owner)s::text,
  case when %(owner)s::text is not null then now() + make_interval(secs => %(lease_s)s::float8) end,
  case when %(owner)s::text is not null then 1 else 0 end,
  case when %(owner)s::text is not null then now() end)
on conflict (requested_by, request_id) where request_id is not null do nothing
returning {COMMAND_COLUMNS}"""

_BY_REQUEST: LiteralString = f"""
select {COMMAND_COLUMNS}, c.sealed_request_digest from executor.command c
where c.requested_by = %(requested_by)s and c.request_id = %(request_id)s and c.request_id is not null"""

_GET: LiteralString = f"select {COMMAND_COLUMNS} from executor.command c where c.id = %(id)s"

_HEAD: LiteralString = "select fence, status, log_size from executor.command where id = %(id)s"

_PROGRESS: LiteralString = "select id, status, log_size from executor.command where id = any(%(ids)s)"

_CANCEL_UNSENT: LiteralString = f"""
with c as (
  update executor.command as c
  set status = 'cancelled', reason = 'cancelled', message = %(message)s, ended_at = now(), cancel_requested_at = now(),
      log_completeness = 'unverified', sealed = null, revision = revision + 1
  where c.id = %(id)s and c.fence = 0 and c.status in ('pending', 'queued')
  returning {COMMAND_COLUMNS}),
o as ({INSERT_EVENT} from c)
select * from c"""

_CANCEL: LiteralString = f"""
update executor.command as c
set status = 'cancelling', cancel_requested_at = now(), cancel_grace_s = %(grace_s)s
where c.id = %(id)s and c.status = any(%(sources)s)
returning {COMMAND_COLUMNS}"""

_CLAIM: LiteralString = f"""
with free as (
  select id from executor.command
  where status in ('pending', 'queued', 'running', 'cancelling') and (lease_until is null or lease_until < now())
    and id <> all(%(held)s)
  order by id limit %(limit)s
  for update skip locked)
update executor.command as c
set owner = %(owner)s, lease_until = now() + make_interval(secs => %(lease_s)s), fence = c.fence + 1,
    dispatch_at = coalesce(c.dispatch_at, now())
from free where c.id = free.id
returning {COMMAND_COLUMNS}, c.sealed"""

_RENEW: LiteralString = """
update executor.command as c set lease_until = now() + make_interval(secs => %(lease_s)s), owner = %(owner)s
from unnest(%(ids)s::uuid[], %(fences)s::bigint[]) as held (id, fence)
where c.id = held.id and c.fence = held.fence and c.status in ('pending', 'queued', 'running', 'cancelling')
returning c.id"""

_GIVE_UP: LiteralString = """
update executor.command as c set lease_until = null, owner = null
from unnest(%(ids)s::uuid[], %(fences)s::bigint[]) as held (id, fence)
where c.id = held.id and c.fence = held.fence and c.status in ('pending', 'queued', 'running', 'cancelling')"""

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

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ping(self) -> None:
        """Unavailable unless the database answers and has the tables."""
        try:
            await self._pool.rows("select 1 from executor.command_log limit 0")
        except UndefinedTable:
            raise Unavailable("SCHEMA_MISSING", "the schema executor is not there yet: run migrate") from None

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
            conditions.append("c.status = any(%(statuses)s)")
        where: LiteralString = " and ".join(conditions)
        params: dict[str, Any] = {
            "before": before,
            "server_id": server_id,
            "server_name": server_name,
            "statuses": [str(status) for status in statuses],
            "limit": limit,
        }
        rows = await self._pool.rows(
            f"select {COMMAND_COLUMNS} from executor.command c where {where} order by c.id desc limit %(limit)s", params
        )
        return [command_from_row(row) for row in rows]

    async def cancel_unsent(self, command_id: UUID, message: str, event: OutboxEvent) -> Command | None:
        """Ends a command that no replica has ever taken; None when one has, or when it is not waiting."""
        rows = await self._pool.rows(_CANCEL_UNSENT, {"id": command_id, "message": message, **event.params(0)})
        return command_from_row(rows[0]) if rows else None

    async def request_cancel(self, command_id: UUID, grace_s: float) -> Command | None:
        """Marks an open command as cancelling; None when it is that already or final."""
        sources = [str(status) for status in sources_of(Status.CANCELLING)]
        rows = await self._pool.rows(_CANCEL, {"id": command_id, "grace_s": grace_s, "sources": sources})
        return command_from_row(rows[0]) if rows else None

    async def claim(self, owner: str, lease_s: float, limit: int, held: Sequence[UUID]) -> list[Owned]:
        """Leases at most `limit` commands that nobody works on, oldest first; never those in `held`."""
        rows = await self._pool.rows(_CLAIM, {"owner": owner, "lease_s": lease_s, "limit": limit, "held": list(held)})
        return [Owned(command_from_row(row), row[COMMAND_WIDTH]) for row in rows]

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


def _pairs(held: Sequence[tuple[UUID, int]]) -> dict[str, Any]:
    return {"ids": [command_id for command_id, _ in held], "fences": [fence for _, fence in held]}
