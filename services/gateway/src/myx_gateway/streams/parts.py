"""What every stream needs from the process."""

from dataclasses import dataclass, field

from myx_gateway.clients import Clients
from myx_gateway.streams.book import StreamBook
from myx_gateway.streams.event_ring import EventRing
from myx_gateway.streams.outlet import Patience
from myx_gateway.streams.source import LogSource
from myx_gateway.streams.subjects import Subject
from myx_kit.errors import InvalidArgument, OutOfRange

_MAX_OFFSET = (1 << 63) - 1


@dataclass(frozen=True)
class StreamParts:
    """Where logs and events come from and how patient streams are."""

    clients: Clients
    book: StreamBook
    patience: Patience
    heal_s: float
    ring: EventRing = field(default_factory=lambda: EventRing(0))

    def source(self, subject: Subject, offset: int, *, follow: bool, stored: int = 0) -> LogSource:
        """The log of a command or deployment from `offset`; without `follow` at least up to `stored`."""
        return LogSource(
            self.clients.commands,
            subject.id,
            offset,
            follow=follow,
            heal_s=self.heal_s,
            stored=stored,
            check=subject.check if follow else None,
        )


def parse_offset(text: str, field: str) -> int:
    """A byte offset; InvalidArgument when `text` is no number, OutOfRange for one that no log can have."""
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit():
        problem = {field: "must be a byte offset: 0 or more"}
        raise InvalidArgument("REQUEST_INVALID", f"{field} is not a number", **problem)
    if text != digits or len(digits) > 19 or int(digits) > _MAX_OFFSET:
        raise OutOfRange("OFFSET_BEYOND_END", f"{field} lies outside every log", **{field: text[:40]})
    return int(digits)
