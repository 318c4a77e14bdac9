"""A time without checks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from myx_kit.errors import InvalidArgument

LONGEST = timedelta(days=90)
_MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class CheckPause:
    """The agent is not checked until a time."""

    since: datetime
    until: datetime
    reason: str
    actor: str


def checked_pause(until: datetime | None, reason: str, actor: str, now: datetime) -> CheckPause:
    """A pause from now on. Raises InvalidArgument `PAUSE_INVALID`."""
    if until is None or not now < until <= now + LONGEST:
        raise InvalidArgument("PAUSE_INVALID", f"until must lie within {LONGEST.days} days from now", field="until")
    if len(reason) > _MAX_REASON or "\0" in reason:
        raise InvalidArgument("PAUSE_INVALID", f"reason has at most {_MAX_REASON} characters", field="reason")
    return CheckPause(now, until, reason, actor)
