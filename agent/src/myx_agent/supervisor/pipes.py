"""The FIFOs of a command. They have names, so that after a crash a new supervisor can open them again."""

import contextlib
import fcntl
import functools
import os
from collections.abc import Callable

from myx_agent.spool import layout
from myx_agent.supervisor.loop import Loop
from myx_agent.supervisor.spawn import User

READ_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031

buffer = bytearray(READ_BYTES)
view = memoryview(buffer)


def make(folder: str, user: User | None) -> None:
    for name in layout.STREAMS:
        path = f"{folder}/{name}"
        os.mkfifo(path, 0o600)
        if user is not None:
            os.chown(path, user.uid, user.gid)


def open_writers(folder: str) -> tuple[int, int]:
    """Both FIFOs for the child, readable too: a command whose reader died is not hit by SIGPIPE."""
    size = READ_BYTES if os.geteuid() == 0 else READ_BYTES // 4  # others share 64 MiB of pipe buffers per user
    fds = []
    for name in layout.STREAMS:
        fd = os.open(f"{folder}/{name}", os.O_RDWR | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, _F_SETPIPE_SZ, size)
        fds.append(fd)
    return fds[0], fds[1]


def open_readers(folder: str) -> dict[int, int]:
    """Descriptor by stream; a stream that was closed by all has no FIFO any more."""
    readers: dict[int, int] = {}
    try:
        for stream, name in enumerate(layout.STREAMS, start=1):
            with contextlib.suppress(FileNotFoundError):
                readers[stream] = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        for fd in readers.values():
            os.close(fd)
        raise
    return readers


def remove(folder: str, stream: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{folder}/{layout.STREAMS[stream - 1]}")  # noqa: PTH108


class Drain:
    """Reads to nowhere what background processes write after the end of their command, so that they do not block."""

    def __init__(self, loop: Loop, folder: str, readers: dict[int, int], on_done: Callable[[], None]) -> None:
        self._loop = loop
        self._folder = folder
        self.readers = readers
        self._on_done = on_done
        for stream, fd in readers.items():
            loop.add(fd, functools.partial(self._read, stream))

    def _read(self, stream: int, _events: int) -> None:
        fd = self.readers[stream]
        try:
            if os.readv(fd, [buffer]):
                return
        except BlockingIOError:
            return
        self._loop.remove(fd)
        os.close(fd)
        del self.readers[stream]
        remove(self._folder, stream)
        if not self.readers:
            self._on_done()
