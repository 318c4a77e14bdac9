"""Rows of `executor.job` and `executor.job_target` and the domain's forms: columns, their order, and JSON."""

# ruff: noqa: S608 - put together from literals only (LiteralString)

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from myx_executor.domain.command import RowKind
from myx_executor.domain.jobs import Job, JobOptions, JobStatus, JobTarget, Share, TargetStatus, Work
from myx_executor.store.rows import change_from_json

# Every transaction up to this one is over: what a reader has not seen yet has a greater number.
SAFE: LiteralString = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1"

JOB_COLUMNS: LiteralString = (
    "j.id, j.name, j.selector, j.kind, j.spec, j.secret_names, j.has_stdin, j.options, j.status, j.reason, j.message,"
    " j.status_since, j.deadline_at, j.owner, j.changes, j.target_count, j.targets_sha256, j.batch, j.batch_count,"
    " j.hold_until, j.created_at, j.started_at, j.ended_at, j.requested_by, j.retry_of, j.schedule_id,"
    " j.cancel_grace_s, j.fence, j.change_count, n.revision, n.counts"
)

JOB_FROM: LiteralString = f"""
executor.job as j cross join lateral (
  select coalesce(j.counts, jsonb_object_agg(s.status, s.n), '{{}}') as counts,
    least(greatest(j.revision, max(s.revision)), {SAFE}) as revision
  from (
    select t.status, count(*) as n, max(t.revision) as revision from executor.job_target as t
    where t.job_id = j.id and j.counts is null group by t.status) as s) as n"""

TARGET_COLUMNS: LiteralString = f"""
t.number, t.server_id, t.server_name, t.agent_id, t.batch, t.status, t.label_value,
  case when not t.reserved then t.command_id end,
  case when t.status = 'running' then coalesce(c.reason, '') else t.reason end,
  case when t.status = 'running' then coalesce(c.message, '') else t.message end,
  t.exit_code, coalesce(t.started_at, c.started_at), t.ended_at, coalesce(c.log_size, t.log_size), t.output_sha256,
  t.revision, {SAFE}"""

TARGET_FROM: LiteralString = (
    "executor.job_target as t left join executor.command as c on c.id = t.command_id and t.status = 'running'"
)


def job_from_row(row: Sequence[Any]) -> Job:
    """The job of a row selected with JOB_COLUMNS."""
    return Job(
        id=row[0],
        name=row[1],
        selector=row[2],
        work=Work(RowKind(row[3]), row[4], tuple(row[5]), row[6]),
        options=options_from_json(row[7]),
        status=JobStatus(row[8]),
        reason=row[9],
        message=row[10],
        status_since=row[11],
        deadline_at=row[12],
        owner=row[13] or "",
        changes=tuple(change_from_json(item) for item in row[14]),
        target_count=row[15],
        targets_sha256=row[16],
        batch=row[17],
        batch_count=row[18],
        hold_until=row[19],
        created_at=row[20],
        started_at=row[21],
        ended_at=row[22],
        requested_by=row[23],
        retry_of=row[24],
        schedule_id=row[25],
        cancel_grace_s=row[26],
        fence=row[27],
        change_count=row[28],
        revision=row[29],
        counts={TargetStatus(status): count for status, count in row[30].items()},
    )


def target_from_row(row: Sequence[Any]) -> JobTarget:
    """The target of a row selected with TARGET_COLUMNS. Its revision is at most one that can be gone on behind."""
    return JobTarget(
        number=row[0],
        server_id=row[1],
        server_name=row[2],
        agent_id=row[3],
        batch=row[4],
        status=TargetStatus(row[5]),
        label_value=row[6],
        command_id=row[7],
        reason=row[8],
        message=row[9],
        exit_code=row[10],
        started_at=row[11],
        ended_at=row[12],
        log_size=row[13],
        output_sha256=row[14],
        revision=min(row[15], row[16]),
    )


def options_to_json(options: JobOptions) -> dict[str, Any]:
    """Form of the column `options`."""
    return {
        "concurrency": share_to_json(options.concurrency),
        "batches": [share_to_json(share) for share in options.batches],
        "batch_label": options.batch_label,
        "batch_pause_s": options.batch_pause_s,
        "canary": share_to_json(options.canary),
        "canary_soak_s": options.canary_soak_s,
        "max_failed": share_to_json(options.max_failed),
        "max_unreachable": share_to_json(options.max_unreachable),
        "deadline_s": options.deadline_s,
    }


def options_from_json(item: Mapping[str, Any]) -> JobOptions:
    """The options of a column `options`."""
    return JobOptions(
        concurrency=_share(item["concurrency"]),
        batches=tuple(_share(share) for share in item["batches"]),
        batch_label=item["batch_label"],
        batch_pause_s=item["batch_pause_s"],
        canary=_share_or_none(item["canary"]),
        canary_soak_s=item["canary_soak_s"],
        max_failed=_share_or_none(item["max_failed"]),
        max_unreachable=_share_or_none(item["max_unreachable"]),
        deadline_s=item["deadline_s"],
    )


def share_to_json(share: Share | None) -> dict[str, float] | None:
    """`{"count": n}` or `{"percent": p}`."""
    if share is None:
        return None
    return {"count": share.count} if share.percent is None else {"percent": share.percent}


def _share(item: Mapping[str, float]) -> Share:
    return Share(percent=item["percent"]) if "percent" in item else Share(int(item["count"]))


def _share_or_none(item: Mapping[str, float] | None) -> Share | None:
    return None if item is None else _share(item)
