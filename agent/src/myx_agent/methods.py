"""The methods of the agent (DESIGN.md section 2): check, ask supervisor or spool, answer."""

import asyncio
import base64
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from myx_agent import __version__, facts, openrpc, playbooks, tool
from myx_agent.commands import spec
from myx_agent.commands.start import Starter, asked
from myx_agent.commands.supervisor import Supervisor
from myx_agent.config import Config
from myx_agent.jsonrpc import Dispatcher, RpcError
from myx_agent.spool import layout
from myx_agent.spool.clock import rfc3339
from myx_agent.spool.events import EventReader
from myx_agent.spool.reader import Final, LogReader, read_final
from myx_agent.spool.watch import Watches

MAX_WAIT_S = 30.0
DEFAULT_GRACE_S = 10.0
MAX_GRACE_S = 600.0
DEFAULT_READ_BYTES = 256 * 1024
MAX_READ_BYTES = 4 << 20
MAX_TEXT_BYTES = 64 * 1024
_CAPABILITIES = ("execute_ansible", "put_file", "upgrade", "rotate")

Offset = Annotated[int, msgspec.Meta(ge=0, le=1 << 61)]


class Methods:
    """Everything that a caller with the token may do."""

    def __init__(self, config: Config, supervisor: Supervisor, starter: Starter, watches: Watches) -> None:
        self._config = config
        self._supervisor = supervisor
        self._starter = starter
        self._watches = watches
        self._started = time.monotonic()
        self._commands = Path(config.spool_dir) / layout.COMMANDS
        self._bundle = _release()

    def open_log(self, command_id: str) -> LogReader:
        """The log of a command. Raises RpcError (-32602, -32002)."""
        spec.check_command_id(command_id)
        try:
            return LogReader(self.folder(command_id))
        except FileNotFoundError:
            raise not_found() from None

    def folder(self, command_id: str) -> Path:
        return self._commands / command_id

    async def learn_end(self, log: LogReader) -> None:
        """Ask for an end that the spool could not take. Else a log without one would seem to go on for ever."""
        final = await self._supervisor.unsaid_end(log.command_id)
        if final is not None and log.final() is None:
            log.end_as(final)

    async def health_check(self) -> dict[str, Any]:
        return {"status": "ok", "version": __version__, "uptime": self._uptime()}

    async def heartbeat(self, timestamp: float | None = None) -> dict[str, Any]:
        status = await asked(self._supervisor.status())
        return {
            "status": "ok",
            "timestamp": time.time() if timestamp is None else timestamp,
            "version": __version__,
            "running_commands": status["running"],
        }

    async def get_status(self) -> dict[str, Any]:
        status = await asked(self._supervisor.status())
        return {
            "version": __version__,
            "uptime": self._uptime(),
            **facts.collect(),
            "running_commands": status["ids"],
            "running_count": status["running"],
            "finished_count": status["finished"],
            "spool_bytes": status["used_bytes"],
            "capabilities": self._capabilities(status),
            "deployment_tool": tool.describe(Path(self._config.deployment_tool_dir)),
            "ansible": playbooks.version_of_ansible(self._config.ansible_dir),
            "bundle": self._bundle,
            "folders": self._folders(),
        }

    def _folders(self) -> dict[str, str]:
        """Where what is sent lies on this host."""
        names = ("deployment_tool", "staging", "files", "ansible", "upgrade")
        return {name: str(getattr(self._config, f"{name}_dir")) for name in names}

    async def get_port(self) -> dict[str, Any]:
        return {"rpc_port": self._config.rpc_port}

    async def execute_command(  # noqa: PLR0917 - the order is that of positional JSON-RPC parameters
        self,
        command: str,
        command_id: str,
        args: list[str] = [],  # noqa: B006 - only read: it becomes a field's default
        timeout: float | None = None,
        env: dict[str, str] = {},  # noqa: B006
        cwd: str | None = None,
        user: str | None = None,
        stdin: str | None = None,
        no_output_timeout: float | None = None,
        secret_env: dict[str, str] = {},  # noqa: B006
    ) -> dict[str, Any]:
        wish = spec.Wish(
            command=command,
            args=args,
            command_id=command_id,
            timeout=timeout,
            no_output_timeout=no_output_timeout,
            env=env,
            secret_env=secret_env,
            cwd=cwd,
            user=user,
            stdin=stdin,
        )
        document, stdin_bytes = spec.build(wish)
        return await self._starter.start(document, stdin_bytes)

    async def get_command_log(
        self,
        command_id: str,
        offset: Offset = 0,
        wait: float = 0,
        max_bytes: Annotated[int, msgspec.Meta(ge=1)] = DEFAULT_READ_BYTES,
        until: Literal["byte", "final"] = "byte",
    ) -> dict[str, Any]:
        spec.check_seconds("wait", wait)
        limit = min(max_bytes, MAX_READ_BYTES)
        with self.open_log(command_id) as log:
            await self._wait_for_log(log, command_id, offset, min(wait, MAX_WAIT_S), limit if until == "final" else 1)
            if log.final() is None and log.size() <= offset:
                await self.learn_end(log)
            final = log.final()
            size = log.size() if final is None else final.kept
            run = log.read(offset, limit, size)
            if run is not None:
                return self._log_answer(run.data, run.stream, offset + len(run.data), log)
            if final is None:
                if offset > size:
                    raise beyond_end(size)
                return self._log_answer(b"", layout.STDOUT, offset, log)
            if final.gap is not None and final.gap["from"] <= offset < final.gap["to"]:
                return self._log_answer(b"", layout.STDOUT, final.gap["to"], log) | {
                    "gap": final.gap | {"from": offset}
                }
            if offset != final.end:
                raise beyond_end(final.end)
            return self._log_answer(b"", layout.STDOUT, offset, log)

    async def cancel_command(
        self,
        command_id: str,
        grace: float | None = None,
        forbid: bool = False,
    ) -> dict[str, Any]:
        spec.check_command_id(command_id)
        spec.check_seconds("grace", grace)
        grace_s = DEFAULT_GRACE_S if grace is None else min(grace, MAX_GRACE_S)
        wish: dict[str, Any] = {"id": command_id, "grace_s": grace_s} | ({"forbid": True} if forbid else {})
        answer = await asked(self._supervisor.call("cancel", **wish))
        return {"command_id": command_id, "state": answer["state"]}

    async def list_commands(self) -> dict[str, Any]:
        return {"commands": await asyncio.to_thread(lambda: list(_list(self._commands)))}

    async def release_command(self, command_id: str) -> dict[str, Any]:
        spec.check_command_id(command_id)
        await asked(self._supervisor.call("release", id=command_id))
        return {"command_id": command_id, "released": True}

    async def discover(self) -> dict[str, Any]:
        return openrpc.document(__version__)

    def result_of(self, command_id: str, final: Final) -> dict[str, Any]:
        """The public result, with the text of small outputs (base64) for callers of the seed's form."""
        result = dict(final.result)
        for stream, name in enumerate(layout.STREAMS, start=1):
            if result[name]["bytes"] <= MAX_TEXT_BYTES and result[name]["dropped"] == 0:
                result[f"{name}_text"] = base64.b64encode(self._stream_bytes(command_id, stream, final.kept)).decode()
        with EventReader(self.folder(command_id)) as events:
            recap = events.recap()
        return result if recap is None else result | {"recap": recap}

    async def _wait_for_log(self, log: LogReader, command_id: str, offset: int, wait_s: float, least: int) -> None:
        """Return when the log ended, or holds `least` bytes from `offset` on, or the time is over."""
        deadline = time.monotonic() + wait_s
        if wait_s <= 0 or log.final() is not None or log.size() >= offset + least:
            return
        with self._watches.watch(self.folder(command_id) / layout.LOG) as waiter:
            while (left_s := deadline - time.monotonic()) > 0 and not self._watches.stopping:
                waiter.clear()
                if log.final() is not None or log.size() >= offset + least:
                    return
                await waiter.wait(left_s)

    def _log_answer(self, data: bytes, stream: int, new_offset: int, log: LogReader) -> dict[str, Any]:
        final = log.final()
        is_final = final is not None and new_offset == final.end
        return {
            "log_data": base64.b64encode(data).decode(),
            "log_type": layout.STREAMS[stream - 1],
            "new_offset": new_offset,
            "is_final": is_final,
            "result": self.result_of(log.command_id, final) if is_final and final is not None else None,
        }

    def _stream_bytes(self, command_id: str, stream: int, kept: int) -> bytes:
        pieces = []
        try:
            with LogReader(self.folder(command_id)) as log:
                offset = 0
                while (run := log.read(offset, MAX_TEXT_BYTES, kept)) is not None:
                    offset += len(run.data)
                    if run.stream == stream:
                        pieces.append(run.data)
        except FileNotFoundError:
            pass
        return b"".join(pieces)

    def _capabilities(self, status: dict[str, Any]) -> list[str]:
        found = ["execute_command", "log_stream", "signature", *_CAPABILITIES]
        if status["has_cgroups"]:
            found.append("cgroup")
        if os.geteuid() == 0:
            found.append("run_as_user")
        return found

    def _uptime(self) -> float:
        return round(time.monotonic() - self._started, 3)


