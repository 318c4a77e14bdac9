"""SearchLog: lines of a stored log that match, a bounded part of the log a call."""

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import re2

from myx_executor.domain.command import Command
from myx_executor.domain.log import Piece, cut
from myx_executor.domain.log_lines import Lines, Text
from myx_executor.store.codec import StoredPiece, decode
from myx_executor.store.commands import CommandStore
from myx_executor.store.logs import LogStore
from myx_executor.usecases.follow_log import PAGE_BYTES
from myx_kit.errors import InvalidArgument, NotFound, OutOfRange, ResourceExhausted

MAX_PATTERN = 1000
MAX_MATCHES, DEFAULT_MATCHES = 1000, 100
LINE_BYTES = 4096

# What one call looks at, whichever is reached first.
CALL_BYTES = 32 << 20
CALL_S = 1.0

# Compiled expressions and what they need while they match.
_RE2_BYTES = 8 << 20
# RE2 is linear in the text, times the steps of the expression where that has too many states to keep: both are bounded,
# and so is how long one may take over a page of a log.
_MAX_STEPS = 3000
_WINDOW = 64 << 10
_LONGEST_S = 5.0
# Matches in what was repeated of a part; where there are more, one that begins there and ends behind it is not found.
_REPEATED_MATCHES = 200
# Calls at once, and how many may wait for their turn; each holds a few MiB.
_AT_ONCE, _WAITING = 4, 100

# What means something else when many lines are looked at together: ends of the text, any byte, own flags for ^ and $.
_LINE_BY_LINE = re.compile(r"\\[AzC]|\(\?[a-zA-Z]*-?[a-zA-Z]*m")


@dataclass(frozen=True, slots=True)
class Match:
    """A line that matches. `line`: at most LINE_BYTES of it around the match, without its newline."""

    offset: int
    end: int
    stream: int
    line: bytes
    match_start: int
    match_end: int


@dataclass(frozen=True, slots=True)
class Found:
    """What one call found, and where the next one goes on. `is_end`: all that is stored was looked at."""

    matches: Sequence[Match]
    next_offset: int
    is_end: bool
    log_size: int


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """As a caller asks. `max_matches` 0: DEFAULT_MATCHES."""

    command_id: UUID
    pattern: str
    regex: bool = False
    ignore_case: bool = False
    from_offset: int = 0
    max_matches: int = 0


