"""Named pipes on an event loop."""

import asyncio
import os
import stat
from collections.abc import Callable


class Pipe:
    """A pipe's end that does not block; the descriptor is closed by close()."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def open(cls, path: str, flags: int) -> "Pipe":
        """OSError when it is not there or not a pipe."""
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.close(fd)
            raise FileNotFoundError(path)
        return cls(fd)

    async def read(self, size: int) -> bytes:
        """Some bytes; empty when the last writer is gone."""
        while True:
            await self._ready(asyncio.get_running_loop().add_reader, asyncio.get_running_loop().remove_reader)
            try:
                return os.read(self._fd, size)
            except BlockingIOError:
                continue

    async def read_exactly(self, size: int) -> bytes:
        """That many bytes. EOFError."""
        data = bytearray()
        while len(data) < size:
            piece = await self.read(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    def read_now(self, size: int) -> bytes:
        """What is there without waiting."""
        try:
            return os.read(self._fd, size)
        except BlockingIOError:
            return b""

    async def write(self, data: bytes) -> None:
        """All of it. BrokenPipeError when nobody reads any more."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._ready(asyncio.get_running_loop().add_writer, asyncio.get_running_loop().remove_writer)

    def close(self) -> None:
        """Safe to repeat."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def _ready(self, add: Callable[..., object], remove: Callable[[int], object]) -> None:
        fd, ready = self._fd, asyncio.get_running_loop().create_future()
        add(fd, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            remove(fd)
