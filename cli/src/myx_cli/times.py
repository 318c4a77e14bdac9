"""Points in time as people like them."""

import time
from datetime import UTC, datetime

from myx_cli.text import format_duration


def parse_time(text: object) -> float | None:
    """Unix seconds of an RFC 3339 time; None where there is none."""
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def in_zone(text: object, zone: object) -> str:
    """An RFC 3339 time on the clocks of an IANA zone; as it is where this host does not know the zone."""
    from zoneinfo import ZoneInfo

    try:
        return datetime.fromisoformat(str(text)).astimezone(ZoneInfo(str(zone))).isoformat()
    except (ValueError, KeyError, OSError):
        return str(text)


def ago(text: object, now: float | None = None) -> str:
    """An RFC 3339 time as `3 min ago`; empty where there is none."""
    moment = parse_time(text)
    if moment is None:
        return ""
    seconds = (time.time() if now is None else now) - moment
    if seconds < -1:
        return f"in {format_duration(-seconds)}"
    return "just now" if seconds < 1 else f"{format_duration(seconds)} ago"
