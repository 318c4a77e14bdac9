"""What retention marks and deletes: small batches, each statement a transaction, harmless to repeat."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from myx_executor.domain.retention import Partition
from myx_executor.models.commands import OPEN_STATUSES
from myx_executor.store.pool import Pool

FIRST = UUID(int=0)
LAST = UUID(int=(1 << 128) - 1)

_OPEN: LiteralString = f"c.status in {OPEN_STATUSES}"
_JOB_OPEN: LiteralString = "j.status in ('pending', 'running', 'paused', 'stopping', 'cancelling')"

# The agent still keeps what may be missing here; a job under way shows its runs.
_HELD: LiteralString = f"""({_OPEN} or c.release_pending or exists (
  select from executor.job j where j.id = c.job_id and {_JOB_OPEN}))"""

_LOG_BEFORE: LiteralString = (
    "c.ended_at < case c.kind when 'deployment' then %(deployments)s::timestamptz else %(commands)s::timestamptz end"
)

# The lease is one's own or has run out.
_LEASE: LiteralString = """
insert into executor.chore as h (name, owner, lease_until)
values (%(name)s, %(owner)s, now() + make_interval(secs => %(lease_s)s::float8))
on conflict (name) do update set owner = excluded.owner, lease_until = excluded.lease_until
where h.owner = excluded.owner or h.lease_until < now()
returning owner"""

_LOG_IS_THERE: LiteralString = "c.log_size > 0 and c.log_purged_at is null"

_KEEPERS: LiteralString = f"""
select exists (
  select from executor.command c where c.id >= %(lower)s and c.id < %(upper)s
    and ({_OPEN} or ({_LOG_IS_THERE} and ({_HELD} or ({_LOG_BEFORE}) is not true))))"""

# As many as hold `most` bytes before compression, at least one.
_MARK: LiteralString = f"""
with due as (
  select c.id, c.log_size from executor.command c
  where c.id > %(after)s and c.id < %(upper)s and {_LOG_IS_THERE} and {_LOG_BEFORE} and not {_HELD}
  order by c.id limit %(limit)s),
few as (
  select id from (select id, sum(log_size) over (order by id) - log_size as before from due) as d
  where before < %(most)s),
m as (
  update executor.command as c set log_purged_at = now(), log_purge_pending = %(pending)s
  from few where c.id = few.id and c.log_purged_at is null returning c.id, c.log_size)
select (select count(*) from m), (select coalesce(sum(log_size), 0)::bigint from m),
  (select id from few order by id desc limit 1)"""

_PENDING: LiteralString = (
    "select c.id, c.log_size from executor.command c where c.log_purge_pending order by c.id limit %(limit)s"
)

# From the end of a log on: who reads it meanwhile sees it end, not holes.
_DELETE_ROWS: LiteralString = """
with few as (
  select command_id, offset_bytes from executor.command_log where command_id = %(id)s
  order by offset_bytes desc limit %(limit)s),
d as (
  delete from executor.command_log l using few
  where l.command_id = %(id)s and l.offset_bytes = few.offset_bytes
  returning coalesce(octet_length(l.data), 0) + 150 as size)
select count(*), coalesce(sum(size), 0)::bigint from d"""

_DELETE_WHOLE: LiteralString = """
with d as (
  delete from executor.command_log l where l.command_id = any(%(ids)s)
  returning coalesce(octet_length(l.data), 0) + 150 as size)
select count(*), coalesce(sum(size), 0)::bigint from d"""

_CLEAR: LiteralString = (
    "update executor.command set log_purge_pending = false where id = any(%(ids)s) and log_purge_pending"
)

_CLEAR_RANGE: LiteralString = """
update executor.command set log_purge_pending = false
where log_purge_pending and id >= %(lower)s and id < %(upper)s"""

_OLD: LiteralString = f"""
c.id > %(after)s and c.id <= %(upto)s and c.ended_at < %(before)s and not {_HELD} order by c.id limit %(limit)s"""

_OLD_COMMANDS: LiteralString = f"select c.id from executor.command c where c.kind = 'command' and {_OLD}"

_OLD_DEPLOYMENTS: LiteralString = (
    f"select c.id from executor.deployment d join executor.command c on c.id = d.id where {_OLD}"
)

_MARK_THESE: LiteralString = f"""
update executor.command as c set log_purged_at = now(), log_purge_pending = true
where c.id = any(%(ids)s) and {_LOG_IS_THERE} and not {_HELD} returning c.id"""

_DELETE_COMMANDS: LiteralString = f"""
with c as (
  delete from executor.command as c
  where c.id = any(%(ids)s) and not c.log_purge_pending and not ({_LOG_IS_THERE}) and not {_HELD} returning c.id),
e as (delete from executor.play_event e using c where e.deployment_id = c.id),
d as (delete from executor.deployment d using c where d.id = c.id)
select count(*) from c"""

_OLD_JOBS: LiteralString = f"""
select j.id from executor.job j
where j.id > %(after)s and j.id <= %(upto)s and j.ended_at < %(before)s and not ({_JOB_OPEN})
order by j.id limit %(limit)s"""

_DELETE_JOBS: LiteralString = f"""
with j as (delete from executor.job as j where j.id = any(%(ids)s) and not ({_JOB_OPEN}) returning j.id),
t as (delete from executor.job_target t using j where t.job_id = j.id)
select count(*) from j"""

# Of each schedule the newest one stays, whatever its age.
_DELETE_FIRES: LiteralString = """
with few as (
  select s.id, f.slot_at from executor.schedule s cross join lateral (
    select slot_at, outcome, watched from executor.schedule_fire where schedule_id = s.id and slot_at < %(before)s
      and slot_at <= (select slot_at from executor.schedule_fire where schedule_id = s.id
        order by slot_at desc offset %(rows)s limit 1)
    order by slot_at limit %(limit)s) f
  where f.outcome not in ('pending', 'waiting') and not f.watched
  limit %(limit)s)
