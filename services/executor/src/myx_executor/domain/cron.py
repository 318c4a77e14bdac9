"""Cron expressions in a time zone: which times they mean.

Five fields as Debian's cron has them, with its rules for the days on which the clock is set: a fixed time that does not
exist fires once when the gap is over, one that exists twice fires the first time; minutes and hours given with a star
go by the time that passes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from myx_kit.errors import Internal, InvalidArgument

MAX_EXPRESSION: Final = 200
_FIELDS: Final = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day-of-month", "1 to 31, or L"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day-of-week", "0 to 7, or SUN to SAT"),
)
_NO_SUCH_DATE: Final = "cron names a date that does not exist: none of its months has such a day"
_EXPRESSION = re.compile(r"[0-9A-Za-z*,/#-]+( +[0-9A-Za-z*,/#-]+)*", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,3}", re.ASCII)
# Files beside the zones that are none.
_NO_ZONES: Final = ("posix", "right", "localtime", "posixrules", "Factory")
# Spans that are looked at for the last times before a moment, the next one when the one before holds too few.
_SPANS: Final = tuple(timedelta(hours=hours) for hours in (2, 12, 24 * 4, 24 * 40, 24 * 400))


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression that was checked. All times are aware; those that it gives are UTC, whole minutes."""

    expression: str
    zone: str

    def after(self, moment: datetime) -> datetime | None:
        """The first time later than `moment`; None when there is none within 50 years."""
        return next(self._times(moment), None)

    def next_times(self, moment: datetime, count: int) -> list[datetime]:
        """The first `count` times later than `moment`; fewer only when there are no more."""
        times = self._times(moment)
        return [time for _, time in zip(range(count), times, strict=False)]

    def last_times(self, first: datetime, until: datetime, most: int) -> list[datetime]:
        """The last `most` of the times from `first` to `until`, both included, oldest first."""
        found: list[datetime] = []
        for span in _SPANS:
            start = max(first, until - span) - timedelta(microseconds=1)
            found = []
            for time in self._times(start):
                if time > until:
                    break
                found.append(time)
            if len(found) >= most or start < first:
                break
        return found[-most:]

    def _times(self, moment: datetime) -> Iterator[datetime]:
        last = moment
        try:
            zone = ZoneInfo(self.zone)
        except (ValueError, OSError, LookupError):
            raise Internal("ZONE_UNKNOWN", f"there are no rules for the time zone {self.zone} any more") from None
        for local in _Times(self.expression, moment.astimezone(zone)):
            time = local.astimezone(UTC)
            # In an hour that exists twice the library counts from the first one.
            if time > last:
                yield time
                last = time


class _Times(CronSim):
    """The library's times, also where clocks are set by half an hour (Lord Howe Island)."""

    def advance_hour(self) -> bool:
        """Go on to an hour that fits; the library steps over one that begins at its half."""
        if self.dt.hour in self.hours:
            return False
        self.dt = self.dt.replace(minute=0, second=0)
        while self.dt.hour not in self.hours:
            self.tick(60 * (60 - self.dt.minute))
            if self.dt.hour == 0:
                break
        return True


def checked_cron(expression: str, zone: str, now: datetime) -> Cron:
    """A Cron that will fire. Raises InvalidArgument `SCHEDULE_INVALID` with the field `cron` or `time_zone`."""
    cron = Cron(" ".join(expression.split()), checked_zone(zone))
    if len(expression) > MAX_EXPRESSION:
        raise _cron_invalid(f"cron has at most {MAX_EXPRESSION} characters")
    parts = cron.expression.split(" ")
    if len(parts) != len(_FIELDS):
        names = ", ".join(name for name, _ in _FIELDS)
        raise _cron_invalid(f"cron has five fields ({names}), not {len(parts) if expression.strip() else 0}")
    if not _EXPRESSION.fullmatch(cron.expression):
        raise _cron_invalid("cron is made of digits, names, '*', ',', '-', '/' and '#'")
    try:
        upcoming = cron.after(now)
    except CronSimError as error:
        raise _cron_invalid(_what_is_wrong(str(error), parts)) from None
    if upcoming is None:
        raise _cron_invalid(_NO_SUCH_DATE)
    return cron


def checked_zone(zone: str) -> str:
    """The name of a time zone, UTC for an empty one. Raises InvalidArgument `SCHEDULE_INVALID`."""
    name = zone or "UTC"
    try:
        if not _ZONE.fullmatch(name) or name.split("/")[0] in _NO_ZONES:
            raise ValueError
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        message = "time_zone is the name of an IANA time zone, for example Europe/Berlin or UTC"
        raise InvalidArgument("SCHEDULE_INVALID", message, field="time_zone") from None
    return name


def _what_is_wrong(error: str, parts: list[str]) -> str:
    for name, form in _FIELDS:
        if name == "day-of-month" and name in error and _is_day(parts[2]):
            return _NO_SUCH_DATE
        if name in error:
            return f"{name} of cron must be {form}, as '*', a list, a range or a step"
    return "cron is not an expression of five fields"


def _is_day(field: str) -> bool:
    """Whether a day of the month is well-formed; the library names it also when no month given has it."""
    try:
        CronSim(f"0 0 {field} 1 *", datetime.now(UTC))
    except CronSimError:
        return False
    return True


def _cron_invalid(message: str) -> InvalidArgument:
    return InvalidArgument("SCHEDULE_INVALID", message, field="cron")
