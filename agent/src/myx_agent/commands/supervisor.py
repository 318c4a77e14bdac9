"""The agent's hold on its supervisor: starts it when nobody answers, replaces it when it is of another release.

A supervisor outlives the agent that started it: after an upgrade, or after a rollback, it is of another release. It is
kept while it has commands: what has proved itself ends them. Without commands it gives way to ours.
"""

import asyncio
import contextlib
import ctypes
import functools
import hashlib
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from myx_agent.commands.client import Connection, ConnectionClosed, SupervisorAway, SupervisorError, connect
from myx_agent.commands.holds import Holds
from myx_agent.commands.programs import Programs
from myx_agent.config import Config
from myx_agent.spool import layout
from myx_agent.spool.reader import Final, final_of

_PR_SET_CHILD_SUBREAPER = 36
_READY_TIMEOUT_S = 15.0
_QUIT_TIMEOUT_S = 5.0
_GLANCE_S = 1.0
# Adopting large logs takes a while; beyond this it hangs, and may be of a release that was put back.
_PATIENCE_S = 60.0
_MAX_LOG_BYTES = 256 * 1024
_RESTART_PAUSES_S = (0.0, 0.2, 1.0, 5.0, 15.0)
_MAX_KEPT_STATUSES = 4096
_PACKAGE = Path(__file__).resolve().parent.parent
_log = logging.getLogger("myx_agent.supervisor")


