"""The owner's writes: pieces of log, changes of state and events in one guarded statement each; and reading pieces."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from myx_executor.domain.command import Attempt, Command, Outcome
from myx_executor.domain.states import LOST_AFTER_S, Status, sources_of
from myx_executor.models.commands import OPEN_STATUSES
from myx_executor.store.changes import OWNER, entered, one_more
from myx_executor.store.codec import StoredPiece
from myx_executor.store.jobs_fragment import JOB_TARGET_DONE
from myx_executor.store.outbox import OutboxEvent, insert_event
from myx_executor.store.pool import Pool
from myx_executor.store.rows import COMMAND_COLUMNS, attempts_to_json, command_from_row, result_to_json

_RUNS: LiteralString = one_more("'running'", OWNER, "'confirmed'", "%(confirmed_by)s::text")

_GUARD: LiteralString = "c.id = %(id)s and c.fence = %(fence)s and c.log_size = %(expected)s"

# Without a run limit each contact moves the deadline.
_APPEND: LiteralString = (
    "log_size = %(size)s::bigint,"
    " deadline_at = case when c.timeout_s = 0 and c.status = 'running'"
    " then greatest(c.deadline_at, now() + make_interval(secs => %(lost_after_s)s::float8)) else c.deadline_at end"
)

_CONFIRM: LiteralString = (
    "log_size = %(size)s::bigint, status = case c.status when 'pending' then 'running' else c.status end,"
    " status_since = case c.status when 'pending' then now() else c.status_since end,"
    f" changes = case c.status when 'pending' then {_RUNS} else c.changes end,"
    " reason = '', message = '',"
    " deadline_at = case c.status when 'pending' then now() + make_interval(secs => c.timeout_s)"
    " + make_interval(secs => %(lost_after_s)s::float8) else c.deadline_at end,"
    " started_at = coalesce(c.started_at, now()), revision = c.revision + 1, attempts = %(attempts)s,"
    # A deployment's next owner needs them.
    " sealed = case c.kind when 'deployment' then c.sealed end"
)

_FINISH: LiteralString = (
    "log_size = %(size)s::bigint, "
    + entered("%(status)s::text", OWNER, "coalesce(nullif(%(reason)s::text, ''), 'ended')", "%(evidence)s::text")
    + ", reason = %(reason)s, message = %(message)s,"
    " exit_code = %(exit_code)s, signal = %(signal)s,"
    " started_at = coalesce(%(started_at)s::timestamptz, c.started_at),"
    " ended_at = coalesce(%(ended_at)s::timestamptz, now()), log_completeness = %(completeness)s, result = %(result)s,"
    " attempts = %(attempts)s, sealed = null, owner = null, lease_until = null, deadline_at = null,"
    " release_pending = %(release_pending)s,"
    " revision = c.revision + 2"
)

_PIECE: LiteralString = (
    "(%(offset_{n})s::bigint, %(length_{n})s::bigint, %(kind_{n})s::text, %(encoding_{n})s::smallint,"
    " %(segments_{n})b::bytea, %(data_{n})b::bytea, %(gap_{n})s::text)"
)

_NOTE: LiteralString = f"""
update executor.command as c set message = %(message)s, attempts = %(attempts)s
where c.id = %(id)s and c.fence = %(fence)s and c.status in {OPEN_STATUSES}"""

_PIECES: LiteralString = (
    "select offset_bytes, length, encoding, segments, data, gap_reason from executor.command_log"
    " where command_id = %(id)s and offset_bytes < %(end)s and offset_bytes >= "
)
_IN_ORDER: LiteralString = " order by offset_bytes limit 1024"

# Most reads begin where a piece does: with one look at the partitions instead of two.
_PAGE: LiteralString = f"{_PIECES}%(offset)s{_IN_ORDER}"

_PAGE_WITHIN: LiteralString = f"""{_PIECES}coalesce(
  (select max(offset_bytes) from executor.command_log where command_id = %(id)s and offset_bytes <= %(offset)s), 0)
{_IN_ORDER}"""


@dataclass(frozen=True, slots=True)
class Write:
    """What every guarded write names: the command, the writer's fence and the size of the log before and after."""

    command_id: UUID
    fence: int
    expected: int
    pieces: Sequence[StoredPiece] = ()

    @property
    def size(self) -> int:
        """Size of the log after the write."""
        return self.pieces[-1].offset + self.pieces[-1].length if self.pieces else self.expected


