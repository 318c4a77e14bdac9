"""One connection to a host, through its jump hosts: commands, uploads, root."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncssh

from myx_executor.adapters.ssh_end import PROVED, end_command
from myx_executor.adapters.ssh_errors import where
from myx_executor.adapters.ssh_process import RemoteProcess
from myx_executor.adapters.ssh_put import Upload
from myx_executor.adapters.ssh_root import Elevation, Means, root_needed
from myx_executor.domain.ssh import Hop, RemoteTimeout, RootRefused, RunResult, SshError, SudoMode

# sshd's MaxSessions is 10 by default; two are kept for killing and for SFTP.
_MAX_CHANNELS = 8
_PROBE_S = 30.0
_KILL_S = 10.0
# Until a dead connection is given up (see ssh: keep-alives): a short cut is over by then.
_PROOF_S = 30.0
# What commands left behind may tidy up for so long.
_FLED_S = 5.0
_CLOSE_S = 3.0


class SshSession:
    """One connection to a host; made by SshConnector."""

    def __init__(self, hop: Hop, connections: Sequence[asyncssh.SSHClientConnection]) -> None:
        self._hop = hop
        self._connections = list(connections)
        self._connection = self._connections[-1]
        self._channels = asyncio.Semaphore(_MAX_CHANNELS)
        self._killers = asyncio.Semaphore(1)
        self._root: Elevation | None = None
        # Begins the marks of all commands of this session; what is open or doubtful is known by its mark.
        self._mark = secrets.token_hex(8)
        self._open: dict[str, asyncio.Task[RemoteProcess]] = {}
        self._ends: set[asyncio.Task[None]] = set()
        # Broken off and not proved to be gone: its process group, 0 when even that is not known.
        self._doubtful: dict[str, int] = {}

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

        Output beyond the bound is dropped. RemoteTimeout (it says whether it was killed), SessionLost, RootRefused.
        """
        try:
            async with self.process(command, as_root=as_root) as process, asyncio.timeout(timeout_s):
                return await _finished(process, stdin, max_output)
        except TimeoutError:
            end = "could not be ended: it may still run there" if process.mark in self._doubtful else "was killed"
            raise RemoteTimeout(
                "SSH_TIMEOUT",
                f"a command on {where(self._hop)} took longer than {timeout_s:g} s and {end}",
                "see what the host is busy with, then run it again",
                host=self._hop.name,
            ) from None

    @asynccontextmanager
    async def process(self, command: Sequence[str] | str, *, as_root: bool = True) -> AsyncIterator[RemoteProcess]:
        """A command whose streams the caller works; killed when the caller leaves by an error or early."""
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        elevation = await self._elevation(as_root=as_root)
        async with self._channels:
            mark = self._mark + secrets.token_hex(8)
            # A task of its own: what is broken off while it starts may run on the host all the same.
            starting = asyncio.create_task(self._start(elevation, argv, mark), name="start")
            self._open[mark] = starting
            try:
                yield await asyncio.shield(starting)
            finally:
                del self._open[mark]
                if not _has_failed(starting):
                    await asyncio.shield(self._ending(mark, starting))

    async def end(self, *, everything: bool) -> bool:
        """Ends what was broken off here (`everything`: also what commands left behind that ended themselves).

        Whether it is proved that nothing of it is left on the host, or False within a minute.
        """
        if self._ends:
            await asyncio.wait(self._ends)
        if not everything and not self._doubtful:
            return True
        groups = list(self._doubtful.values())
        if self.closed or any(group <= 1 for group in groups):
            return False
        proved = await self._ended(await self._elevation(as_root=True), self._mark, groups, _FLED_S, _PROOF_S)
        if proved:
            self._doubtful.clear()
        return proved

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
        for mark, starting in self._open.items():
            self._ending(mark, starting)
        if self._ends:
            await asyncio.wait(self._ends)
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
                process = await self._start(elevation, ["id", "-u"], _own_mark())
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

    async def _start(self, elevation: Elevation, argv: Sequence[str], mark: str) -> RemoteProcess:
        return await RemoteProcess.start(self._connection, self._hop, elevation, argv, mark)

    def _ending(self, mark: str, starting: asyncio.Task[RemoteProcess]) -> asyncio.Task[None]:
        self._doubtful[mark] = 0
        ending = asyncio.create_task(self._end(mark, starting), name="end")
        self._ends.add(ending)
        ending.add_done_callback(self._ends.discard)
        return ending

    async def _end(self, mark: str, starting: asyncio.Task[RemoteProcess]) -> None:
        """Ends a command that has not ended, with all that it started; it stays doubtful unless that is proved."""
        process = None
        with suppress(SshError, TimeoutError):
            async with asyncio.timeout(_KILL_S):
                process = await starting
                if not process.ended:
                    await process.learn_group()
        if process is None:
            return
        self._doubtful[mark] = process.group
        if process.ended or (
            process.group > 1 and await self._ended(process.elevation, mark, [process.group], process.grace_s)
        ):
            self._doubtful.pop(mark, None)
        process.close()

    async def _ended(
        self, elevation: Elevation, mark: str, groups: Sequence[int], grace_s: float = 0.0, limit_s: float = 0.0
    ) -> bool:
        with suppress(SshError, TimeoutError):
            async with asyncio.timeout(limit_s or _KILL_S + 2 * grace_s), self._killers:
                killer = await self._start(elevation, end_command(mark, groups, grace_s), _own_mark())
                try:
                    return (await _finished(killer, b"", 1024)).text == PROVED
                finally:
                    killer.close()
        return False


def _has_failed(starting: asyncio.Task[RemoteProcess]) -> bool:
    return starting.done() and (starting.cancelled() or starting.exception() is not None)


def _own_mark() -> str:
    """That of a command which ends others, or is there before them."""
    return secrets.token_hex(12)


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
