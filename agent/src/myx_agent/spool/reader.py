"""Reading a command's log by offset, while it is written or afterwards. Memory stays flat: every read is bounded."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from myx_agent.spool import index, layout


@dataclass(frozen=True, slots=True)
class Final:
    """The end of a command as result.json has it. The log is [0, kept); [kept, end) is `gap`, or all of it."""

    state: str
    end: int
    kept: int
    gap: dict[str, Any] | None
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes of one stream, `data[0]` being at `offset`."""

    offset: int
    stream: int
    data: bytes


class LogReader:
    """An open log. Descriptors stay valid when the spool drops the files meanwhile."""

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError when the command, or its log, is not there."""
        self.command_id = folder.name
        self._result_path = f"{folder}/{layout.RESULT}"
        self._final: Final | None = None
        self._log = -1
        self._index = -1
        self._record = 0
        final = self.final()
        try:
            self._log = os.open(f"{folder}/{layout.LOG}", os.O_RDONLY | os.O_CLOEXEC)
            self._index = os.open(f"{folder}/{layout.INDEX}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self.close()
            if final is None and (final := self.final()) is None:
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for fd in (self._log, self._index):
            if fd >= 0:
                os.close(fd)
        self._log = self._index = -1

    def final(self) -> Final | None:
        """The end, once it is written. Ask for it before `size`: then nothing comes after that size."""
        if self._final is None:
            self._final = read_final(self._result_path)
        return self._final

    def end_as(self, final: Final) -> None:
        """Take an end that result.json does not have."""
        self._final = final

    def size(self) -> int:
        """Bytes that can be read now."""
        return os.fstat(self._log).st_size if self._log >= 0 else 0

    def read(self, offset: int, limit: int, size: int) -> Run | None:
        """Up to `limit` bytes of one stream at `offset`, of a log of `size` bytes; None when there are none."""
        if offset >= size or self._log < 0:
            return None
        stream, end = self._run_at(offset)
        data = os.pread(self._log, min(limit, (size if end is None else min(end, size)) - offset), offset)
        return Run(offset, stream, data) if data else None

    def _run_at(self, offset: int) -> tuple[int, int | None]:
        """Stream of the byte at `offset`, and where its run ends (None: not yet)."""
        start, stream = index.read_record(self._index, self._record)
        if start > offset:
            self._record = index.find_run(self._index, offset)
            start, stream = index.read_record(self._index, self._record)
        steps = 0
        while True:
            try:
                next_start, next_stream = index.read_record(self._index, self._record + 1)
            except IndexError:
                return stream, None
            if next_start > offset:
                return stream, next_start
            self._record, stream = self._record + 1, next_stream
            steps += 1
            if steps > 4:
                self._record = index.find_run(self._index, offset)
                stream = index.read_record(self._index, self._record)[1]


def read_final(path: str) -> Final | None:
    """The end of a command; None while it runs."""
    record = layout.parse_result(layout.read_whole(path))
    return None if record is None else final_of(record)


def final_of(record: dict[str, Any]) -> Final:
    return Final(record["state"], record["end"], record["kept"], record["gap"], record["result"])
