"""The times of schedules: made once when they have come, then decided by whoever leases them."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from myx_executor.domain.schedules import Due, Fire, FireOutcome, Overlap, Schedule, Work, WorkKind
from myx_executor.models.commands import OPEN_STATUSES
from myx_executor.store.outbox import INSERT_EVENT, OutboxEvent
from myx_executor.store.pool import Pool
from myx_executor.store.schedules import SCHEDULE_COLUMNS, schedule_from_row

_DUE: LiteralString = f"""
select {SCHEDULE_COLUMNS}, now() from executor.schedule s where s.next_at <= now() order by s.next_at limit %(limit)s"""

# One statement: only one of those who looked moves the schedule on, and only that one makes the times.
_ADVANCE: LiteralString = """
with s as (
  update executor.schedule as s
  set next_at = %(next_at)s::timestamptz, last_slot_at = greatest(s.last_slot_at, %(last_slot_at)s::timestamptz)
  where s.id = %(id)s and s.next_at = %(seen)s::timestamptz and s.revision = %(revision)s
  returning s.*),
f as (
  insert into executor.schedule_fire (
    schedule_id, slot_at, outcome, reason, message, decided_at, principal, work_kind, work, sealed, deadline_at)
  select s.id, x.slot_at, x.outcome, x.reason, x.message, case when x.outcome <> 'pending' then now() end, s.owner,
    s.work_kind, case when x.outcome = 'pending' then s.work end, case when x.outcome = 'pending' then s.sealed end,
    case when x.outcome = 'pending'
      then greatest(x.slot_at + make_interval(secs => s.missed_within_s), now() + interval '30 seconds') end
  from s cross join unnest(%(slots)s::timestamptz[], %(outcomes)s::text[], %(reasons)s::text[], %(messages)s::text[])
    as x (slot_at, outcome, reason, message)
  on conflict do nothing
  returning slot_at, outcome),
o as (
  insert into executor.outbox (event_id, subject, payload)
  select e.event_id, e.subject, e.payload
  from unnest(%(event_slots)s::timestamptz[], %(event_ids)s::text[], %(subjects)s::text[], %(payloads)b::bytea[])
    as e (slot_at, event_id, subject, payload)
  join f on f.slot_at = e.slot_at)
select count(*) filter (where outcome = 'pending') from f"""

# Times that nobody decides now. Their schedule may be gone between the two steps; then they are too.
_CLAIM: LiteralString = """
with free as (
  select schedule_id, slot_at from executor.schedule_fire
  where outcome in ('pending', 'waiting') and lease_until <= now()
  order by lease_until limit %(limit)s for update skip locked)
update executor.schedule_fire as f
set owner = %(owner)s, lease_until = now() + make_interval(secs => %(lease_s)s::float8), fence = f.fence + 1
from free, executor.schedule s
where f.schedule_id = free.schedule_id and f.slot_at = free.slot_at and s.id = f.schedule_id
returning f.schedule_id, f.slot_at, f.outcome, f.reason, f.message, f.principal, f.work_kind, f.work, f.sealed, f.fence,
  f.deadline_at <= now(), s.name, s.overlap, s.paused, s.missed_within_s"""

_AHEAD: LiteralString = f"""
with w as (
  select f.slot_at, f.work_kind || ' ' || f.started_id as started, coalesce(
    (select c.status in {OPEN_STATUSES} from executor.command c
     where c.id = f.started_id),
    (select j.status in ('pending', 'running', 'paused', 'stopping', 'cancelling') from executor.job j
     where j.id = f.started_id), false) as runs
  from executor.schedule_fire f where f.schedule_id = %(id)s and f.watched),
u as (
  update executor.schedule_fire as f set watched = false from w
  where f.schedule_id = %(id)s and f.slot_at = w.slot_at and not w.runs)
select
  (select count(*) from executor.schedule_fire f
   where f.schedule_id = %(id)s and f.slot_at < %(slot_at)s and f.outcome in ('pending', 'waiting')),
  (select min(started) from w where runs)"""

_LATER: LiteralString = """
update executor.schedule_fire as f
set outcome = %(outcome)s, reason = %(reason)s, message = %(message)s, owner = null,
    lease_until = now() + make_interval(secs => %(pause_s)s::float8),
    deadline_at = case when f.outcome <> %(outcome)s::text
      then now() + make_interval(secs => %(within_s)s::float8) else f.deadline_at end
where f.schedule_id = %(id)s and f.slot_at = %(slot_at)s and f.fence = %(fence)s
  and f.outcome in ('pending', 'waiting')"""

_DECIDE: LiteralString = f"""
with f as (
  update executor.schedule_fire as f
  set outcome = %(outcome)s, reason = %(reason)s, message = %(message)s, started_id = %(started_id)s::uuid,
      decided_at = now(), watched = %(started_id)s::uuid is not null, owner = null, deadline_at = null, work = null,
      sealed = null
  where f.schedule_id = %(id)s and f.slot_at = %(slot_at)s and f.fence = %(fence)s
    and f.outcome in ('pending', 'waiting')
  returning f.slot_at),
