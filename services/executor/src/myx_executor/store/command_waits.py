"""Statements by which a command waits, or ends without having been sent."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from typing import LiteralString

from myx_executor.store.changes import OWNER, entered, one_more
from myx_executor.store.jobs_fragment import JOB_TARGET_DONE, UNSENT, held
from myx_executor.store.outbox import INSERT_EVENT
from myx_executor.store.rows import COMMAND_COLUMNS

_CANCELLED_OR: LiteralString = f"case when {UNSENT} then 'cancelled' else 'cancelling' end"
_CANCEL_EVIDENCE: LiteralString = f"case when {UNSENT} then %(message)s::text else 'the end was asked for' end"
_CANCEL_DEADLINE: LiteralString = (
    "now() + make_interval(secs => %(grace_s)s::float8) + make_interval(secs => %(lost_after_s)s::float8)"
)
# The row was queued for the same reason until the claim before this write.
_SAME_WAIT: LiteralString = "(c.changes -> -1 ->> 'from' = 'queued' and c.changes -> -2 ->> 'cause' = %(reason)s::text)"

# What was never sent ends here and now, also under its owner: nothing is sent unless MARK_SENT has landed before.
CANCEL_SET: LiteralString = f"""
      status = {_CANCELLED_OR}, status_since = now(),
      changes = {one_more(_CANCELLED_OR, "%(actor)s::text", "'cancel_requested'", _CANCEL_EVIDENCE)},
      cancel_requested_at = now(), cancel_grace_s = %(grace_s)s::float8,
      reason = case when {UNSENT} then 'cancelled' else c.reason end,
      message = case when {UNSENT} then %(message)s::text else c.message end,
      ended_at = case when {UNSENT} then now() end,
      log_completeness = case when {UNSENT} then 'unverified' else c.log_completeness end,
      sealed = case when {UNSENT} then null else c.sealed end,
      revision = c.revision + case when {UNSENT} then 2 else 0 end,
      lease_until = case when {UNSENT} then null else c.lease_until end,
      deadline_at = case when {UNSENT} then null
        when c.status = 'running' then least(c.deadline_at, {_CANCEL_DEADLINE}) else {_CANCEL_DEADLINE} end"""

CANCEL: LiteralString = f"""
with m as (
  update executor.command as c set {CANCEL_SET}
  where c.id = %(id)s and c.status = any(%(sources)s)
  returning {COMMAND_COLUMNS}),
c as (select * from m where status = 'cancelled'),
o as ({INSERT_EVENT} from c){JOB_TARGET_DONE}
select * from m"""

# Certainly not sent, due, and nobody is just trying it: he gives it back to wait, with the cause.
_IS_DUE: LiteralString = f"""{UNSENT} and c.deadline_at <= now()
    and (c.status = 'queued' or c.lease_until is null or c.lease_until < now())"""

EXPIRED: LiteralString = f"""
select {COMMAND_COLUMNS} from executor.command c
where {_IS_DUE}
order by c.id limit %(limit)s"""

# Rows whose queue deadline has passed; the guard is that still nothing was sent.
EXPIRE: LiteralString = f"""
with c as (
  update executor.command as c
  set {entered("'failed'", "'executor:' || %(actor)s::text", "'queue_timeout'", "%(message)s::text")},
      reason = 'queue_timeout', message = %(message)s, ended_at = now(), log_completeness = 'unverified', sealed = null,
      owner = null, lease_until = null, deadline_at = null, revision = c.revision + 2
  where c.id = %(id)s and {_IS_DUE}
  returning {COMMAND_COLUMNS}),
o as ({INSERT_EVENT} from c){JOB_TARGET_DONE}
select * from c"""

# From now on it may have been sent; harmless to repeat. What its job holds is not marked. Each mark is a new one.
MARK_SENT: LiteralString = f"""
update executor.command as c
set dispatch_at = now(),
    deadline_at = case when c.dispatch_at is null then now() + make_interval(secs => c.connect_timeout_s)
      else c.deadline_at end
where c.id = %(id)s and c.fence = %(fence)s and c.status = 'pending' and not {held("c")}
returning c.dispatch_at"""

# A try has proved that nothing was sent; whoever takes it over may have to wait for its agent. This takes back the mark
# of that try only, also when it comes late.
MARK_UNSENT: LiteralString = """
update executor.command as c
set dispatch_at = null,
    deadline_at = greatest(c.deadline_at, c.created_at + make_interval(secs => c.queue_timeout_s))
where c.id = %(id)s and c.fence = %(fence)s and c.status = 'pending' and c.dispatch_at = %(mark)s"""

# The owner's last write under its fence: certainly nothing was sent. A look that changed nothing leaves no trace.
QUEUE: LiteralString = f"""
update executor.command as c
set status = 'queued',
    status_since = case when {_SAME_WAIT} then (c.changes -> -2 ->> 'at')::timestamptz else now() end,
    changes = case when {_SAME_WAIT} then c.changes - (-1)
      else {one_more("'queued'", OWNER, "%(reason)s::text", "%(message)s::text")} end,
    reason = %(reason)s, message = %(message)s, attempts = %(attempts)s, owner = null, fence = c.fence + 1,
    dispatch_at = null, lock_held_at = null, deadline_at = c.created_at + make_interval(secs => c.queue_timeout_s),
    lease_until = least(now() + make_interval(secs => %(look_s)s::float8),
      c.created_at + make_interval(secs => c.queue_timeout_s))
where c.id = %(id)s and c.fence = %(fence)s and c.status = 'pending'
returning {COMMAND_COLUMNS}"""
