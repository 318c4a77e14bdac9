"""Times, durations and enums of messages."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

if TYPE_CHECKING:
    # Generated enums are of this type.
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper

_Number = TypeVar("_Number", bound=int)
_Name = TypeVar("_Name", bound=StrEnum)


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


def names_of(wire: "_EnumTypeWrapper[_Number]", kind: type[_Name]) -> dict[_Number, _Name]:
    """The public names of a wire enum, by number: `JOB_STATUS_RUNNING` is `running`.

    The unspecified one is left out, unless `kind` has the name `unknown` for it.
    """
    prefix = wire.Name(wire.values()[0]).removesuffix("UNSPECIFIED")
    known = set(kind)
    words = {number: name.removeprefix(prefix).lower() for name, number in wire.items()}
    words[wire.values()[0]] = "unknown" if "unknown" not in words.values() else ""
    return {number: kind(word) for number, word in words.items() if word in known}
