"""Which bytes of a log a download holds (RFC 9110, 14)."""

import re
from dataclasses import dataclass
from typing import Final

from myx_gateway.schemas.commands import LogStream
from myx_gateway.streams.subjects import LogFacts
from myx_kit.errors import OutOfRange

_RANGE: Final = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Part:
    """A part of a log: read from `start` on, leave `skip` bytes of what was asked for out, give `length`.

    `length` None: all, however much it is. `content_range` is set for an answer 206.
    """

    start: int
    skip: int
    length: int | None
    content_range: str = ""


def can_be_ranged(facts: LogFacts, offset: int, stream: LogStream | None) -> bool:
    """Whether a Range can be honoured: of the whole log, and of a stream whose size is known."""
    return offset == 0 and (stream is None or (facts.is_whole and stream in facts.sizes))


def part_of(facts: LogFacts, offset: int, stream: LogStream | None, wanted: str | None) -> Part:
    """What to send for a `Range` header, None for none. OutOfRange `RANGE_BEYOND_END`.

    A header that cannot be honoured (several ranges, another unit) is left aside, as the RFC allows.
    """
    bounds = _RANGE.fullmatch(wanted.strip()) if wanted is not None else None
    if bounds is None or bounds.groups() == ("", "") or not can_be_ranged(facts, offset, stream):
        return Part(offset, 0, _length(facts, offset, stream))
    size = facts.size if stream is None else facts.sizes[stream]
    first, last = _bounds(bounds[1], bounds[2], size)
    if first >= size or last < first:
        raise OutOfRange("RANGE_BEYOND_END", f"there are {size} bytes now", size=str(size))
    told = f"bytes {first}-{last}/{size if facts.is_final else '*'}"
    length = last - first + 1
    return Part(first, 0, length, told) if stream is None else Part(0, first, length, told)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        return max(0, size - int(last)), size - 1 if int(last) else -1
    return int(first), min(int(last), size - 1) if last else size - 1


def _length(facts: LogFacts, offset: int, stream: LogStream | None) -> int | None:
    """The size of the answer, where it is known: without gaps, and final."""
    if not facts.is_whole or offset > facts.size:
        return None
    if stream is None:
        return facts.size - offset
    return facts.sizes.get(stream) if offset == 0 else None
