"""Locks of servers. A lock is `lock_held_at` of a row that is open: no lock outlives its row's end."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from myx_executor.domain.command import LockMode, RowKind
from myx_executor.models.commands import OPEN_STATUSES
from myx_executor.store.jobs_fragment import held
from myx_executor.store.pool import Pool

# Who waits for its agent to be back, or until its job goes on, does not stand in line.
_IN_LINE: LiteralString = f"""(e.lock_held_at is not null
  or not (e.status = 'queued' and e.reason = 'agent_unreachable') and not {held("e")})"""

# Acquiring is one at a time for each server; the statement that follows sees what the one before has written.
_ALONE: LiteralString = (
    "select pg_advisory_xact_lock(hashtextextended('server_lock', 0) # hashtextextended(%(server_id)s, 1))"
)

# First come, first served: in the way is who holds a lock that excludes ours, or came before us and waits for one.
_ACQUIRE: LiteralString = f"""
with me as (
  select id, server_id, lock_mode, lock_held_at from executor.command
  where id = %(id)s and fence = %(fence)s and status in {OPEN_STATUSES}),
e as (
  select e.id, e.kind, e.lock_mode, e.lock_held_at is not null as held from me, executor.command e
  where e.server_id = me.server_id and e.id <> me.id and e.lock_mode <> 'none' and e.status in {OPEN_STATUSES}
    and (me.lock_mode = 'exclusive' or e.lock_mode = 'exclusive')
    and (e.lock_held_at is not null or e.id < me.id) and {_IN_LINE} and me.lock_held_at is null
  order by e.lock_held_at is null, e.id limit 1),
won as (
  update executor.command c set lock_held_at = coalesce(c.lock_held_at, now()) from me
  where c.id = me.id and not exists (select from e))
select me.id, e.id, e.kind, e.lock_mode, e.held from me left join e on true"""

# The first in line, and with one that shares those behind it that share too.
_WAKE_NEXT: LiteralString = f"""
update executor.command q set lease_until = now()
where q.server_id = %(server_id)s and q.status = 'queued' and q.reason = 'lock_held'
  and not exists (
    select from executor.command e
    where e.server_id = q.server_id and e.lock_mode <> 'none' and e.status in {OPEN_STATUSES} and e.id <> q.id
      and (e.lock_held_at is not null or e.id < q.id) and {_IN_LINE}
      and (q.lock_mode = 'exclusive' or e.lock_mode = 'exclusive'))"""


@dataclass(frozen=True, slots=True)
class InTheWay:
    """Who has to end, or to have its turn, first."""

    id: UUID
    kind: RowKind
    mode: LockMode
    holds: bool


class LockLost(Exception):
    """The row is not ours any more."""


class LockStore:
    """Takes locks under a lease; they go with the row's end, or when it is queued."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def acquire(self, command_id: UUID, server_id: str, fence: int) -> InTheWay | None:
        """None: the command has its lock (harmless to repeat). LockLost when the lease is lost or the row final."""
        values = {"id": command_id, "server_id": server_id, "fence": fence}
        rows = await self._pool.rows_alone(_ALONE, _ACQUIRE, values)
        if not rows:
            raise LockLost
        _, other, kind, mode, holds = rows[0]
        return None if other is None else InTheWay(other, RowKind(kind), LockMode(mode), holds)

    async def wake_next(self, server_id: str) -> int:
        """Lets those whose turn it is be claimed at once; how many there are."""
        return await self._pool.count(_WAKE_NEXT, {"server_id": server_id})
