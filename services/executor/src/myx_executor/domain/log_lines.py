"""Lines of a log whose two streams come interleaved: each line belongs to its stream, whatever lies between its parts.

Where an offset falls in the middle of a log, the lines that are open there are known by looking back at most 2 * SPAN
bytes, because of one rule: at every multiple of SPAN an open line loses what lies before the last SPAN bytes, and all
of it when it began in their first half. What it loses is a line of its own, which ends there. So memory and looking
back are bounded whatever a process writes, and every reader finds the same lines. A line within SPAN // 2 is whole.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from myx_executor.domain.log import STDERR, STDOUT, LogBytes, Piece

SPAN = 1 << 20

# So much of a part is repeated at the beginning of the next one, so that a match across the cut is found.
OVERLAP = 4096


@dataclass(slots=True)
class Text:
    """Bytes of one stream that are whole lines, each with its newline, the last one perhaps without.

    `starts` and `offsets`: positions in `data` and what offsets of the log they are, for each run. `end`: where the
    last line ends when it has no newline. The first `repeated` bytes were the end of the part before.
    """

    stream: int
    data: bytes
    starts: list[int]
    offsets: list[int]
    end: int | None = None
    repeated: int = 0

    def offset_of(self, position: int) -> int:
        """Offset in the log of a byte."""
        run = bisect_right(self.starts, position) - 1
        return self.offsets[run] + position - self.starts[run]

    def end_of(self, position: int) -> int:
        """Offset behind the line whose newline is at `position` (or which the text ends)."""
        if position >= len(self.data):
            return self.end if self.end is not None else self.offset_of(len(self.data) - 1) + 1
        return self.offset_of(position) + 1

    def first_line_behind(self, offset: int) -> int:
        """Position of the first line that ends behind `offset`."""
        position = min(_position(self, offset), len(self.data))
        if position >= len(self.data) and not self.data.endswith(b"\n"):
            position = len(self.data) - 1
        return self.data.rfind(b"\n", 0, position) + 1


@dataclass(slots=True)
class _Open:
    """What one stream has since its last line was taken: whole lines and an open one."""

    stream: int
    chunks: list[bytes] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    size: int = 0
    repeated: int = 0
    # Behind the last line's end; the log's beginning and what is not known count as none.
    broken_at: int = -1

    def add(self, offset: int, data: bytes) -> None:
        if not self.offsets or self.offsets[-1] + self.size - self.starts[-1] != offset:
            self.starts.append(self.size)
            self.offsets.append(offset)
        self.chunks.append(data)
        self.size += len(data)
        newline = data.rfind(b"\n")
        if newline >= 0:
            self.broken_at = offset + newline + 1

    def whole_lines(self) -> Text | None:
        """Takes all up to the last newline."""
        data = b"".join(self.chunks)
        length = data.rfind(b"\n") + 1
        if not length:
            # Joined once, not at every look.
            self.chunks = [data] if data else []
            return None
        return self._take(data, length, None)

    def all_of_it(self, end: int) -> Text | None:
        """Takes everything; the open line ends at `end`."""
        data = b"".join(self.chunks)
        text = self._take(data, len(data), end) if len(data) > self.repeated else None
        self.chunks, self.starts, self.offsets, self.size, self.repeated = [], [], [], 0, 0
        return text

    def cut(self, boundary: int) -> Text | None:
        """Applies the rule of this module at a multiple of SPAN."""
        if not self.size or self.broken_at > boundary - SPAN:
            return None
        data = b"".join(self.chunks)
        first = _position(self, boundary - SPAN)
        if first < len(data) and self._offset_of(first) >= boundary - SPAN // 2:
            lost, rest = first, first
        else:
            lost, rest = len(data), max(first, len(data) - OVERLAP)
        is_new = lost > self.repeated
        text = self._take(data, lost, boundary, rest)
        return text if is_new else None

    def _offset_of(self, position: int) -> int:
        run = bisect_right(self.starts, position) - 1
        return self.offsets[run] + position - self.starts[run]

    def _take(self, data: bytes, length: int, end: int | None, rest: int | None = None) -> Text:
        """The first `length` bytes; what is from `rest` on stays."""
        text = Text(self.stream, data[:length], self.starts, self.offsets, end, self.repeated)
        rest = length if rest is None else rest
        run = bisect_right(self.starts, rest) - 1
        self.starts = [0, *(start - rest for start in text.starts[run + 1 :])]
        self.offsets = [text.offsets[run] + rest - text.starts[run], *text.offsets[run + 1 :]]
        self.chunks, self.size = [data[rest:]], len(data) - rest
        self.repeated = length - rest
        if not self.size:
            self.chunks, self.starts, self.offsets = [], [], []
        return text


class Lines:
    """Puts pieces together to lines. Begin at `start_for(offset)`; all lines that end behind the offset are exact."""

    def __init__(self, start: int) -> None:
        self.position = start
        self._streams = {STDOUT: _Open(STDOUT), STDERR: _Open(STDERR)}
        self._ready: list[Text] = []

    @staticmethod
    def start_for(offset: int) -> int:
        """Where to begin to read, so that the lines open at `offset` are known."""
        return max(offset // SPAN - 1, 0) * SPAN

    def feed(self, piece: Piece) -> None:
        """The piece at `position`."""
        if piece.gap_reason is not None:
            self._break(piece)
            return
        for run in piece.runs():
            for part in _parts(run):
                self._streams[run.stream].add(part.offset, part.data)
                self.position = part.end
                if part.end % SPAN == 0:
                    self._cut(part.end)

    def take(self) -> list[Text]:
        """The lines that ended since the last call."""
        ready, self._ready = self._ready, []
        return ready + [text for one in self._streams.values() if (text := one.whole_lines()) is not None]

    def finish(self) -> list[Text]:
        """The lines that are left, at the end of the log."""
        # Behind every offset, so that one who has read all that was stored before still gets them.
        return [text for one in self._streams.values() if (text := one.all_of_it(self.position + 1)) is not None]

    def _break(self, gap: Piece) -> None:
        """What is missing may have held the ends of lines."""
        for one in self._streams.values():
            text = one.all_of_it(gap.offset + 1)
            if text is not None:
                self._ready.append(text)
            one.broken_at = gap.end
        self.position = gap.end

    def _cut(self, boundary: int) -> None:
        self._ready += [text for one in self._streams.values() if (text := one.cut(boundary)) is not None]


def _position(runs: Text | _Open, offset: int) -> int:
    """Position of the first byte at or behind an offset of the log; behind all bytes when there is none."""
    run = bisect_left(runs.offsets, offset)
    size = len(runs.data) if isinstance(runs, Text) else runs.size
    position = runs.starts[run] if run < len(runs.starts) else size
    return min(position, runs.starts[run - 1] + offset - runs.offsets[run - 1]) if run else position


def _parts(run: LogBytes) -> Iterator[LogBytes]:
    """A run in parts that cross no multiple of SPAN."""
    offset, data = run.offset, run.data
    while data:
        room = SPAN - offset % SPAN
        part, data = data[:room], data[room:]
        yield LogBytes(run.stream, offset, part)
        offset += len(part)
