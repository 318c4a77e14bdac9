"""Times and durations as the wire has them."""

from datetime import UTC, datetime
from typing import overload

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@overload
def timestamp(at: datetime) -> Timestamp: ...
@overload
def timestamp(at: None) -> None: ...
@overload
def timestamp(at: datetime | None) -> Timestamp | None: ...
def timestamp(at: datetime | None) -> Timestamp | None:
    """An aware time as a message; None stays None, which leaves a field unset."""
    if at is None:
        return None
    # As Timestamp.FromDatetime, for a fifth of its time.
    since = at - _EPOCH
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)


@overload
def duration(seconds: float) -> Duration: ...
@overload
def duration(seconds: None) -> None: ...
@overload
def duration(seconds: float | None) -> Duration | None: ...
def duration(seconds: float | None) -> Duration | None:
    """Seconds as a message, to the nanosecond; more than nothing never becomes 0, which often means "no limit"."""
    if seconds is None:
        return None
    nanos = round(seconds * 1e9)
    message = Duration()
    message.FromNanoseconds(max(nanos, 1) if seconds > 0 else nanos)
    return message
