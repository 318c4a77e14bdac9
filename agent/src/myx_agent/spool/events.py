"""The progress events of a playbook run: lines of JSON whose `seq` rises, read while they are written."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from myx_agent.spool import layout

_PIECE = 256 * 1024
_MAX_LINE_BYTES = 1 << 20
_TAIL_BYTES = 1 << 20

Event = tuple[int, dict[str, Any]]


class EventReader:
    """Reads on from where it stopped. The file may appear later; its last line may not be whole yet."""

    def __init__(self, folder: Path) -> None:
        self._path = f"{folder}/{layout.EVENTS}"
        self._fd = -1
        self._position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def after(self, seq: int, max_bytes: int) -> list[Event]:
        """Whole events beyond `seq`, about `max_bytes` of them at most; none when there are none yet."""
        if not self._open():
            return []
        if not self._position and seq:
            self._position = self._find(seq)
        found: list[Event] = []
        size = 0
        for line in self._lines():
            event = _parse(line)
            if event is not None and event[0] > seq:
                found.append(event)
                size += len(line)
                if size >= max_bytes:
                    break
        return found

    def recap(self) -> dict[str, Any] | None:
        """The hosts of the last recap: {host: {ok, changed, …}}."""
        if not self._open():
            return None
        size = os.fstat(self._fd).st_size
        tail = os.pread(self._fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        for line in reversed(tail.split(b"\n")):
            if b"recap" in line and (event := _parse(line)) is not None and event[1].get("type") == "recap":
                hosts = event[1].get("hosts")
                return hosts if isinstance(hosts, dict) and hosts else None
        return None

    def _open(self) -> bool:
        if self._fd < 0:
            try:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:
                return False
        return True

    def _lines(self) -> Iterator[bytes]:
        """Whole lines from the position on, which moves past each as it is taken."""
        while True:
            start = self._position
            piece = os.pread(self._fd, _PIECE, start)
            if b"\n" not in piece and len(piece) == _PIECE:
                piece = os.pread(self._fd, _MAX_LINE_BYTES, start)
                if b"\n" not in piece and len(piece) == _MAX_LINE_BYTES:
                    self._position += len(piece)  # no line of ours
                    continue
            whole = piece[: piece.rfind(b"\n") + 1]
            if not whole:
                return
            for line in whole.splitlines(keepends=True):
                self._position += len(line)
                yield line

    def _find(self, seq: int) -> int:
        """A place at or before the first event beyond `seq`, at the beginning of a line, by bisection."""
        low, high = 0, os.fstat(self._fd).st_size
        while high - low > _PIECE:
            middle = (low + high) // 2
            piece = os.pread(self._fd, _MAX_LINE_BYTES, middle)
            begin = piece.find(b"\n") + 1
            end = piece.find(b"\n", begin)
            event = _parse(piece[begin:end]) if begin and end >= 0 else None
            if event is None or event[0] > seq:
                high = middle
            else:
                low = middle + begin
        return low


def _parse(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
        seq = event["seq"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (seq, event) if isinstance(seq, int) and not isinstance(seq, bool) and isinstance(event, dict) else None