class Supervisor:
    """Requests to the supervisor of one spool. Keeps it running as long as the agent does."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._spool = Path(config.spool_dir)
        self._connection: Connection | None = None
        self._starting = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._statuses: dict[int, int] = {}
        self._pid = 0
        self._held_tasks: set[asyncio.Task[None]] = set()
        self._quitting = False
        self._holds = Holds(self._spool)
        self._is_of_another_release = False
        self.programs = Programs()

    async def start(self) -> None:
        """Make the spool, become the heir of orphans, connect. Raises OSError, SupervisorAway."""
        (self._spool / layout.COMMANDS).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._spool.chmod(0o700)
        # When a supervisor is killed its commands become our children, so that their exit codes are not lost.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)
        await self._connect()
        self._keeper = asyncio.create_task(self._keep(), name="supervisor-keeper")

    async def stop(self) -> None:
        """Let go of the supervisor; it and its commands run on."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._holds.close()

    async def quit(self) -> None:
        """End a supervisor that has no running commands, and wait until it is gone."""
        self._quitting = True
        connection = await self._connect()
        await connection.call({"op": "quit"})
        async with asyncio.timeout(_QUIT_TIMEOUT_S):
            await connection.closed.wait()

    async def start_command(self, command_id: str, fds: Sequence[int]) -> dict[str, Any]:
        """Start a command from its specification (and stdin). Raises SupervisorAway, SupervisorError."""
        answer = await self.call("start", fds)
        self._holds.hold(command_id)
        return answer

    async def status(self) -> dict[str, Any]:
        """What the supervisor says of itself. Raises SupervisorAway."""
        self._holds.sweep()
        status = await self.call("status")
        if self._is_of_another_release and not status["running"]:
            await self._renew()
            status = await self.call("status")
        return status

    async def unsaid_end(self, command_id: str) -> Final | None:
        """The end of a command that the spool could not take (full, broken); None when there is none to be had."""
        connection = self._connection
        if connection is None or not connection.open:
            return None  # a log is read without a supervisor too: none is started, or waited for, on its account
        with contextlib.suppress(SupervisorAway, SupervisorError, OSError, TimeoutError):
            async with asyncio.timeout(_GLANCE_S):
                record = (await connection.call({"op": "end", "id": command_id})).get("end")
            return None if record is None else final_of(record)
        return None

    async def call(self, op: str, fds: Sequence[int] = (), **params: Any) -> dict[str, Any]:
        """One request, asked again when the supervisor ends meanwhile. Raises SupervisorAway, SupervisorError."""
        connection = await self._connect()
        try:
            return await connection.call({"op": op, **params}, fds)
        except ConnectionClosed:
            connection = await self._connect()
            return await connection.call({"op": op, **params}, fds)

    async def _connect(self) -> Connection:
        if self._connection is not None and self._connection.open:
            return self._connection
        async with self._starting:
            if self._connection is not None and self._connection.open:
                return self._connection
            connection = await self._update(await self._reach())
            self._connection = connection
            self._holds.hold_all()
            await self._tell_statuses(connection)
            return connection

    async def _reach(self) -> Connection:
        """A connection to a supervisor that answers; one that hangs is killed, its commands are adopted."""
        with contextlib.suppress(OSError):
            connection = self._attach()
            try:
                await connection.call({"op": "status"}, timeout_s=_PATIENCE_S)
            except ConnectionClosed:
                pass  # it has just ended
            except SupervisorAway:
                _log.error("the supervisor hangs: starting another one")
                await _kill(connection.peer_pid)
            else:
                return connection
        return await self._spawned()

    async def _spawned(self) -> Connection:
        """A connection to a supervisor that was started just now."""
        await self._spawn()
        try:
            return self._attach()
        except OSError as error:
            raise SupervisorAway(str(error)) from None

    async def _renew(self) -> None:
        """Have a supervisor of another release, now idle, give way to ours."""
        async with self._starting:
            connection = self._connection
            if connection is not None and connection.open and self._is_of_another_release:
                self._connection = await self._update(connection)

    def _attach(self) -> Connection:
        return Connection(connect(self._spool), self._on_lost)

    def _on_lost(self) -> None:
        self._holds.hold_all()  # also of a command that was being started: nothing that it prints may go
        self._lost.set()

    async def _update(self, connection: Connection) -> Connection:
        """Replace a supervisor of other code or limits in place; one of other code only when it has no commands."""
        status = await connection.call({"op": "status"})
        self._pid = status["pid"]
        wanted = self._options()
        other = {key for key in wanted if key != "spool" and wanted[key] != status.get(key)}
        self._is_of_another_release = "code" in other
        if not other or (self._is_of_another_release and status["running"]):
            return connection
        self._is_of_another_release = False
        _log.info("replacing the supervisor: its code or limits are not ours")
        await connection.call({"op": "replace", "argv": [*_argv(), json.dumps(wanted)]})
        connection.close()
        self._lost.clear()
        # Its new code may end before it listens, or before it answers.
        with contextlib.suppress(SupervisorAway, OSError):
            fresh = self._attach()
            status = await fresh.call({"op": "status"}, timeout_s=_READY_TIMEOUT_S)
            return fresh
        return await self._spawned()

    def _options(self) -> dict[str, Any]:
        config = self._config
        limits = {
            "command_bytes": config.command_log_bytes,
            "total_bytes": config.total_log_bytes,
            "min_free_bytes": config.min_free_bytes,
            "max_finished": config.max_finished,
            "max_age_s": config.max_age_s,
            "max_running": config.max_running,
        }
        return {"spool": str(self._spool), "limits": limits, "cgroups": config.use_cgroups, "code": code_digest()}

    async def _spawn(self) -> None:
        """Start a supervisor in a session of its own and wait until it listens, or another one has the spool."""
        reader, writer = os.pipe()
        log = self._spool / "supervisor.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > _MAX_LOG_BYTES:
                flags |= os.O_TRUNC
        options = json.dumps(self._options() | {"ready_fd": 3})
        environment = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "TZ") if key in os.environ}
        try:
            self._pid = os.posix_spawn(  # noqa: ASYNC221 - returns at once
                sys.executable,
                [*_argv(), options],
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, str(log), flags, 0o600),
                    (os.POSIX_SPAWN_DUP2, writer, 3),
                ],
                setsid=True,
            )
        finally:
            os.close(writer)
        try:
            await _wait_readable(reader, _READY_TIMEOUT_S)
        finally:
            os.close(reader)

    async def _keep(self) -> None:
        """Bring the supervisor back whenever its connection breaks: it enforces the time limits."""
        failures = 0
        while True:
            await self._lost.wait()
            self._lost.clear()
            if self._quitting:
                return
            await asyncio.sleep(_RESTART_PAUSES_S[min(failures, len(_RESTART_PAUSES_S) - 1)])
            try:
                await self._connect()
                failures = 0
            except (OSError, SupervisorAway) as error:
                failures += 1
                _log.error("the supervisor does not come up: %s", error)
                self._lost.set()

    def _reap(self) -> None:
        """Collect children: a supervisor that ended, and commands that a killed one left to us."""
        fresh = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if not self.programs.ended(pid, status) and pid != self._pid:
                self._statuses[pid] = status
                fresh = True
                if len(self._statuses) > _MAX_KEPT_STATUSES:
                    del self._statuses[next(iter(self._statuses))]
        connection = self._connection
        if fresh and connection is not None and connection.open:
            task = asyncio.create_task(self._tell_statuses(connection), name="tell-statuses")
            self._held_tasks.add(task)
            task.add_done_callback(self._held_tasks.discard)

    async def _tell_statuses(self, connection: Connection) -> None:
        """Pass on the exit statuses of commands whose supervisor was killed."""
        statuses, self._statuses = self._statuses, {}
        for pid, status in statuses.items():
            with contextlib.suppress(SupervisorAway):
                await connection.call({"op": "reaped", "pid": pid, "status": status})


@functools.cache
def code_digest() -> str:
    """What tells one supervisor's code from another's: the digest of its modules and of the interpreter's version."""
    digest = hashlib.sha256(sys.version.encode())
    for folder in ("supervisor", "spool"):
        for path in sorted((_PACKAGE / folder).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _argv() -> list[str]:
    return [sys.executable, "-I", "-S", str(_PACKAGE / "supervisor")]


async def _kill(pid: int) -> None:
    """Kill a process and wait until it is gone. Raises OSError, SupervisorAway when it does not go."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        await _wait_readable(pidfd, _READY_TIMEOUT_S)
    finally:
        os.close(pidfd)


async def _wait_readable(fd: int, timeout_s: float) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def on_readable() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, on_readable)
    try:
        async with asyncio.timeout(timeout_s):
            await ready
    except TimeoutError:
        raise SupervisorAway("the supervisor did not get ready, or did not end, in time") from None
    finally:
        loop.remove_reader(fd)
