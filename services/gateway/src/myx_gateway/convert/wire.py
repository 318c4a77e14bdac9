"""Times and durations of messages."""

from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp


def moment(stamp: Timestamp, *, present: bool) -> datetime | None:
    """An aware UTC time, or None when the field was not set."""
    return stamp.ToDatetime(tzinfo=UTC) if present else None


def seconds(duration: Duration, *, present: bool) -> float | None:
    """Seconds, or None when the field was not set."""
    return duration.seconds + duration.nanos / 1e9 if present else None


def moment_of(message: Message, field: str) -> datetime | None:
    """The time in a field of a message, or None when it was not set."""
    return moment(getattr(message, field), present=message.HasField(field))


def seconds_of(message: Message, field: str) -> float | None:
    """The duration in a field of a message, or None when it was not set."""
    return seconds(getattr(message, field), present=message.HasField(field))
