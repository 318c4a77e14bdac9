"""Schedules: make, read, change, remove; and what became of their times, for readers."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from myx_executor.domain.cron import Cron
from myx_executor.domain.schedules import Fire, FireOutcome, Missed, Overlap, Schedule, Work, WorkKind
from myx_executor.store.pool import Pool
from myx_kit.errors import Internal

SCHEDULE_COLUMNS: LiteralString = (
    "s.id, s.name, s.cron, s.time_zone, s.missed, s.missed_within_s, s.overlap, s.paused, s.work_kind, s.work, s.owner,"
    " s.next_at, s.last_slot_at, s.revision, s.created_at, s.updated_at"
)
_WIDTH = 16
_FIRE_COLUMNS: LiteralString = "f.slot_at, f.outcome, f.reason, f.message, f.started_id, f.work_kind, f.decided_at"


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule to be stored."""

    schedule: Schedule
    sealed: bytes | None
    requested_by: str
    request_id: str | None
    sealed_request_digest: bytes | None


_INSERT: LiteralString = f"""
with one as (
  insert into executor.schedule as s (
    id, name, cron, time_zone, missed, missed_within_s, overlap, paused, work_kind, work, sealed, owner, next_at,
    requested_by, request_id, sealed_request_digest)
  select %(id)s::uuid, %(name)s::text, %(cron)s::text, %(time_zone)s::text, %(missed)s::text,
    %(missed_within_s)s::float8, %(overlap)s::text, %(paused)s::boolean, %(work_kind)s::text, %(work)s::jsonb,
    %(sealed)s::bytea, %(owner)s::text, %(next_at)s::timestamptz, %(requested_by)s::text, %(request_id)s::text,
    %(sealed_request_digest)s::bytea
  where (select count(*) from executor.schedule) < %(most)s
  on conflict do nothing
  returning {SCHEDULE_COLUMNS})
select * from one"""

_READ: LiteralString = f"""
select {SCHEDULE_COLUMNS}, {_FIRE_COLUMNS} from executor.schedule s
left join lateral (
  select * from executor.schedule_fire f where f.schedule_id = s.id order by f.slot_at desc limit 1) f on true
"""
_BY_ID: LiteralString = _READ + "where s.id = %(id)s"
_BY_NAME: LiteralString = _READ + "where s.name = %(name)s"
_BY_REQUEST: LiteralString = (
    "select s.id, s.sealed_request_digest from executor.schedule s"
    " where s.requested_by = %(requested_by)s and s.request_id = %(request_id)s and s.request_id is not null"
)
_PAGE: LiteralString = _READ + "where s.name > %(after)s order by s.name limit %(limit)s"
_FIRES: LiteralString = f"""
select {_FIRE_COLUMNS} from executor.schedule_fire f
where f.schedule_id = %(id)s and f.slot_at < coalesce(%(before)s::timestamptz, 'infinity')
order by f.slot_at desc limit %(limit)s"""

_UPDATE: LiteralString = """
update executor.schedule
set cron = %(cron)s, time_zone = %(time_zone)s, missed = %(missed)s, missed_within_s = %(missed_within_s)s,
    overlap = %(overlap)s, paused = %(paused)s, work_kind = %(work_kind)s, work = %(work)s,
    sealed = case when %(new_work)s then %(sealed)s::bytea else sealed end, owner = %(owner)s,
    next_at = case when %(new_times)s then %(next_at)s::timestamptz else next_at end,
    revision = revision + 1, updated_at = now()
where id = %(id)s and revision = %(revision)s"""
_DELETE: LiteralString = """
delete from executor.schedule
where id = %(id)s and (%(revision)s::bigint is null or revision = %(revision)s)"""