def register(dispatcher: Dispatcher, providers: Sequence[object]) -> None:
    """Add every method of the table; each is a member of one of the providers."""
    for name in openrpc.METHODS:
        member = "discover" if name == "rpc.discover" else name
        dispatcher.add(name, next(getattr(one, member) for one in providers if hasattr(one, member)))


def _release() -> dict[str, Any] | None:
    """RELEASE.json of the release that runs; None of an agent that was not installed from a bundle."""
    text = layout.read_whole(str(Path(sys.prefix) / "RELEASE.json"))
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        return None if text is None else msgspec.json.decode(text, type=dict[str, Any])
    return None


def not_found() -> RpcError:
    return RpcError(-32002, "no such command", "COMMAND_NOT_FOUND")


def beyond_end(end: int) -> RpcError:
    return RpcError(-32003, "the offset is beyond the end of the log", "OFFSET_BEYOND_END", end=end)


def _list(commands: Path) -> Iterator[dict[str, Any]]:
    boot = layout.boot_id()
    for folder in sorted(commands.iterdir()):
        with contextlib.suppress(OSError, ValueError):  # a broken folder must not hide the others
            meta = layout.read_whole(f"{folder}/{layout.META}")
            pid = layout.read_whole(f"{folder}/{layout.PID}")
            if meta is not None and pid is not None:
                command = (layout.parse_document(meta) or {}).get("command", "")
                yield {"command_id": folder.name, "command": command} | _state(folder, pid, boot)


def _state(folder: Path, pid: bytes, boot: str) -> dict[str, Any]:
    """What a list says of a command. One of an earlier boot has ended, though a full disk may not let it be written."""
    final = read_final(f"{folder}/{layout.RESULT}")
    if final is not None:
        names = ("started_at", "ended_at", "return_code", "reason")
        return {"state": final.state, "log_size": final.end} | {name: final.result[name] for name in names}
    log = folder / layout.LOG
    size = log.stat().st_size if log.exists() else 0
    record = layout.parse_pid_record(pid)
    entry = {"started_at": None if record is None else rfc3339(record.started_at), "ended_at": None, "log_size": size}
    if record is None or record.boot_id == boot:
        return entry | {"state": "running"}
    state = "lost" if record.executed or size else "unknown"
    return entry | {"state": state, "return_code": None, "reason": state}
