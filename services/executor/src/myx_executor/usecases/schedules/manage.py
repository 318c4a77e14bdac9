"""Schedules: create, read, change, remove, preview."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from myx_executor.domain.cron import checked_cron
from myx_executor.domain.schedules import (
    DEFAULT_MISSED_WITHIN_S,
    MAX_MISSED_WITHIN_S,
    MIN_MISSED_WITHIN_S,
    Fire,
    Missed,
    Overlap,
    Schedule,
    Work,
    next_after,
)
from myx_executor.store.schedules import NewSchedule, ScheduleStore
from myx_executor.usecases.lists import fitting
from myx_executor.usecases.schedules.ports import Starter
from myx_executor.usecases.schedules.sealing import open_digest, seal_digest, seal_work
from myx_executor.usecases.sealing import content_digest
from myx_kit.errors import Aborted, AlreadyExists, Internal, InvalidArgument, NotFound, ResourceExhausted
from myx_kit.ids import new_id
from myx_kit.pagination import clamp, decode_token, encode_token
from myx_kit.secretbox import SecretBox

MAX_SCHEDULES: Final = 10_000
MAX_REQUEST_ID: Final = 200
SHOWN_TIMES: Final = 5
MAX_PREVIEW: Final = 100
_YEARS: Final = (1970, 2200)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
# A change that meets the firing of the schedule is made again on what that left.
_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """A schedule as it was asked for; `missed_within_s` None: the default."""

    name: str
    cron: str
    time_zone: str
    missed: Missed
    missed_within_s: float | None
    overlap: Overlap
    paused: bool
    work: Work
    request_id: str
    requested_by: str


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """Fields to change; None leaves a field as it is."""

    cron: str | None = None
    time_zone: str | None = None
    missed: Missed | None = None
    missed_within_s: float | None = None
    overlap: Overlap | None = None
    paused: bool | None = None
    work: Work | None = None

    @property
    def changes_the_owner(self) -> bool:
        """Whether it decides what happens, or when."""
        return any(value is not None for value in (self.cron, self.time_zone, self.work))


class Schedules:
    """The use cases on schedules. A schedule is named by id or name everywhere."""

    def __init__(self, store: ScheduleStore, starter: Starter, box: SecretBox) -> None:
        self._store = store
        self._starter = starter
        self._box = box

    async def create(self, request: ScheduleRequest) -> Schedule:
        """The schedule, new or that of the first call with this request id.

        InvalidArgument `SCHEDULE_INVALID` with the field, and as the work's own creation; AlreadyExists
        `SCHEDULE_NAME_TAKEN`; Aborted `REQUEST_ID_REUSED`; ResourceExhausted `TOO_MANY_SCHEDULES`.
        """
        _check_name(request.name)
        _check_request_id(request.request_id)
        known = await self._earlier(request)
        if known is not None:
            return known
        now = await self._store.now()
        cron = checked_cron(request.cron, request.time_zone, now)
        within_s = _checked_within(request.missed_within_s)
        _check_secrets(request.work)
        await self._starter.check(request.work)
        schedule = Schedule(
            id=new_id(),
            name=request.name,
            cron=cron,
            missed=request.missed,
            missed_within_s=within_s,
            overlap=request.overlap,
            paused=request.paused,
            work=request.work,
            owner=request.requested_by,
            next_at=cron.after(now),
            last_slot_at=None,
            revision=1,
            created_at=now,
            updated_at=now,
        )
        return await self._insert(request, schedule)

    async def get(self, reference: str) -> Schedule:
        """One schedule. NotFound `SCHEDULE_NOT_FOUND`."""
        if _UUID.fullmatch(reference):
            found = await self._store.by_id(UUID(reference))
        else:
            found = await self._store.by_name(reference) if _NAME.fullmatch(reference) else None
        if found is None:
            message = "There is no schedule of this id or name."
            raise NotFound("SCHEDULE_NOT_FOUND", message, schedule=reference[:80])
        return found

    async def list(self, page_size: int, page_token: str) -> tuple[Sequence[Schedule], str]:
        """Schedules by name and the token of the next page. InvalidArgument `PAGE_TOKEN_INVALID`."""
        (after,) = decode_token(page_token, 1) if page_token else ("",)
        if after and not _NAME.fullmatch(after):
            raise _token_invalid()
        size = clamp(page_size, 100, 1000)

        async def read(limit: int, behind: str | None) -> Sequence[Schedule]:
            return await self._store.page(behind or "", limit)

        found, has_more = await fitting(read, size, after, lambda one: one.name)
        return found, encode_token(found[-1].name) if has_more else ""

    async def update(self, reference: str, change: ScheduleChange, etag: str, requested_by: str) -> Schedule:
        """The schedule after the change; who decides what happens, or when, becomes its owner.

        NotFound `SCHEDULE_NOT_FOUND`; Aborted `ETAG_MISMATCH`; InvalidArgument as `create`.
        """
        if change.work is not None:
            _check_secrets(change.work)
            await self._starter.check(change.work)
        for _ in range(_TRIES):
            before = await self.get(reference)
            if etag and etag != before.etag:
                raise _changed(before)
            if await self._store_change(before, change, requested_by):
                return await self.get(str(before.id))
        raise Aborted(
            "SCHEDULE_CHANGED", "The schedule is being changed by others; try again.", schedule=reference[:80]
        )

    async def delete(self, reference: str, etag: str = "") -> None:
        """Removes it; what it has started goes on. Empty etag: whatever it is now.

        NotFound `SCHEDULE_NOT_FOUND`; Aborted `ETAG_MISMATCH`.
        """
        found = await self.get(reference)
        if not etag:
            await self._store.delete(found.id)
        elif etag != found.etag or not await self._store.delete(found.id, found.revision):
            raise _changed(found)

    async def fires(self, reference: str, page_size: int, page_token: str) -> tuple[Sequence[Fire], str]:
        """What became of its times, newest first, and the token of the next page."""
        before = _moment(page_token) if page_token else None
        schedule = await self.get(reference)
        size = clamp(page_size, 100, 1000)
        found = await self._store.fires(schedule.id, before, size + 1)
        return found[:size], encode_token(found[size - 1].slot_at.isoformat()) if len(found) > size else ""

    async def preview(self, cron: str, time_zone: str, count: int, after: datetime | None) -> Sequence[datetime]:
        """When an expression would fire. InvalidArgument `SCHEDULE_INVALID`."""
        if not 0 <= count <= MAX_PREVIEW:
            raise InvalidArgument("SCHEDULE_INVALID", f"count is from 1 to {MAX_PREVIEW}", field="count")
        start = after or await self._store.now()
        if not _YEARS[0] <= start.year <= _YEARS[1]:
            raise InvalidArgument(
                "SCHEDULE_INVALID", f"after is in the years {_YEARS[0]} to {_YEARS[1]}", field="after"
            )
        return checked_cron(cron, time_zone, start).next_times(start, count or SHOWN_TIMES)

    async def _insert(self, request: ScheduleRequest, schedule: Schedule) -> Schedule:
        digest = seal_digest(self._box, schedule.id, _digest(request)) if request.request_id else None
        new = NewSchedule(
            schedule=schedule,
            sealed=seal_work(self._box, schedule.id, schedule.work),
            requested_by=request.requested_by,
            request_id=request.request_id or None,
            sealed_request_digest=digest,
        )
        stored = await self._store.insert(new, MAX_SCHEDULES) or await self._earlier(request)
        if stored is not None:
            return stored
        if await self._store.by_name(request.name) is not None:
            message = f"Another schedule is named {request.name}."
            raise AlreadyExists("SCHEDULE_NAME_TAKEN", message, field="name", schedule=request.name)
        raise ResourceExhausted("TOO_MANY_SCHEDULES", f"There are {MAX_SCHEDULES} schedules; remove some first.")

    async def _earlier(self, request: ScheduleRequest) -> Schedule | None:
        if not request.request_id:
            return None
        found = await self._store.by_request(request.requested_by, request.request_id)
        if found is None:
            return None
        schedule_id, sealed = found
        if open_digest(self._box, schedule_id, sealed) != _digest(request):
            message = "the request id was used before for something else"
            raise Aborted("REQUEST_ID_REUSED", message, field="request_id")
        known = await self._store.by_id(schedule_id)
        if known is None:
            raise Internal("REQUEST_ID_VANISHED", "the first schedule of this request id is gone")
        return known

    async def _store_change(self, before: Schedule, change: ScheduleChange, requested_by: str) -> bool:
        now = await self._store.now()
        cron, next_at = before.cron, before.next_at
        new_times = change.cron is not None or change.time_zone is not None
        if new_times:
            zone = cron.zone if change.time_zone is None else change.time_zone
            cron = checked_cron(cron.expression if change.cron is None else change.cron, zone, now)
            next_at = next_after(cron, now, before.last_slot_at)
        within_s = change.missed_within_s
        after = replace(
            before,
            cron=cron,
            next_at=next_at,
            missed=change.missed or before.missed,
            missed_within_s=before.missed_within_s if within_s is None else _checked_within(within_s),
            overlap=change.overlap or before.overlap,
            paused=before.paused if change.paused is None else change.paused,
            work=change.work or before.work,
            owner=requested_by if change.changes_the_owner else before.owner,
        )
        sealed = None if change.work is None else seal_work(self._box, before.id, change.work)
        return await self._store.update(after, new_times=new_times, new_work=change.work is not None, sealed=sealed)


def upcoming(schedule: Schedule) -> list[datetime]:
    """The next times that are shown: none while it is paused or has none."""
    if schedule.paused or schedule.next_at is None:
        return []
    return [schedule.next_at, *schedule.cron.next_times(schedule.next_at, SHOWN_TIMES - 1)]


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or _UUID.fullmatch(name):
        message = (
            "name has 1 to 63 characters of a-z, 0-9, '-', '_' and '.', begins with a letter or digit, and has not the"
            " form of an id"
        )
        raise InvalidArgument("SCHEDULE_INVALID", message, field="name")


def _check_request_id(request_id: str) -> None:
    if len(request_id) > MAX_REQUEST_ID or "\0" in request_id:
        message = f"request_id must not be longer than {MAX_REQUEST_ID} characters"
        raise InvalidArgument("SCHEDULE_INVALID", message, field="request_id")


def _checked_within(seconds: float | None) -> float:
    if seconds is None:
        return DEFAULT_MISSED_WITHIN_S
    if not (math.isfinite(seconds) and MIN_MISSED_WITHIN_S <= seconds <= MAX_MISSED_WITHIN_S):
        message = f"missed_within is from {MIN_MISSED_WITHIN_S:.0f} to {MAX_MISSED_WITHIN_S:.0f} seconds"
        raise InvalidArgument("SCHEDULE_INVALID", message, field="missed_within")
    return seconds


def _check_secrets(work: Work) -> None:
    # What was read from a schedule has names with empty values: kept, it would start the work without its secrets, and
    # filled in from before it would give them to whoever changes the work.
    empty = sorted(name for name, value in work.secrets.items() if not value)
    if empty:
        message = (
            f"give the value of the secret {empty[0][:80]} (again): it is not shown, and not kept through a change"
        )
        raise InvalidArgument("SCHEDULE_INVALID", message, field="work")


def _digest(request: ScheduleRequest) -> bytes:
    work = request.work
    return content_digest(
        {
            "name": request.name,
            "cron": request.cron,
            "time_zone": request.time_zone,
            "missed": str(request.missed),
            "missed_within_s": request.missed_within_s,
            "overlap": str(request.overlap),
            "paused": request.paused,
            "work": [str(work.kind), dict(work.document), dict(work.secrets), work.stdin.hex()],
        }
    )


def _changed(schedule: Schedule) -> Aborted:
    message = "The schedule was changed meanwhile; read it again."
    return Aborted("ETAG_MISMATCH", message, field="etag", schedule=schedule.name)


def _moment(page_token: str) -> datetime:
    (text,) = decode_token(page_token, 1)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _token_invalid() from None
    if moment.tzinfo is None:
        raise _token_invalid()
    return moment


def _token_invalid() -> InvalidArgument:
    return InvalidArgument("PAGE_TOKEN_INVALID", "page_token is not one that MyX gave", field="page_token")
