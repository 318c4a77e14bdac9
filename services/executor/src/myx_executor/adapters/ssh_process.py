"""One command on a host: marked output, its process group, and its end."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import asyncssh

from myx_executor.adapters.ssh_errors import lost, no_channel
from myx_executor.adapters.ssh_root import Elevation, Means, asks_again, no_shell, refusal
from myx_executor.domain.ssh import Hop, SshError

_NOISE_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024
_SUDO_S = 30.0
_CHANNEL_S = 60.0
_CHANNEL_PAUSE_S = 0.1


class RemoteProcess:
    """Started by `start`; end it with `wait` or `kill`, then `close`."""

    def __init__(self, hop: Hop, elevation: Elevation, process: "asyncssh.SSHClientProcess[bytes]", mark: str) -> None:
        self._hop = hop
        self._elevation = elevation
        self._process = process
        self._mark = mark.encode()
        self._begun = {"stdout": False, "stderr": False}
        self._noise = b""
        self._early = {"stdout": b"", "stderr": b""}
        self.group = 0
        # How long it may take over its end once it is broken off.
        self.grace_s = 0.0

    @property
    def ended(self) -> bool:
        """Whether its end is known."""
        return self._process.exit_status is not None or self._process.exit_signal is not None

    @property
    def mark(self) -> str:
        """What it and all that it starts has in its environment (see ssh_end)."""
        return self._mark.decode()

    @property
    def elevation(self) -> Elevation:
        """How it became what it runs as."""
        return self._elevation

    @classmethod
    async def start(
        cls, connection: asyncssh.SSHClientConnection, hop: Hop, elevation: Elevation, argv: Sequence[str], mark: str
    ) -> "RemoteProcess":
        """Opens a channel and runs the command; returns when sudo took its password. RootRefused, SessionLost.

        `mark`: hex that nothing else has.
        """
        process = await _opened(connection, hop, elevation.command_line(argv, mark))
        started = cls(hop, elevation, process, mark)
        if elevation.means is Means.SUDO_PASSWORD:
            try:
                await started._give_password()
            except BaseException:
                started.close()
                raise
        return started

    async def read(self, stream: str, size: int = _READ_BYTES) -> bytes:
        """What the command wrote to `stdout` or `stderr`; empty at its end."""
        if not self._begun[stream]:
            await self._skip_noise(stream)
        early = self._early[stream]
        if early:
            self._early[stream] = early[size:]
            return early[:size]
        return await self._raw(stream, size)

    async def learn_group(self) -> None:
        """Reads as far as the process group is told, for callers who never look at standard error."""
        if self.group <= 1 and not self._begun["stderr"]:
            await self._skip_noise("stderr")

    async def write(self, data: bytes) -> None:
        """To its standard input; waits while the host does not take it. What nobody reads is dropped."""
        with suppress(asyncssh.Error, OSError):
            self._process.stdin.write(data)
            await self._process.stdin.drain()

    def write_eof(self) -> None:
        """Nothing follows."""
        with suppress(asyncssh.Error, OSError):
            self._process.stdin.write_eof()

    async def wait(self) -> tuple[int, str]:
        """Exit code (−1 when killed) and the signal's name. RootRefused when it never began; SessionLost."""
        await self._process.wait_closed()
        if not self._begun["stderr"] and self._process.exit_status is not None:
            raise self._refusal()
        if self._process.exit_signal is not None:
            return -1, self._process.exit_signal[0]
        if self._process.exit_status is None:
            raise lost(self._hop)
        return self._process.exit_status, ""

    def close(self) -> None:
        """Ends the channel."""
        with suppress(asyncssh.Error, OSError):
            self._process.close()

    async def _give_password(self) -> None:
        self._process.stdin.write(self._elevation.password.encode() + b"\n")
        try:
            async with asyncio.timeout(_SUDO_S):
                await self._skip_noise("stderr")
        except TimeoutError:
            raise self._refusal() from None
        if not self._begun["stderr"]:
            self.write_eof()
            await self.wait()
            raise self._refusal()
        self._process.stdin.write(self._mark + b"\n")

    async def _skip_noise(self, stream: str) -> None:
        seen = b""
        while True:
            data = await self._raw(stream, _READ_BYTES)
            seen += data
            at = seen.find(self._mark)
            end = seen.find(b"\n", at) if at >= 0 else -1
            if end >= 0:
                self._begin(stream, seen[at + len(self._mark) : end], seen[end + 1 :])
                return
            if stream == "stderr":
                self._noise = seen[-_NOISE_BYTES:]
                if self._elevation.means is Means.SUDO_PASSWORD and asks_again(seen):
                    return
            if not data:
                return
            seen = seen[-_NOISE_BYTES:]

    def _begin(self, stream: str, rest: bytes, early: bytes) -> None:
        self._begun[stream] = True
        self._early[stream] = early
        if stream == "stderr" and rest.strip().isdigit():
            self.group = int(rest)

    async def _raw(self, stream: str, size: int) -> bytes:
        reader: Any = self._process.stdout if stream == "stdout" else self._process.stderr
        try:
            return bytes(await reader.read(size))
        except (asyncssh.Error, OSError):
            return b""

    def _refusal(self) -> SshError:
        if self._elevation.means in {Means.NONE, Means.IS_ROOT}:
            return no_shell(self._hop, self._noise)
        return refusal(self._hop, self._elevation, self._noise, self._process.exit_status)


async def _opened(
    connection: asyncssh.SSHClientConnection, hop: Hop, command: str
) -> "asyncssh.SSHClientProcess[bytes]":
    """A channel; where the host allows fewer at once than we use, as soon as one is free."""
    deadline = asyncio.get_running_loop().time() + _CHANNEL_S
    while True:
        try:
            return await connection.create_process(command, encoding=None)
        except asyncssh.ChannelOpenError:
            if connection.is_closed():
                raise lost(hop) from None
            if asyncio.get_running_loop().time() > deadline:
                raise no_channel(hop) from None
        except (asyncssh.Error, OSError):
            raise lost(hop) from None
        await asyncio.sleep(_CHANNEL_PAUSE_S)