delete from executor.schedule_fire f using few where f.schedule_id = few.id and f.slot_at = few.slot_at"""

_NTH: dict[str, LiteralString] = {
    "commands": "select id from executor.command where kind = 'command' order by id desc offset %(rows)s limit 1",
    "deployments": "select id from executor.deployment order by id desc offset %(rows)s limit 1",
    "jobs": "select id from executor.job order by id desc offset %(rows)s limit 1",
}
_OLD_OF: dict[str, LiteralString] = {
    "commands": _OLD_COMMANDS,
    "deployments": _OLD_DEPLOYMENTS,
    "jobs": _OLD_JOBS,
}


@dataclass(frozen=True, slots=True)
class LogCutoff:
    """Logs of what ended before may go; None: none may."""

    commands: datetime | None
    deployments: datetime | None

    def params(self) -> dict[str, Any]:
        """As the statements name them."""
        return {"commands": self.commands, "deployments": self.deployments}


@dataclass(frozen=True, slots=True)
class Marked:
    """How many logs were marked as gone, their bytes before compression, and the id to go on behind."""

    count: int
    log_bytes: int
    last: UUID | None


class RetentionStore:
    """Every statement of retention that is not one about partitions."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def lease(self, name: str, owner: str, lease_s: float) -> bool:
        """Takes or prolongs the lease of a chore; false while another replica has it."""
        return bool(await self._pool.rows(_LEASE, {"name": name, "owner": owner, "lease_s": lease_s}))

    async def has_keepers(self, partition: Partition, cutoff: LogCutoff) -> bool:
        """Whether a command of the partition is open or has a log that may not go yet."""
        rows = await self._pool.rows(_KEEPERS, _range(partition) | cutoff.params())
        return bool(rows[0][0])

    async def mark_logs(
        self, partition: Partition, cutoff: LogCutoff, after: UUID, *, pending: bool, limit: int, most: int = 1 << 62
    ) -> Marked:
        """Marks the oldest logs behind `after` that may go; with `pending` their rows are still to be deleted."""
        values = {"after": after, "upper": partition.upper or LAST, "pending": pending, "limit": limit, "most": most}
        row = (await self._pool.rows(_MARK, values | cutoff.params()))[0]
        return Marked(*row)

    async def pending(self, limit: int) -> list[tuple[UUID, int]]:
        """Commands (id, size of the log) whose log is marked as gone and not yet deleted, oldest first."""
        return [(row[0], row[1]) for row in await self._pool.rows(_PENDING, {"limit": limit})]

    async def delete_rows(self, command_id: UUID, limit: int) -> tuple[int, int]:
        """Deletes at most so many rows of a log, the last ones first: rows and bytes. Fewer: nothing is left of it."""
        row = (await self._pool.rows(_DELETE_ROWS, {"id": command_id, "limit": limit}))[0]
        return row[0], row[1]

    async def delete_whole(self, command_ids: Sequence[UUID]) -> int:
        """Deletes small logs; their bytes."""
        return int((await self._pool.rows(_DELETE_WHOLE, {"ids": list(command_ids)}))[0][1])

    async def clear_pending(self, command_ids: Sequence[UUID]) -> None:
        """Their rows are gone."""
        await self._pool.count(_CLEAR, {"ids": list(command_ids)})

    async def clear_pending_of(self, partition: Partition) -> None:
        """The partition is gone."""
        await self._pool.count(_CLEAR_RANGE, _range(partition))

    async def nth_newest(self, kind: str, rows: int) -> UUID | None:
        """The newest id that is too many when `rows` are kept."""
        found = await self._pool.rows(_NTH[kind], {"rows": rows})
        return found[0][0] if found else None

    async def old(self, kind: str, after: UUID, upto: UUID, before: datetime, limit: int) -> list[UUID]:
        """Final work behind `after` up to `upto` that ended before `before` and that nobody refers to, oldest first."""
        values = {"after": after, "upto": upto, "before": before, "limit": limit}
        return [row[0] for row in await self._pool.rows(_OLD_OF[kind], values)]

    async def mark_these(self, command_ids: Sequence[UUID]) -> int:
        """Marks those logs that are still there; how many."""
        return len(await self._pool.rows(_MARK_THESE, {"ids": list(command_ids)}))

    async def delete_fires(self, before: datetime, rows: int, limit: int) -> int:
        """Deletes decided times of schedules before `before`, except the newest `rows` of each; how many."""
        return await self._pool.count(_DELETE_FIRES, {"before": before, "rows": max(rows, 1), "limit": limit})

    async def delete(self, kind: str, ids: Sequence[UUID]) -> int:
        """Deletes rows with all that belongs to them, those whose log is gone; how many."""
        statement = _DELETE_JOBS if kind == "jobs" else _DELETE_COMMANDS
        return int((await self._pool.rows(statement, {"ids": list(ids)}))[0][0])


def _range(partition: Partition) -> dict[str, Any]:
    return {"lower": partition.lower or FIRST, "upper": partition.upper or LAST}