o as ({INSERT_EVENT} from f)
select count(*) from f"""


@dataclass(frozen=True, slots=True)
class ClaimedFire:
    """A time that this replica decides. Its writes name `fence`; `is_over`: its deadline has passed."""

    schedule_id: UUID
    schedule_name: str
    slot_at: datetime
    outcome: FireOutcome
    reason: str
    message: str
    principal: str
    work: Work
    sealed: bytes | None
    overlap: Overlap
    paused: bool
    missed_within_s: float
    is_over: bool
    fence: int

    @property
    def key(self) -> Mapping[str, Any]:
        """Parameters that name the row."""
        return {"id": self.schedule_id, "slot_at": self.slot_at, "fence": self.fence}

    @property
    def request_id(self) -> str:
        """Under which it is started, however often that is tried."""
        return f"schedule:{self.schedule_id}:{int(self.slot_at.timestamp())}"


class FireStore:
    """Rows of `executor.schedule_fire`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def due(self, limit: int) -> list[tuple[Schedule, datetime]]:
        """Schedules whose next time has come, each with the database's clock."""
        rows = await self._pool.rows(_DUE, {"limit": limit})
        return [(schedule_from_row(row[:-1]), row[-1]) for row in rows]

    async def advance(self, schedule: Schedule, due: Due, events: Sequence[tuple[Fire, OutboxEvent]]) -> int:
        """Moves a schedule on and makes its times that have come; how many are to be started (none when somebody else
        did it, or changed the schedule)."""
        values = {
            "id": schedule.id,
            "seen": schedule.next_at,
            "revision": schedule.revision,
            "next_at": due.next_at,
            "last_slot_at": due.last_slot_at,
            "slots": [fire.slot_at for fire in due.fires],
            "outcomes": [str(fire.outcome) for fire in due.fires],
            "reasons": [fire.reason for fire in due.fires],
            "messages": [fire.message for fire in due.fires],
            "event_slots": [fire.slot_at for fire, _ in events],
            "event_ids": [str(event.event_id) for _, event in events],
            "subjects": [event.subject for _, event in events],
            "payloads": [event.payload for _, event in events],
        }
        rows = await self._pool.rows(_ADVANCE, values)
        return int(rows[0][0])

    async def claim(self, owner: str, lease_s: float, limit: int) -> list[ClaimedFire]:
        """Times to decide, leased to `owner`."""
        rows = await self._pool.rows(_CLAIM, {"owner": owner, "lease_s": lease_s, "limit": limit})
        return [_claimed(row) for row in rows]

    async def ahead(self, fire: ClaimedFire) -> tuple[int, str | None]:
        """How many earlier times are undecided, and what was started and has not ended (kind and id)."""
        rows = await self._pool.rows(_AHEAD, {"id": fire.schedule_id, "slot_at": fire.slot_at})
        return rows[0][0], rows[0][1]

    async def later(
        self, fire: ClaimedFire, outcome: FireOutcome, reason: str, message: str, *, pause_s: float, within_s: float
    ) -> None:
        """Gives it back, to be looked at again; `within_s` is the deadline of a state that it enters."""
        values = {"outcome": str(outcome), "reason": reason, "message": message, "pause_s": pause_s}
        await self._pool.count(_LATER, {**fire.key, **values, "within_s": within_s})

    async def decide(self, fire: ClaimedFire, end: Fire, event: OutboxEvent) -> bool:
        """Stores what became of it; false when another replica decides it by now, or its schedule is gone."""
        values = {
            "outcome": str(end.outcome),
            "reason": end.reason,
            "message": end.message,
            "started_id": end.started_id,
            **event.params(0),
        }
        rows = await self._pool.rows(_DECIDE, {**fire.key, **values})
        return bool(rows[0][0])


def _claimed(row: Sequence[Any]) -> ClaimedFire:
    (schedule_id, slot_at, outcome, reason, message, principal, kind, work, sealed, fence, is_over, *of_schedule) = row
    name, overlap, paused, missed_within_s = of_schedule
    return ClaimedFire(
        schedule_id=schedule_id,
        schedule_name=name,
        slot_at=slot_at,
        outcome=FireOutcome(outcome),
        reason=reason,
        message=message,
        principal=principal,
        work=Work(WorkKind(kind), work),
        sealed=sealed,
        overlap=Overlap(overlap),
        paused=paused,
        missed_within_s=missed_within_s,
        is_over=is_over,
        fence=fence,
    )
