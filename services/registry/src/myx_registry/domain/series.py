"""What is measured of agents over time: samples, steps, and what is kept for how long."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from myx_kit.errors import InvalidArgument
from myx_registry.domain.heartbeats import HeartbeatReport

MAX_POINTS = 2000
DEFAULT_POINTS = 500
DEFAULT_SPAN = timedelta(hours=1)


class Metric(StrEnum):
    """The values are the names of columns; UP is the part of the checks that were answered."""

    LATENCY = "latency"
    LOAD_1M = "load_1m"
    MEMORY = "memory"
    DISK = "disk"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Resolution:
    """A table of sums over steps of `step`, kept for `keep`."""

    table: str
    step: timedelta
    keep: timedelta


# Each is summed up from the one before it. 10,000 agents: about 2, 6 and 7 million rows.
RESOLUTIONS = (
    Resolution("sample_minute", timedelta(minutes=1), timedelta(hours=3)),
    Resolution("sample_five_minutes", timedelta(minutes=5), timedelta(hours=48)),
    Resolution("sample_hour", timedelta(hours=1), timedelta(days=30)),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One report as it is added to its minute. A measurement that was not made is None."""

    agent_id: UUID
    at: datetime
    checks: int
    answered: int
    latency: float | None
    load_1m: float | None
    memory: float | None
    disk: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured from `at` on for one step."""

    at: datetime
    min: float
    mean: float
    max: float
    count: int


@dataclass(frozen=True, slots=True)
class Range:
    """A question: from `start` up to `end` in steps of `step`, answered from `source`."""

    start: datetime
    end: datetime
    step: timedelta
    source: Resolution


def sample_of(report: HeartbeatReport) -> Sample:
    """What a report measured. Parts of memory and of the fullest file system are between 0 and 1."""
    facts = report.facts
    memory = disk = None
    if facts is not None and facts.memory_total_bytes > 0:
        memory = _part(facts.memory_total_bytes - facts.memory_available_bytes, facts.memory_total_bytes)
    if facts is not None:
        disks = [one for one in facts.disks if one.total_bytes > 0]
        disk = max((_part(one.total_bytes - one.free_bytes, one.total_bytes) for one in disks), default=None)
    return Sample(
        agent_id=report.agent_id,
        at=floor(report.checked_at, RESOLUTIONS[0].step),
        checks=report.checks,
        answered=report.answered,
        latency=report.latency_s,
        load_1m=None if facts is None else facts.load_1m,
        memory=memory,
        disk=disk,
    )


def checked_range(start: datetime | None, end: datetime | None, step_s: float, now: datetime) -> Range:
    """The question with its defaults: the last hour, in steps that give at most DEFAULT_POINTS points.

    A step is a multiple of what is kept for that age. Raises InvalidArgument `RANGE_INVALID`.
    """
    end = min(end or now, now)
    start = start or end - DEFAULT_SPAN
    if start >= end:
        raise InvalidArgument("RANGE_INVALID", "start must lie before end and before now", field="start")
    oldest = RESOLUTIONS[-1]
    start = max(start, now - oldest.keep)
    end = max(end, start + oldest.step)
    wanted = timedelta(seconds=step_s) if step_s else (end - start) / DEFAULT_POINTS
    if (end - start) > wanted * MAX_POINTS:
        raise InvalidArgument("RANGE_INVALID", f"step must not give more than {MAX_POINTS} points", field="step")
    fitting = [one for one in RESOLUTIONS if start >= now - one.keep]
    source = max((one for one in fitting if one.step <= wanted), key=lambda one: one.step, default=fitting[0])
    step = source.step * max(1, -(-wanted // source.step))
    return Range(floor(start, step), end, step, source)


def floor(at: datetime, step: timedelta) -> datetime:
    """The begin of the step that a time lies in."""
    seconds = int(step.total_seconds())
    return datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, UTC)


def _part(used: int, total: int) -> float:
    return min(max(used / total, 0.0), 1.0)


def merged(samples: Iterable[Sample]) -> list[Sample]:
    """One sample for each agent and minute, which is all that one statement can add.

    Checks are added up, of measurements the last ones stand.
    """
    by_key: dict[tuple[UUID, datetime], Sample] = {}
    for one in samples:
        older = by_key.get((one.agent_id, one.at))
        by_key[one.agent_id, one.at] = one if older is None else _both(older, one)
    return list(by_key.values())


def _both(older: Sample, newer: Sample) -> Sample:
    return replace(newer, checks=newer.checks + older.checks, answered=newer.answered + older.answered)
