"""Small pieces of messages, and bounds on what strangers say."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

AnyMessage = TypeVar("AnyMessage", bound=Message)

# What an agent says is a stranger's word: it is cut to these sizes (bytes, seconds) instead of growing the row.
_MAX_TEXT: Final = 256
_MAX_DURATION_S: Final = 10e9
# Far below the 16 MiB that a message may have.
_MAX_PAGE_BYTES: Final = 8 << 20


def fitting(messages: Iterable[AnyMessage]) -> list[AnyMessage]:
    """The first of the messages, as many as one answer carries; at least one if there is one."""
    taken: list[AnyMessage] = []
    size = 0
    for message in messages:
        size += message.ByteSize()
        if taken and size > _MAX_PAGE_BYTES:
            break
        taken.append(message)
    return taken


def text(text: str, limit: int = _MAX_TEXT) -> str:
    """A stranger's text, cut to `limit` bytes."""
    # PostgreSQL stores no NUL.
    clean = text[:limit].replace("\0", "�")
    return clean if clean.isascii() else clean.encode()[:limit].decode(errors="ignore")


def finite(number: float) -> float:
    """A stranger's number; 0 for what is none."""
    # JSON knows no NaN and no infinity.
    return number if math.isfinite(number) else 0.0


def seconds(duration: Duration) -> float:
    """A stranger's duration, from 0 to some hundred years."""
    return min(max(duration.seconds + duration.nanos / 1e9, 0.0), _MAX_DURATION_S)


def instant(timestamp: Timestamp) -> datetime | None:
    """Microseconds, as PostgreSQL keeps them; None when unset (the epoch) or outside the years that there are."""
    if not timestamp.seconds and not timestamp.nanos:
        return None
    try:
        return timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
