"""One connection to a host, through its jump hosts: commands, uploads, root."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncssh

from myx_executor.adapters.ssh_errors import where
from myx_executor.adapters.ssh_process import RemoteProcess
from myx_executor.adapters.ssh_put import Upload
from myx_executor.adapters.ssh_root import Elevation, Means, root_needed
from myx_executor.domain.ssh import Hop, RemoteTimeout, RootRefused, RunResult, SessionLost, SudoMode

# sshd's MaxSessions is 10 by default; two are kept for killing and for SFTP.
_MAX_CHANNELS = 8
_PROBE_S = 30.0
_KILL_S = 10.0
_CLOSE_S = 3.0
_SIGNALS = frozenset({"TERM", "KILL", "INT"})


class SshSession:
    """One connection to a host; made by SshConnector."""

    def __init__(self, hop: Hop, connections: Sequence[asyncssh.SSHClientConnection]) -> None:
        self._hop = hop
        self._connections = list(connections)
        self._connection = self._connections[-1]
        self._channels = asyncio.Semaphore(_MAX_CHANNELS)
        self._killers = asyncio.Semaphore(1)
        self._root: Elevation | None = None
        self._open: set[RemoteProcess] = set()

    @property
    def hop(self) -> Hop:
        """The host's login."""
        return self._hop

    @property
    def closed(self) -> bool:
        """Whether the connection is gone."""
        return bool(self._connection.is_closed())

    async def become_root(self) -> None:
        """Finds the way to root that the login's mode allows, once. RootRefused."""
        self._root = await self._way_to_root()

    async def run(
        self,
        command: Sequence[str] | str,
        *,
        stdin: bytes = b"",
        timeout_s: float = 60.0,
        as_root: bool = True,
        max_output: int = 1 << 20,
    ) -> RunResult:
        """Runs a program (argv) or a shell script (str), as root unless told otherwise.

        Output beyond the bound is dropped. RemoteTimeout (it was killed), SessionLost, RootRefused.
        """
        async with self.process(command, as_root=as_root) as process:
            try:
                async with asyncio.timeout(timeout_s):
                    return await _finished(process, stdin, max_output)
            except TimeoutError:
                await self.kill(process)
                raise RemoteTimeout(
                    "SSH_TIMEOUT",
                    f"a command on {where(self._hop)} took longer than {timeout_s:g} s and was killed",
                    "see what the host is busy with, then run it again",
                    host=self._hop.name,
                ) from None

    @asynccontextmanager
    async def process(self, command: Sequence[str] | str, *, as_root: bool = True) -> AsyncIterator[RemoteProcess]:
        """A command whose streams the caller works; killed when the caller leaves by an error or early."""
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        elevation = await self._elevation(as_root=as_root)
        async with self._channels:
            process = await RemoteProcess.start(self._connection, self._hop, elevation, argv)
            self._open.add(process)
            try:
                yield process
            finally:
                self._open.discard(process)
                if not process.ended:
                    await asyncio.shield(self.kill(process))
                process.close()

    async def kill(self, process: RemoteProcess, signal: str = "KILL") -> None:
        """Ends a command with all of its process group, as root where that is needed; never raises for what is gone."""
        if signal not in _SIGNALS:
            raise ValueError(signal)
        if process.ended or self.closed:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_KILL_S):
                await process.learn_group()
        if process.group > 1:
            with suppress(SessionLost, RootRefused, TimeoutError):
                async with asyncio.timeout(_KILL_S), self._killers:
                    await self._signal_group(process, signal)
        if signal == "KILL":
            process.close()

    async def put(self, source: bytes | Path, remote: str, *, mode: int = 0o600, timeout_s: float = 600.0) -> None:
        """Makes `remote` (absolute; parents 755) that file, owned by root, in one rename, with its digest checked.

        An interrupted upload of the same content goes on where it was; one that is there already is left alone.
        RemoteFailed, RemoteTimeout, SessionLost.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await Upload(self, source, remote, mode).run()
        except TimeoutError:
            raise RemoteTimeout(
                "SSH_TIMEOUT",
                f"the upload to {where(self._hop)} took longer than {timeout_s:g} s",
                "run it again: the upload goes on where it was",
                host=self._hop.name,
            ) from None

    @asynccontextmanager
    async def sftp(self) -> AsyncIterator[asyncssh.SFTPClient]:
        """SFTP as the login's user."""
        async with self._channels, self._connection.start_sftp_client() as client:
            yield client

    @property
    def is_root(self) -> bool:
        """Whether the login itself is root."""
        return self._root is not None and self._root.means is Means.IS_ROOT

    async def close(self) -> None:
        """Ends commands that run, and the connections of all hops."""
        await asyncio.gather(*(self.kill(process) for process in list(self._open)), return_exceptions=True)
        for connection in reversed(self._connections):
            connection.close()
            with suppress(asyncssh.Error, OSError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await connection.wait_closed()
            connection.abort()

    async def __aenter__(self) -> "SshSession":
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(self.close())

    async def _elevation(self, *, as_root: bool) -> Elevation:
        if not as_root:
            return Elevation(Means.NONE)
        self._root = self._root or await self._way_to_root()
        return self._root

    async def _way_to_root(self) -> Elevation:
        mode = self._hop.sudo
        if mode is not SudoMode.ALWAYS and (await self._uid(Elevation(Means.IS_ROOT))) == 0:
            return Elevation(Means.IS_ROOT)
        if mode is SudoMode.NEVER:
            raise root_needed(self._hop)
        try:
            await self._uid(Elevation(Means.SUDO))
        except RootRefused as refused:
            password = self._hop.sudo_password or self._hop.password
            if refused.reason != "SUDO_PASSWORD_NEEDED" or not password:
                raise
        else:
            return Elevation(Means.SUDO)
        elevation = Elevation(Means.SUDO_PASSWORD, password)
        await self._uid(elevation)
        return elevation

    async def _uid(self, elevation: Elevation) -> int:
        try:
            async with asyncio.timeout(_PROBE_S):
                process = await RemoteProcess.start(self._connection, self._hop, elevation, ["id", "-u"])
                try:
                    result = await _finished(process, b"", 1024)
                finally:
                    process.close()
        except TimeoutError:
            raise RemoteTimeout(
                "SSH_TIMEOUT",
                f"{where(self._hop)} let {self._hop.user} in, but did not run `id -u` within {_PROBE_S:g} s",
                "see what the host is busy with, and whether the login's shell, PAM or sudo waits for something there",
                host=self._hop.name,
            ) from None
        text = result.text.strip()
        return int(text) if re.fullmatch(r"\d{1,10}", text) else -1

    async def _signal_group(self, process: RemoteProcess, signal: str) -> None:
        elevation = process.elevation
        argv = ["/bin/sh", "-c", f"kill -{signal} -{process.group}"]
        killer = await RemoteProcess.start(self._connection, self._hop, elevation, argv)
        try:
            await _finished(killer, b"", 1024)
        finally:
            killer.close()


async def _finished(process: RemoteProcess, stdin: bytes, max_output: int) -> RunResult:
    async def feed() -> None:
        if stdin:
            await process.write(stdin)
        process.write_eof()

    feeder = asyncio.ensure_future(feed())
    try:
        out, err = await asyncio.gather(_kept(process, "stdout", max_output), _kept(process, "stderr", max_output))
        code, signal = await process.wait()
    finally:
        feeder.cancel()
    return RunResult(code, out, err, signal)


async def _kept(process: RemoteProcess, stream: str, limit: int) -> bytes:
    kept = bytearray()
    while data := await process.read(stream):
        kept += data[: max(0, limit - len(kept))]
    return bytes(kept)