@cache
def _statement(
    change: LiteralString,
    extra: LiteralString,
    returning: LiteralString,
    *,
    pieces: int,
    events: int = 0,
    last: LiteralString = "",
) -> LiteralString:
    parts: list[LiteralString] = [
        f"with c as (update executor.command as c set {change} where {_GUARD}{extra} returning {returning})"
    ]
    if pieces:
        values: LiteralString = ", ".join(_PIECE.replace("{n}", str(n)) for n in range(pieces))
        parts.append(
            "l as (insert into executor.command_log"
            " (command_id, offset_bytes, length, kind, encoding, segments, data, gap_reason)"
            f" select c.id, v.* from c, (values {values}) as v)"
        )
    # Each reads from the one before it: beside each other, the last would be inserted and published first.
    for number in range(events):
        source: LiteralString = f"o{number - 1}" if number else "c"
        parts.append(f"o{number} as ({insert_event(number)} from {source} returning seq)")
    return ", ".join(parts) + last + " select * from c"


class LogStore:
    """Writes under a lease, reads without one. A write that returns None changed nothing: the guard did not hold."""

    def __init__(self, pool: Pool, *, lost_after_s: float = LOST_AFTER_S) -> None:
        self._pool = pool
        self._beyond = {"lost_after_s": lost_after_s}

    async def append(self, write: Write) -> Status | None:
        """Adds pieces; the command's state."""
        statement = _statement(_APPEND, "", "c.id, c.status", pieces=len(write.pieces))
        rows = await self._pool.rows(statement, _params(write) | self._beyond)
        return Status(rows[0][1]) if rows else None

    async def confirm(
        self,
        write: Write,
        attempts: Sequence[Attempt],
        events: Sequence[OutboxEvent],
        confirmed_by: str = "the agent has it",
    ) -> Command | None:
        """The agent has the command: RUNNING unless cancelling, its secrets erased, first pieces and events with it."""
        extra: LiteralString = " and c.status in ('pending', 'running', 'cancelling')"
        values = {"attempts": Jsonb(attempts_to_json(attempts)), "confirmed_by": confirmed_by, **self._beyond}
        return await self._run(_CONFIRM, extra, write, values, events)

    async def finish(
        self,
        write: Write,
        outcome: Outcome,
        attempts: Sequence[Attempt],
        events: Sequence[OutboxEvent],
        *,
        release_pending: bool,
    ) -> Command | None:
        """The end: outcome, last pieces and events; the lease ends with it."""
        values = {
            "status": str(outcome.status),
            "reason": outcome.reason,
            "message": outcome.message,
            "evidence": outcome.evidence or outcome.message,
            "exit_code": outcome.exit_code,
            "signal": outcome.signal,
            "started_at": outcome.started_at,
            "ended_at": outcome.ended_at,
            "completeness": str(outcome.completeness),
            "result": None if outcome.result is None else Jsonb(result_to_json(outcome.result)),
            "attempts": Jsonb(attempts_to_json(attempts)),
            "release_pending": release_pending,
            "sources": [str(status) for status in sources_of(outcome.status)],
        }
        return await self._run(_FINISH, " and c.status = any(%(sources)s)", write, values, events, last=JOB_TARGET_DONE)

    async def note(self, command_id: UUID, fence: int, message: str, attempts: Sequence[Attempt]) -> bool:
        """Says why nothing comes; false when the lease is lost or the command final."""
        values = {"id": command_id, "fence": fence, "message": message, "attempts": Jsonb(attempts_to_json(attempts))}
        return await self._pool.count(_NOTE, values) > 0

    async def page(self, command_id: UUID, offset: int, span: int) -> list[StoredPiece]:
        """Stored pieces in order, from the one that holds `offset`, beginning before `offset + span`; at most 1024."""
        values = {"id": command_id, "offset": offset, "end": offset + span}
        rows = await self._pool.rows(_PAGE, values)
        if not rows or rows[0][0] != offset:
            rows = await self._pool.rows(_PAGE_WITHIN, values)
        return [StoredPiece(*row) for row in rows if row[0] + row[1] > offset]

    async def _run(
        self,
        change: LiteralString,
        extra: LiteralString,
        write: Write,
        values: dict[str, Any],
        events: Sequence[OutboxEvent],
        *,
        last: LiteralString = "",
    ) -> Command | None:
        params = _params(write) | values
        for number, event in enumerate(events):
            params |= event.params(number)
        statement = _statement(change, extra, COMMAND_COLUMNS, pieces=len(write.pieces), events=len(events), last=last)
        rows = await self._pool.rows(statement, params)
        return command_from_row(rows[0]) if rows else None


def _params(write: Write) -> dict[str, Any]:
    params: dict[str, Any] = {
        "id": write.command_id,
        "fence": write.fence,
        "expected": write.expected,
        "size": write.size,
    }
    for number, piece in enumerate(write.pieces):
        params |= {
            f"offset_{number}": piece.offset,
            f"length_{number}": piece.length,
            f"kind_{number}": piece.kind,
            f"encoding_{number}": piece.encoding,
            f"segments_{number}": piece.segments,
            f"data_{number}": piece.data,
            f"gap_{number}": piece.gap_reason,
        }
    return params
