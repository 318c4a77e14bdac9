"""What a command's last write does to the job it belongs to."""

# ruff: noqa: S608 - put together from literals only (LiteralString)

from typing import LiteralString

from myx_executor.domain.job_states import UNREACHABLE_REASONS

# The revision of a job's or a target's row: that of the transaction which changes it.
REVISION: LiteralString = "pg_current_xact_id()::text::bigint"

# Of row `c` of `command`: it was certainly not sent, even if a replica has it.
UNSENT: LiteralString = "c.dispatch_at is null and c.status in ('pending', 'queued')"

_UNREACHABLE: LiteralString = ", ".join(f"'{reason}'" for reason in sorted(UNREACHABLE_REASONS))

# Failed without having run because nobody answered; it may have waited in line for an agent, and for that only, also if
# whoever was just trying it died. A deployment's first step decides the way, or is the look for its host: who did more
# had reached it.
_UNREACHED: LiteralString = f"""c.status = 'failed' and c.exit_code is null and (c.reason in ({_UNREACHABLE})
    or c.reason = 'queue_timeout' and 'agent_unreachable' = (case c.changes -> -2 ->> 'cause'
      when 'claimed' then c.changes -> -3 ->> 'cause' else c.changes -> -2 ->> 'cause' end))
  and not exists (
    select from executor.deployment as d
    where d.id = c.id and jsonb_path_exists(d.steps, '$[1 to last] ? (@.status == "success")'))"""

# A target's columns as the final row `c` of its command says.
TARGET_ENDS: LiteralString = f"""
status = case when {_UNREACHED} then 'unreachable' else c.status end,
  reason = c.reason, message = c.message, exit_code = c.exit_code, started_at = c.started_at,
  ended_at = coalesce(c.ended_at, now()), log_size = c.log_size, reserved = false,
  output_sha256 = case when c.result -> 'stdout' ->> 'sha256' <> '' and c.result -> 'stderr' ->> 'sha256' <> ''
    then encode(sha256(convert_to(concat_ws(' ', c.result -> 'stdout' ->> 'sha256', c.result -> 'stderr' ->> 'sha256'),
      'UTF8')), 'hex') else '' end,
  revision = {REVISION}"""

# States of an open job in which it starts nothing.
HOLDING: LiteralString = "('paused', 'stopping', 'cancelling')"


def held(row: LiteralString) -> LiteralString:
    """Whether this row of `command` was not sent and its job starts nothing now: nobody takes it, or waits for it."""
    # The jobs are looked up once for the whole statement.
    jobs: LiteralString = f"array(select id from executor.job where status in {HOLDING})"
    return f"({row}.dispatch_at is null and coalesce({row}.job_id = any({jobs}), false))"


# A further CTE (it begins with a comma) of every statement that makes a row final: it sees that row as `c`, with the
# columns of COMMAND_COLUMNS. So the counts of a job are right at every commit.
JOB_TARGET_DONE: LiteralString = f""",
jt as (
  update executor.job_target as t set {TARGET_ENDS}
  from c where t.command_id = c.id and t.status = 'running')"""

# Beside it: the command was never sent, so its target was not started.
JOB_TARGET_TAKEN_BACK: LiteralString = f""",
jt as (
  update executor.job_target as t
  set status = 'not_started', command_id = null, reason = %(reason)s, ended_at = now(), revision = {REVISION}
  from c where t.command_id = c.id and t.status = 'running')"""