class ScheduleStore:
    """Rows of `executor.schedule`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def now(self) -> datetime:
        """The database's clock: the only one that schedules go by."""
        rows = await self._pool.rows("select now()")
        moment: datetime = rows[0][0]
        return moment

    async def insert(self, new: NewSchedule, most: int) -> Schedule | None:
        """The schedule as stored; None when its name or its request id is taken, or when there are `most` of them."""
        values = _values(new.schedule) | {
            "name": new.schedule.name,
            "sealed": new.sealed,
            "requested_by": new.requested_by,
            "request_id": new.request_id,
            "sealed_request_digest": new.sealed_request_digest,
            "most": most,
        }
        rows = await self._pool.rows(_INSERT, values)
        return schedule_from_row(rows[0]) if rows else None

    async def by_id(self, schedule_id: UUID) -> Schedule | None:
        """One schedule with its last fire."""
        return _one(await self._pool.rows(_BY_ID, {"id": schedule_id}))

    async def by_name(self, name: str) -> Schedule | None:
        """One schedule with its last fire."""
        return _one(await self._pool.rows(_BY_NAME, {"name": name}))

    async def by_request(self, requested_by: str, request_id: str) -> tuple[UUID, bytes] | None:
        """Id and sealed content digest of the schedule that a request created."""
        rows = await self._pool.rows(_BY_REQUEST, {"requested_by": requested_by, "request_id": request_id})
        return (rows[0][0], rows[0][1]) if rows else None

    async def page(self, after: str, limit: int) -> list[Schedule]:
        """Schedules by name, behind one."""
        rows = await self._pool.rows(_PAGE, {"after": after, "limit": limit})
        return [schedule_from_row(row) for row in rows]

    async def fires(self, schedule_id: UUID, before: datetime | None, limit: int) -> list[Fire]:
        """What became of its times, newest first, those before a time."""
        rows = await self._pool.rows(_FIRES, {"id": schedule_id, "before": before, "limit": limit})
        return [_fire(row) for row in rows]

    async def update(self, schedule: Schedule, *, new_times: bool, new_work: bool, sealed: bytes | None) -> bool:
        """Stores what was changed in the schedule that was read; false when somebody else came first."""
        values = _values(schedule) | {
            "revision": schedule.revision,
            "new_times": new_times,
            "new_work": new_work,
            "sealed": sealed,
        }
        return await self._pool.count(_UPDATE, values) > 0

    async def delete(self, schedule_id: UUID, revision: int | None = None) -> bool:
        """Removes it with the record of its times; false when it is gone already, or of another revision."""
        return await self._pool.count(_DELETE, {"id": schedule_id, "revision": revision}) > 0


def schedule_from_row(row: Sequence[Any]) -> Schedule:
    """A row of SCHEDULE_COLUMNS, with the columns of its last fire behind them if they were asked for."""
    (schedule_id, name, cron, zone, missed, within_s, overlap, paused, kind, work, owner, *rest) = row[:_WIDTH]
    next_at, last_slot_at, revision, created_at, updated_at = rest
    last = row[_WIDTH:]
    return Schedule(
        id=schedule_id,
        name=name,
        cron=Cron(cron, zone),
        missed=Missed(missed),
        missed_within_s=within_s,
        overlap=Overlap(overlap),
        paused=paused,
        work=Work(WorkKind(kind), work),
        owner=owner,
        next_at=next_at,
        last_slot_at=last_slot_at,
        revision=revision,
        created_at=created_at,
        updated_at=updated_at,
        last_fire=_fire(last) if last and last[0] is not None else None,
    )


def _fire(row: Sequence[Any]) -> Fire:
    slot_at, outcome, reason, message, started_id, kind, decided_at = row
    return Fire(
        slot_at=slot_at,
        outcome=FireOutcome(outcome),
        reason=reason,
        message=message,
        started_id=started_id,
        started_kind=kind if started_id is not None else "",
        decided_at=decided_at,
    )


def _one(rows: Sequence[Sequence[Any]]) -> Schedule | None:
    if len(rows) > 1:
        raise Internal("SCHEDULE_TWICE", "two schedules have one key")
    return schedule_from_row(rows[0]) if rows else None


def _values(schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "cron": schedule.cron.expression,
        "time_zone": schedule.cron.zone,
        "missed": str(schedule.missed),
        "missed_within_s": schedule.missed_within_s,
        "overlap": str(schedule.overlap),
        "paused": schedule.paused,
        "work_kind": str(schedule.work.kind),
        "work": Jsonb(dict(schedule.work.document)),
        "owner": schedule.owner,
        "next_at": schedule.next_at,
    }
