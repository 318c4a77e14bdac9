"""Statements on what is measured of agents over time. All run in the caller's transaction."""

# ruff: noqa: S608 - statements are put together from literals and the names of our own tables

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_registry.domain.series import RESOLUTIONS, Metric, Point, Range, Resolution, Sample
from myx_registry.models import SAMPLE_METRICS

_LOCK = 0x6D7978_73616D70
_COLUMNS = ["checks", "answered"] + [f"{m}_{part}" for m in SAMPLE_METRICS for part in ("min", "sum", "max", "count")]


def _added(table: str) -> str:
    """How a row takes another one of the same agent and time in."""
    parts = [f"{name} = {table}.{name} + excluded.{name}" for name in ("checks", "answered")]
    for metric in SAMPLE_METRICS:
        parts += [
            f"{metric}_min = least({table}.{metric}_min, excluded.{metric}_min)",
            f"{metric}_sum = {table}.{metric}_sum + excluded.{metric}_sum",
            f"{metric}_max = greatest({table}.{metric}_max, excluded.{metric}_max)",
            f"{metric}_count = {table}.{metric}_count + excluded.{metric}_count",
        ]
    return ", ".join(parts)


def _values_of(metric: str) -> str:
    count = f"case when r.{metric} is null then 0 else 1 end"
    return f"r.{metric}, coalesce(r.{metric}, 0), r.{metric}, {count}"


_ADD = sa.text(
    f"""
    insert into registry.sample_minute (agent_id, at, {", ".join(_COLUMNS)})
    select r.agent_id, r.at, r.checks, r.answered, {", ".join(map(_values_of, SAMPLE_METRICS))}
    from jsonb_to_recordset(cast(:samples as jsonb)) as r (
      agent_id uuid, at timestamptz, checks integer, answered integer,
      latency float8, load_1m float8, memory float8, disk float8)
    on conflict (agent_id, at) do update set {_added("sample_minute")}
    """
)

_SUMS = ["sum(checks)", "sum(answered)"] + [
    f"{function}({metric}_{part})"
    for metric in SAMPLE_METRICS
    for part, function in (("min", "min"), ("sum", "sum"), ("max", "max"), ("count", "sum"))
]


async def add_samples(connection: AsyncConnection, samples: Sequence[Sample]) -> None:
    """Adds samples, at most one for each agent and minute, to their minutes."""
    if samples:
        await connection.execute(_ADD, {"samples": json.dumps([_document(one) for one in samples])})


def _document(sample: Sample) -> dict[str, object]:
    measured = {name: getattr(sample, name) for name in ("checks", "answered", *SAMPLE_METRICS)}
    return {"agent_id": sample.agent_id.hex, "at": sample.at.isoformat(), **measured}


async def take_turn(connection: AsyncConnection) -> bool:
    """Whether this transaction is the only one that sums up."""
    return bool((await connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK)))).scalar())


async def sum_up(connection: AsyncConnection, source: Resolution, target: Resolution, until: datetime) -> int:
    """Adds what `source` has from where it was summed up to on, before `until` (a step of `target`); how many rows.

    At most a day at once; the caller comes again.
    """
    values = {"source": source.table, "until": until, "step": target.step}
    await connection.execute(_FIRST_PROGRESS[source.table], values)
    row = (await connection.execute(_PROGRESS, values)).one()
    begin, end = row
    if begin >= end:
        return 0
    result = await connection.execute(_SUM_UP[source.table], {"begin": begin, "end": end, "step": target.step})
    await connection.execute(_MOVE_PROGRESS, {"source": source.table, "end": end})
    return result.rowcount


async def prune(connection: AsyncConnection, resolution: Resolution, now: datetime) -> int:
    """Removes a batch of what is too old; how many rows."""
    table = f"registry.{resolution.table}"
    statement = f"""
        delete from {table} where ctid = any(array(
          select ctid from {table} where at < :before limit 20000))"""
    return (await connection.execute(sa.text(statement), {"before": now - resolution.keep})).rowcount


async def points(connection: AsyncConnection, agent_id: UUID, metric: Metric, asked: Range) -> list[Point]:
    """The points of one agent by time, without those that hold nothing."""
    values = {"agent_id": agent_id, "start": asked.start, "end": asked.end, "step": asked.step}
    rows = (await connection.execute(_POINTS[asked.source.table, metric], values)).all()
    return [Point(*row) for row in rows]


# The table is read while there is no progress only.
_FIRST_PROGRESS = {
    one.table: sa.text(
        f"""
        insert into registry.sample_progress (source, until)
        select cast(:source as text), coalesce(date_bin(:step, min(at), timestamptz 'epoch'), :until)
        from registry.{one.table} where not exists (select from registry.sample_progress where source = :source)
        on conflict do nothing"""
    )
    for one in RESOLUTIONS
}
_PROGRESS = sa.text(
    """
    select until, least(cast(:until as timestamptz), until + interval '1 day')
    from registry.sample_progress where source = :source for update"""
)
_MOVE_PROGRESS = sa.text("update registry.sample_progress set until = :end where source = :source")
_SUM_UP = {
    source.table: sa.text(
        f"""
        insert into registry.{target.table} (agent_id, at, {", ".join(_COLUMNS)})
        select agent_id, date_bin(:step, at, timestamptz 'epoch'), {", ".join(_SUMS)}
        from registry.{source.table} where at >= :begin and at < :end group by 1, 2
        on conflict (agent_id, at) do update set {_added(target.table)}"""
    )
    for source, target in pairwise(RESOLUTIONS)
}


def _point_columns(metric: Metric) -> tuple[str, str]:
    """Minimum, mean, maximum and count of a step, and when there is one."""
    if metric is Metric.UP:
        part = "answered::float8 / checks"
        return f"min({part}), sum(answered)::float8 / sum(checks), max({part}), sum(checks)", "sum(checks) > 0"
    columns = f"min({metric}_min), sum({metric}_sum) / sum({metric}_count), max({metric}_max), sum({metric}_count)"
    return columns, f"sum({metric}_count) > 0"


def _points_statement(table: str, metric: Metric) -> sa.TextClause:
    columns, condition = _point_columns(metric)
    return sa.text(
        f"""
        select date_bin(:step, at, timestamptz 'epoch') as step_at, {columns} from registry.{table}
        where agent_id = :agent_id and at >= :start and at < :end and checks > 0
        group by step_at having {condition} order by step_at"""
    )


_POINTS = {(one.table, metric): _points_statement(one.table, metric) for one in RESOLUTIONS for metric in Metric}