class Pattern:
    """A compiled pattern; looks for it line by line or, as fast and with the same outcome, in many lines at once."""

    def __init__(self, pattern: str, *, regex: bool, ignore_case: bool) -> None:
        """InvalidArgument `PATTERN_INVALID`."""
        if not 1 <= len(pattern) <= MAX_PATTERN:
            raise _invalid(f"the pattern must have 1 to {MAX_PATTERN} characters")
        if not regex and "\n" in pattern:
            raise _invalid("a match lies within one line: the pattern must not have a line break")
        options = re2.Options()
        options.max_mem = _RE2_BYTES
        options.never_nl = True
        options.never_capture = True
        options.log_errors = False
        options.literal = not regex
        options.case_sensitive = not ignore_case
        self.by_line = regex and _LINE_BY_LINE.search(pattern) is not None
        try:
            self._regexp = re2.compile(f"(?m){pattern}" if regex and not self.by_line else pattern, options)
        except re2.error as error:
            cause = error.args[0] if error.args else b""
            text = cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)
            raise _invalid(f"the pattern is no RE2 expression: {text[:200]}") from None
        finally:
            # It would keep the last 128 of them.
            re2.purge()
        if self._regexp.programsize > _MAX_STEPS:
            raise _invalid("the pattern is too large: repeat less, or smaller classes of characters")
        self._until = float("inf")

    def begin(self) -> None:
        """From now on `find` may take _LONGEST_S, then it raises InvalidArgument `PATTERN_INVALID`."""
        self._until = time.monotonic() + _LONGEST_S

    def find(self, text: Text, behind: int, limit: int) -> list[Match]:
        """The first lines that match and end behind an offset, at most `limit`."""
        found: list[Match] = []
        for line, span in self._lines(text, text.first_line_behind(behind)):
            end = text.end_of(line.stop)
            if end > behind:
                found.append(_match(text, line, span, end))
                if len(found) == limit:
                    break
        return found

    def _lines(self, text: Text, position: int) -> Iterator[tuple[range, range]]:
        """Each line from `position` on that matches, without its newline, and its first match."""
        data = text.data
        while position < len(data):
            span = self._first(text, position)
            if span is None:
                return
            begin, end = span
            start = data.rfind(b"\n", 0, begin) + 1
            stop = data.find(b"\n", begin)
            stop = len(data) if stop < 0 else stop
            if start >= len(data):
                return
            yield range(start, stop), range(begin, min(end, stop))
            position = stop + 1

    def _first(self, text: Text, position: int) -> tuple[int, int] | None:
        if self.by_line:
            return self._first_by_line(text, position)
        data = text.data
        while position < len(data):
            self._check_time()
            stop = _window_end(data, position)
            found = self._regexp.search(data, position, stop)
            # What ended in the part before was found there.
            tries = 0
            while found is not None and found.end() <= text.repeated and text.repeated:
                tries += 1
                behind = found.start() + 1 if tries < _REPEATED_MATCHES else max(found.start() + 1, text.repeated)
                found = self._regexp.search(data, behind, stop) if behind <= stop else None
            if found is not None:
                return int(found.start()), int(found.end())
            position = stop + 1
        return None

    def _check_time(self) -> None:
        if time.monotonic() > self._until:
            raise _invalid("looking for the pattern takes too long: make it simpler")

    def _first_by_line(self, text: Text, position: int) -> tuple[int, int] | None:
        data = text.data
        while position < len(data):
            self._check_time()
            stop = data.find(b"\n", position)
            stop = len(data) if stop < 0 else stop
            found = self._regexp.search(data[position:stop])
            if found is not None and (position + found.end() > text.repeated or not text.repeated):
                return position + found.start(), position + found.end()
            position = stop + 1
        return None


class _Scan:
    """One call's way through the log."""

    def __init__(self, pattern: Pattern, offset: int, limit: int) -> None:
        self._pattern = pattern
        self._behind = offset
        self._limit = limit
        self._lines = Lines(Lines.start_for(offset))
        self.matches: list[Match] = []
        # There are more than are wanted.
        self.has_more = False

    @property
    def position(self) -> int:
        """Where the next piece begins."""
        return self._lines.position

    @property
    def is_full(self) -> bool:
        """Whether no further match is wanted."""
        return self.has_more or len(self.matches) >= self._limit

    def look(self, rows: Sequence[StoredPiece], size: int, *, last_of: int | None) -> None:
        """Looks at the pieces of a page; none: what is left to `size` is gone. `last_of`: the final log's size."""
        for row in rows:
            piece = cut(decode(row), self.position)
            if piece is not None:
                self._skip_to(piece.offset)
                self._lines.feed(piece)
        if not rows:
            self._skip_to(size)
        self._pattern.begin()
        texts = self._lines.take()
        if self.position == last_of:
            texts += self._lines.finish()
        self._take(texts)

    def _skip_to(self, offset: int) -> None:
        if offset > self.position:
            self._lines.feed(Piece(self.position, offset - self.position, gap_reason="missing"))

    def _take(self, texts: Sequence[Text]) -> None:
        room = self._limit - len(self.matches)
        found = [match for text in texts for match in self._pattern.find(text, self._behind, room + 1)]
        found.sort(key=lambda match: match.end)
        if len(found) > room:
            # Two open lines can end at the same place: both or none, so that the next call can go on behind it.
            end = found[room].end
            kept = [match for match in found[:room] if match.end < end]
            if not (kept or self.matches):
                kept = [match for match in found if match.end == end]
            self.has_more = len(kept) < len(found)
            found = kept
        self.matches += found


