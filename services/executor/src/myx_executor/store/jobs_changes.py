"""One statement for every change of a job's state that does not end it."""

# ruff: noqa: S608 - put together from literals only (LiteralString)

from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from myx_executor.domain.jobs import JobStatus
from myx_executor.store.changes import entered
from myx_executor.store.jobs_fragment import REVISION
from myx_executor.store.outbox import OutboxEvent

_ENTERED: LiteralString = entered("%(to)s::text", "%(actor)s::text", "%(cause)s::text", "%(evidence)s::text")

# `fence` null: it is a caller's. The job's row is changed first: what is being started meanwhile is waited for, and its
# targets wait no more when they are looked at.
CHANGE: LiteralString = f"""
with c as (
  update executor.job as c
  set {_ENTERED}, change_count = c.change_count + 1, reason = %(reason)s, message = %(message)s,
      started_at = case when %(to)s::text = 'running' then coalesce(c.started_at, now()) else c.started_at end,
      batch = case when %(to)s::text = 'running' then greatest(c.batch, 1) else c.batch end,
      deadline_at = case when %(at_least_s)s::float8 is null then c.deadline_at
        else greatest(c.deadline_at, now() + make_interval(secs => %(at_least_s)s::float8)) end,
      cancel_grace_s = coalesce(%(grace_s)s::float8, c.cancel_grace_s), revision = {REVISION}
  where c.id = %(id)s and c.change_count = %(expected)s and (%(fence)s::bigint is null or c.fence = %(fence)s)
    and c.status in ('pending', 'running', 'paused', 'stopping', 'cancelling')
  returning c.id),
t as (
  update executor.job_target as t
  set status = 'not_started', command_id = null, reserved = false, reason = %(target_reason)s, ended_at = now(),
      revision = {REVISION}
  from c where %(drop_waiting)s and t.job_id = c.id and (t.status = 'waiting' or t.reserved)),
o as (
  insert into executor.outbox (event_id, subject, payload)
  select %(event_id_0)s::text, %(subject_0)s::text, %(payload_0)b::bytea from c where %(event_id_0)s::text is not null)
select id from c"""


@dataclass(frozen=True, slots=True)
class JobChange:
    """A change to `to`, decided when `expected` changes had been made. `fence` None: a caller's wish.

    `at_least_s`: the deadline is not sooner than this. `drop_waiting`: what waits is not started any more.
    """

    job_id: UUID
    expected: int
    to: JobStatus
    actor: str
    cause: str
    evidence: str = ""
    reason: str = ""
    message: str = ""
    fence: int | None = None
    at_least_s: float | None = None
    grace_s: float | None = None
    drop_waiting: bool = False
    event: OutboxEvent | None = None

    def params(self) -> dict[str, Any]:
        """Parameters of CHANGE."""
        none = {"event_id_0": None, "subject_0": None, "payload_0": None}
        return {
            "id": self.job_id,
            "expected": self.expected,
            "fence": self.fence,
            "to": str(self.to),
            "actor": self.actor,
            "cause": self.cause,
            "evidence": self.evidence,
            "reason": self.reason,
            "message": self.message,
            "at_least_s": self.at_least_s,
            "grace_s": self.grace_s,
            "drop_waiting": self.drop_waiting,
            "target_reason": self.cause,
            **(none if self.event is None else self.event.params(0)),
        }
