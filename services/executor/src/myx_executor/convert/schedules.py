"""Schedules: proto and domain, both ways. Pure."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from myx.executor.v1 import schedule_service_pb2 as pb
from myx_executor.convert.commands import seconds_or_none
from myx_executor.convert.scheduled_work import work_of, work_to_proto
from myx_executor.domain.schedules import Fire, FireOutcome, Missed, Overlap, Schedule
from myx_executor.usecases.schedules.manage import ScheduleChange, ScheduleRequest, upcoming
from myx_kit.errors import InvalidArgument
from myx_kit.wire_time import duration, timestamp

_MISSED = {one: pb.MissedPolicy.Value(f"MISSED_POLICY_{one.name}") for one in Missed}
_OVERLAP = {one: pb.OverlapPolicy.Value(f"OVERLAP_POLICY_{one.name}") for one in Overlap}
_OUTCOMES = {one: pb.FireOutcome.Value(f"FIRE_OUTCOME_{one.name}") for one in FireOutcome}
# Unset: the default.
_FROM_MISSED: dict[int, Missed] = {number: one for one, number in _MISSED.items()} | {0: Missed.SKIP}
_FROM_OVERLAP: dict[int, Overlap] = {number: one for one, number in _OVERLAP.items()} | {0: Overlap.SKIP}


def create_request(request: pb.CreateScheduleRequest) -> ScheduleRequest:
    """A CreateScheduleRequest; what else is wrong in it the use case says. InvalidArgument `SCHEDULE_INVALID`."""
    return ScheduleRequest(
        name=request.name,
        cron=request.cron,
        time_zone=request.time_zone,
        missed=_missed(request.missed),
        missed_within_s=seconds_or_none(request, "missed_within"),
        overlap=_overlap(request.overlap),
        paused=request.paused,
        work=work_of(request.work),
        request_id=request.request_id,
        requested_by=request.requested_by,
    )


_CHANGEABLE: Final[dict[str, Callable[[pb.UpdateScheduleRequest], object]]] = {
    "cron": lambda request: request.cron,
    "time_zone": lambda request: request.time_zone,
    "missed": lambda request: _missed(request.missed),
    "missed_within": lambda request: seconds_or_none(request, "missed_within"),
    "overlap": lambda request: _overlap(request.overlap),
    "paused": lambda request: request.paused,
    "work": lambda request: work_of(request.work),
}


def change_request(request: pb.UpdateScheduleRequest) -> ScheduleChange:
    """What an UpdateScheduleRequest changes. InvalidArgument `UPDATE_MASK_INVALID`, `SCHEDULE_INVALID`."""
    paths = list(request.update_mask.paths)
    unknown = [path for path in paths if path not in _CHANGEABLE]
    if unknown or not paths:
        message = f"update_mask names fields to change: {', '.join(_CHANGEABLE)}"
        raise InvalidArgument("UPDATE_MASK_INVALID", message, field="update_mask")
    if "missed_within" in paths and not request.HasField("missed_within"):
        raise InvalidArgument("SCHEDULE_INVALID", "missed_within is a duration", field="missed_within")
    names = {"missed_within": "missed_within_s"}
    values: dict[str, object] = {names.get(path, path): _CHANGEABLE[path](request) for path in paths}
    return ScheduleChange(**values)  # type: ignore[arg-type]


def moment_or_none(message: Timestamp, *, is_set: bool) -> datetime | None:
    """A time of a request; None when it is not set. InvalidArgument `SCHEDULE_INVALID` for one that is none."""
    if not is_set:
        return None
    try:
        return message.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidArgument("SCHEDULE_INVALID", "after is not a time", field="after") from None


def schedule_to_proto(schedule: Schedule) -> pb.Schedule:
    """A schedule as callers see it."""
    return pb.Schedule(
        id=str(schedule.id),
        name=schedule.name,
        cron=schedule.cron.expression,
        time_zone=schedule.cron.zone,
        missed=_MISSED[schedule.missed],
        missed_within=duration(schedule.missed_within_s),
        overlap=_OVERLAP[schedule.overlap],
        paused=schedule.paused,
        work=work_to_proto(schedule.work),
        owner=schedule.owner,
        next_times=[timestamp(time) for time in upcoming(schedule)],
        last_fire=None if schedule.last_fire is None else fire_to_proto(schedule.last_fire),
        created_at=timestamp(schedule.created_at),
        updated_at=timestamp(schedule.updated_at),
        etag=schedule.etag,
    )


def fire_to_proto(fire: Fire) -> pb.ScheduleFire:
    """What became of one time."""
    return pb.ScheduleFire(
        slot_at=timestamp(fire.slot_at),
        outcome=_OUTCOMES[fire.outcome],
        reason=fire.reason,
        message=fire.message,
        started_kind=fire.started_kind,
        started_id=str(fire.started_id or ""),
        decided_at=timestamp(fire.decided_at),
    )


def _missed(number: int) -> Missed:
    try:
        return _FROM_MISSED[number]
    except KeyError:
        raise InvalidArgument("SCHEDULE_INVALID", "missed must be SKIP or RUN_ONCE", field="missed") from None


def _overlap(number: int) -> Overlap:
    try:
        return _FROM_OVERLAP[number]
    except KeyError:
        raise InvalidArgument("SCHEDULE_INVALID", "overlap must be SKIP, WAIT or ALLOW", field="overlap") from None