class SearchLog:
    """Searches logs of commands and deployments, beside the event loop in a pool of threads."""

    def __init__(self, commands: CommandStore, logs: LogStore, pool: Executor) -> None:
        self._commands = commands
        self._logs = logs
        self._pool = pool
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def search(self, request: SearchRequest) -> Found:
        """The first matches from an offset on. Lines that are not ended yet count once the command is final.

        NotFound `COMMAND_NOT_FOUND`; InvalidArgument `PATTERN_INVALID`, `ARGUMENT_INVALID`; OutOfRange
        `OFFSET_BEYOND_END`; ResourceExhausted `SEARCHES_BUSY`.
        """
        pattern = Pattern(request.pattern, regex=request.regex, ignore_case=request.ignore_case)
        if not 0 <= request.max_matches <= MAX_MATCHES:
            message = f"max_matches must be from 1 to {MAX_MATCHES}, or 0 for {DEFAULT_MATCHES}"
            raise InvalidArgument("ARGUMENT_INVALID", message, field="max_matches")
        command = await self._get(request)
        if self._waiting >= _WAITING:
            raise ResourceExhausted("SEARCHES_BUSY", "too many logs are being searched; try again")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._search(command, request, pattern)
        finally:
            self._waiting -= 1

    async def _search(self, command: Command, request: SearchRequest, pattern: Pattern) -> Found:
        size, offset = command.log_size, request.from_offset
        if command.log_purged_at is not None or offset > size:
            return Found((), max(size, offset), True, size)
        scan = _Scan(pattern, offset, request.max_matches or DEFAULT_MATCHES)
        last_of = size if command.is_final else None
        until, loop = time.monotonic() + CALL_S, asyncio.get_running_loop()
        while scan.position < size and not scan.is_full:
            rows = await self._logs.page(command.id, scan.position, min(PAGE_BYTES, size - scan.position))
            looking = loop.run_in_executor(self._pool, partial(scan.look, rows, size, last_of=last_of))
            try:
                await asyncio.shield(looking)
            finally:
                # A thread cannot be stopped: who leaves keeps its turn until the thread is free.
                await asyncio.wait([looking])
            if scan.position > offset and (scan.position - offset >= CALL_BYTES or time.monotonic() >= until):
                break
        if scan.has_more:
            return Found(scan.matches, scan.matches[-1].end, False, size)
        return Found(scan.matches, max(scan.position, offset), scan.position >= size, size)

    async def _get(self, request: SearchRequest) -> Command:
        command_id, offset = request.command_id, request.from_offset
        command = await self._commands.get(command_id)
        if command is None:
            raise NotFound("COMMAND_NOT_FOUND", f"there is no command {command_id}", command_id=str(command_id))
        if offset < 0 or (command.is_final and offset > command.log_size):
            message = "the offset is negative" if offset < 0 else f"the log ends at {command.log_size}"
            raise OutOfRange("OFFSET_BEYOND_END", message, offset=str(offset), end=str(command.log_size))
        return command


def _window_end(data: bytes, position: int) -> int:
    """The end of about _WINDOW bytes of whole lines, without the last newline; one line at least."""
    limit = position + _WINDOW
    stop = data.rfind(b"\n", position, limit) if limit < len(data) else len(data)
    stop = data.find(b"\n", limit) if stop < 0 else stop
    return len(data) if stop < 0 else stop


def _match(text: Text, line: range, span: range, end: int) -> Match:
    """`line` and `span`: positions of the line and of the match in the text."""
    begin, stop = line.start, line.stop
    if len(line) > LINE_BYTES:
        room = max(LINE_BYTES - len(span), 0)
        begin = max(min(span.start - room // 2, stop - LINE_BYTES), begin)
        stop = begin + LINE_BYTES
    offset = text.offset_of(min(max(line.start, text.repeated), len(text.data) - 1))
    start, after = span.start - begin, min(span.stop, stop) - begin
    return Match(offset, end, text.stream, text.data[begin:stop], start, after)


def _invalid(message: str) -> InvalidArgument:
    return InvalidArgument("PATTERN_INVALID", message, field="pattern")
