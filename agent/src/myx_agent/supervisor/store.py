"""Finished commands in the spool: how many, how old, how large they may be together; released ones are remembered."""

import contextlib
import json
import os
import time
from dataclasses import dataclass

from myx_agent.spool import layout
from myx_agent.supervisor.digest import EMPTY

MAX_TOMBSTONES = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the spool; the agent's configuration names them alike."""

    command_bytes: int
    total_bytes: int
    min_free_bytes: int
    max_finished: int
    max_age_s: float
    max_running: int


class Store:
    """The finished commands, oldest first, and the bytes that all commands use."""

    def __init__(self, spool: str, limits: Limits) -> None:
        self._spool = spool
        self._limits = limits
        self._finished: dict[str, tuple[float, int]] = {}
        self._evicted: set[str] = set()
        self._released: dict[str, None] = {}
        # Those of the released that never were, as far as we remember.
        self._forbidden: dict[str, None] = {}
        self._released_lines = 0
        self.used = 0

    @property
    def finished_count(self) -> int:
        return len(self._finished)

    def load_released(self) -> None:
        text = layout.read_whole(f"{self._spool}/{layout.RELEASED}") or b""
        for line in text.decode(errors="replace").splitlines()[-MAX_TOMBSTONES:]:
            self._released[line] = None
        self._rewrite_released()

    def was_released(self, command_id: str) -> bool:
        return command_id in self._released

    def add_finished(self, command_id: str, ended_at: float, disk_bytes: int) -> None:
        """Count a finished command, anew if it was. Call in order of their ends."""
        self.used -= self._finished.pop(command_id, (0, 0))[1]
        self._finished[command_id] = ended_at, disk_bytes
        self.used += disk_bytes
        while len(self._finished) > self._limits.max_finished:
            self.release(next(iter(self._finished)))

    def make_room(self, size: int) -> bool:
        """Take `size` bytes of the total; logs of the oldest finished commands give way. False: there is no room."""
        if self.used + size > self._limits.total_bytes:
            for command_id in list(self._finished):
                if self.used + size <= self._limits.total_bytes:
                    break
                self._evict(command_id)
            else:
                if self.used + size > self._limits.total_bytes:
                    return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        self.used -= size

    def expire(self) -> None:
        """Forget what is older than it may be."""
        oldest = time.time() - self._limits.max_age_s
        for command_id, (ended_at, _size) in list(self._finished.items()):
            if ended_at < oldest:
                self.release(command_id)

    def release(self, command_id: str) -> None:
        """Remove a finished command's folder and remember its id, so that a late repeat does not run it again."""
        _ended_at, disk_bytes = self._finished.pop(command_id, (0, 0))
        self._evicted.discard(command_id)
        self.used -= disk_bytes
        remove_folder(layout.command_dir(self._spool, command_id))
        self._bury(command_id)

    def forbid(self, command_id: str) -> bool:
        """Have no command started under this id; false when one has had it, and was released."""
        if command_id in self._forbidden:
            return True
        if command_id in self._released:
            return False
        self._forbidden[command_id] = None
        if len(self._forbidden) > MAX_TOMBSTONES:
            del self._forbidden[next(iter(self._forbidden))]
        self._bury(command_id)
        return True

    def _bury(self, command_id: str) -> None:
        self._released[command_id] = None
        if len(self._released) > MAX_TOMBSTONES:
            del self._released[next(iter(self._released))]
        with contextlib.suppress(OSError):
            fd = os.open(
                f"{self._spool}/{layout.RELEASED}", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            try:
                os.write(fd, f"{command_id}\n".encode())
            finally:
                os.close(fd)
            self._released_lines += 1
            if self._released_lines > 2 * MAX_TOMBSTONES:
                self._rewrite_released()

    def _rewrite_released(self) -> None:
        with contextlib.suppress(OSError):
            text = "".join(f"{command_id}\n" for command_id in self._released)
            layout.write_whole(f"{self._spool}/{layout.RELEASED}", text.encode())
            self._released_lines = len(self._released)

    def _evict(self, command_id: str) -> None:
        """Drop the log of a finished command whose result stays and says so."""
        ended_at, disk_bytes = self._finished[command_id]
        if command_id in self._evicted:
            return
        folder = layout.command_dir(self._spool, command_id)
        text = layout.read_whole(f"{folder}/{layout.RESULT}")
        if text is not None:
            mark_evicted(folder, json.loads(text), "spool_limit")
        self._evicted.add(command_id)
        self._finished[command_id] = ended_at, 0
        self.used -= disk_bytes


def mark_evicted(folder: str, record: dict[str, object], reason: str) -> None:
    """Rewrite a result as that of a log of which nothing is kept, then remove the log."""
    result = record["result"]
    if isinstance(result, dict):
        for name in layout.STREAMS:
            stream = result[name]
            stream["dropped"] += stream["bytes"]
            stream["bytes"], stream["sha256"] = 0, EMPTY
    record["kept"] = 0
    record["gap"] = {"from": 0, "to": record["end"], "reason": reason} if record["end"] else None
    is_told = _rewrite_result(folder, record)
    for name in (layout.LOG, layout.INDEX, layout.EVENTS):
        with contextlib.suppress(OSError):
            os.unlink(f"{folder}/{name}")  # noqa: PTH108
    if not is_told:  # on a full disk what was removed has made room
        _rewrite_result(folder, record)


def _rewrite_result(folder: str, record: dict[str, object]) -> bool:
    try:
        layout.write_whole(f"{folder}/{layout.RESULT}", json.dumps(record).encode())
    except OSError:
        return False
    return True


def events_bytes(folder: str) -> int:
    """Bytes of a playbook run's events."""
    try:
        return os.stat(f"{folder}/{layout.EVENTS}").st_size  # noqa: PTH116
    except OSError:
        return 0


def remove_folder(path: str) -> None:
    """Remove a command's folder (it has no folders inside). What is gone already is no error."""
    with contextlib.suppress(OSError):
        with os.scandir(path) as entries:
            for entry in entries:
                os.unlink(entry.path)  # noqa: PTH108
        os.rmdir(path)  # noqa: PTH106
