"""The output of one command on its way to the spool: order, limits, digests."""

import contextlib
import errno
import json
import os
from collections.abc import Callable
from typing import TypedDict

from myx_agent.spool import index, layout
from myx_agent.supervisor.digest import StreamDigest

DISK_CHECK_BYTES = 16 << 20


class StreamResult(TypedDict):
    bytes: int
    sha256: str
    dropped: int


class Quota:
    """What a log asks before it grows."""

    def __init__(self, per_command: int, free_floor: int, make_room: Callable[[int], bool]) -> None:
        self.per_command = per_command
        self.free_floor = free_floor
        self.make_room = make_room


class OutputLog:
    """Appends what was read, until a limit is reached; from there on it only counts.

    The index record of a run is written before its first byte, so that a crash leaves no byte without a stream.
    """

    def __init__(self, folder: str, quota: Quota) -> None:
        self._folder = folder
        self._quota = quota
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._log = os.open(f"{folder}/{layout.LOG}", flags, 0o600)
        try:
            self._index = os.open(f"{folder}/{layout.INDEX}", flags, 0o600)
        except OSError:
            os.close(self._log)
            raise
        self.kept = 0
        self.index_bytes = 0
        self.reserved = 0  # what the quota was asked for; at least what lies on disk
        self.gap_reason: str | None = None
        self._last_stream = 0
        self._disk_checked_at = 0
        self._digests = {stream: StreamDigest(stream) for stream in (layout.STDOUT, layout.STDERR)}
        self.dropped = {layout.STDOUT: 0, layout.STDERR: 0}

    def adopt(self) -> None:
        """Go on with what an earlier supervisor left: cut what is torn, count and hash the rest."""
        size = os.fstat(self._log).st_size
        records = index.truncate_to(self._index, size)
        if records == 0 and size:
            os.ftruncate(self._log, 0)
            size = 0
        self.kept = size
        self.index_bytes = records * index.RECORD.size
        self.reserved = self.disk_bytes
        self._last_stream = index.read_record(self._index, records - 1)[1] if records else 0
        for digest in self._digests.values():
            digest.restore(self._log, self._index, size)
        gap = layout.parse_document(layout.read_whole(f"{self._folder}/{layout.GAP}"))
        if gap is not None:
            self.gap_reason = gap["reason"]

    @property
    def end(self) -> int:
        """The log's length for the reader: kept and dropped."""
        return self.kept + sum(self.dropped.values())

    @property
    def disk_bytes(self) -> int:
        return self.kept + self.index_bytes

    def write(self, stream: int, data: memoryview) -> None:
        """Take what was read from a stream. Keeps it or, beyond a limit, counts it as dropped."""
        if self.gap_reason is None:
            allowed, reason = self._allowed(len(data))
            if allowed:
                data = data[self._append(stream, data[:allowed]) :]
            if reason:
                self.drop_from_here(reason)
        self.dropped[stream] += len(data)

    def drop_from_here(self, reason: str) -> None:
        """From now on bytes are counted and dropped."""
        if self.gap_reason is not None:
            return
        self.gap_reason = reason
        text = json.dumps({"from": self.kept, "reason": reason})
        with contextlib.suppress(OSError):  # the disk is full: the result will say it
            layout.write_whole(f"{self._folder}/{layout.GAP}", text.encode())

    def streams(self) -> dict[str, StreamResult]:
        return {
            name: {
                "bytes": self._digests[stream].size,
                "sha256": self._digests[stream].hexdigest(),
                "dropped": self.dropped[stream],
            }
            for stream, name in enumerate(layout.STREAMS, start=1)
        }

    def close(self) -> None:
        """Closing the log's only writer wakes the followers (IN_CLOSE_WRITE). Once is enough, twice is no harm."""
        for fd in (self._index, self._log):
            if fd >= 0:
                os.close(fd)
        self._index = self._log = -1

    def _allowed(self, size: int) -> tuple[int, str | None]:
        """How many of `size` bytes may be kept, and the limit that cuts them."""
        quota = self._quota
        if not quota.make_room(size):
            return 0, "spool_limit"
        self.reserved += size
        if self.kept == 0 or self.kept - self._disk_checked_at >= DISK_CHECK_BYTES:
            self._disk_checked_at = self.kept
            disk = os.fstatvfs(self._log)
            if disk.f_bavail * disk.f_frsize < quota.free_floor + size:
                return 0, "disk_full"
        if self.kept + size > quota.per_command:
            return quota.per_command - self.kept, "command_limit"
        return size, None

    def _append(self, stream: int, data: memoryview) -> int:
        """Write to index and log; returns how many bytes are kept."""
        written = 0
        try:
            if stream != self._last_stream:
                layout.write_all(self._index, index.pack(self.kept, stream))
                self.index_bytes += index.RECORD.size
                self._last_stream = stream
            while written < len(data):
                written += os.write(self._log, data[written:] if written else data)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}:
                raise
            self.kept += written
            self._digests[stream].update(data[:written])
            self.drop_from_here("disk_full")
            return written
        digest = self._digests[stream]
        digest.update(data)
        self.kept += written
        digest.grow(self._log, self._index, self.kept)
        return written
