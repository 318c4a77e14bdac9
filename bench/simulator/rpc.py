"""The agent's JSON-RPC methods over played commands; a batch is worked off in order, as by the real agent."""

import asyncio
import base64
import hashlib
import json
import math
import platform
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from bench.simulator.commands import Command, Ticker
from bench.simulator.fleet_file import Identity
from bench.simulator.scripts import play
from myx_agent.commands.spec import check_command_id, check_seconds
from myx_agent.jsonrpc import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, RpcError, invalid_param
from myx_agent.methods import DEFAULT_READ_BYTES, MAX_READ_BYTES, MAX_WAIT_S, beyond_end, not_found

VERSION = "0.1.0+sim"
MAX_BATCH = 100
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_STREAMS = {1: "stdout", 2: "stderr"}

Answers = Callable[[bytes | None], None]


@dataclass(frozen=True, slots=True)
class Later:
    """A result that is there when the log has grown, or the time is over."""

    command: Command
    is_due: Callable[[], bool]
    wait_s: float
    result: Callable[[], dict[str, Any]]


class Marks:
    """What was really carried out in this process: how often, and what was carried out twice."""

    def __init__(self) -> None:
        self.started = 0
        self.doubled: list[str] = []
        self._seen: set[str] = set()

    def note(self, command_id: str) -> None:
        """It begins to run."""
        self.started += 1
        if command_id in self._seen:
            self.doubled.append(command_id)
        self._seen.add(command_id)


class Methods:
    """One agent's state, and what it answers."""

    __slots__ = (
        "_boot_id",
        "_commands",
        "_marks",
        "_released",
        "_started",
        "_ticker",
        "identity",
        "machine_id",
        "skew_s",
    )

    def __init__(self, identity: Identity, ticker: Ticker, marks: Marks) -> None:
        self.identity = identity
        self.machine_id = hashlib.sha256(identity.name.encode()).hexdigest()[:32]
        self.skew_s = 0.0
        self._boot_id = str(uuid.uuid4())
        self._started = time.monotonic()
        self._ticker = ticker
        self._marks = marks
        self._commands: dict[str, Command] = {}
        self._released: set[str] = set()

    def reboot(self) -> None:
        """The host starts anew: what ran is lost."""
        self._boot_id = str(uuid.uuid4())
        self._started = time.monotonic()
        for command in list(self._commands.values()):
            command.end(None, "lost", "the outcome is not to be had: the host was rebooted")

    def now_s(self) -> float:
        """The host's clock."""
        return time.time() + self.skew_s

    def command(self, command_id: str) -> Command:
        """A command that is kept. RpcError."""
        check_command_id(command_id)
        found = self._commands.get(command_id)
        if found is None:
            raise not_found()
        return found

    def handle(self, body: bytes, answer: Answers) -> None:
        """Calls `answer` with the answer to a request body, now or later; None for notifications only."""
        try:
            document = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            answer(_encode(_error(None, RpcError(PARSE_ERROR))))
            return
        if not isinstance(document, list):
            self._work_off([document], 0, [], lambda found: answer(_encode(found[0]) if found else None))
        elif not document:
            answer(_encode(_error(None, RpcError(INVALID_REQUEST))))
        elif len(document) > MAX_BATCH:
            error = RpcError(INVALID_REQUEST, f"a batch may hold {MAX_BATCH} calls", "BATCH_TOO_LARGE")
            answer(_encode(_error(None, error)))
        else:
            self._work_off(document, 0, [], lambda found: answer(_encode(found) if found else None))

    def _work_off(
        self, items: list[Any], index: int, found: list[dict[str, Any]], done: Callable[[list[dict[str, Any]]], None]
    ) -> None:
        while index < len(items):
            item = items[index]
            index += 1
            result = self._result(item)
            if isinstance(result, Later):

                def go_on(later: Later = result, item: Any = item, index: int = index) -> None:
                    _add(found, item, _guarded(later.result))
                    self._work_off(items, index, found, done)

                _when(result, go_on)
                return
            _add(found, item, result)
        done(found)

    def _result(self, item: Any) -> Any:
        if not isinstance(item, dict) or item.get("jsonrpc") != "2.0" or not _is_id(item.get("id")):
            return RpcError(INVALID_REQUEST)
        name, params = item.get("method"), item.get("params", {})
        if not isinstance(name, str) or not isinstance(params, dict | list):
            return RpcError(INVALID_REQUEST)
        method = _METHODS.get(name)
        if method is None:
            return RpcError(METHOD_NOT_FOUND)
        function, names = method
        if isinstance(params, list):
            if len(params) > len(names):
                return RpcError(INVALID_PARAMS, "Invalid params: too many positional parameters")
            params = dict(zip(names, params, strict=False))
        if unknown := params.keys() - set(names):
            return RpcError(INVALID_PARAMS, "Invalid params: unknown field", field=min(unknown))
        return _guarded(lambda: function(self, params))

    def _health_check(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"status": "ok", "version": VERSION, "uptime": self._uptime()}

    def _heartbeat(self, params: dict[str, Any]) -> dict[str, Any]:
        timestamp = params.get("timestamp")
        running = sum(1 for one in self._commands.values() if one.result is None)
        return {
            "status": "ok",
            "timestamp": self.now_s() if timestamp is None else timestamp,
            "version": VERSION,
            "running_commands": running,
        }

    def _get_status(self, _: dict[str, Any]) -> dict[str, Any]:
        running = sorted(one.id for one in self._commands.values() if one.result is None)
        size = sum(one.size for one in self._commands.values())
        return _HOST | {
            "uptime": self._uptime(),
            "hostname": self.identity.name,
            "host_uptime": self._uptime() + 3600.0,
            "machine_id": self.machine_id,
            "boot_id": self._boot_id,
            "time": self.now_s(),
            "running_commands": running,
            "running_count": len(running),
            "finished_count": len(self._commands) - len(running),
            "spool_bytes": size,
        }

    def _get_port(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"rpc_port": self.identity.rpc_port}

    def _execute_command(self, params: dict[str, Any]) -> dict[str, Any]:
        command_id, argv = _text(params, "command_id"), [_text(params, "command"), *params.get("args", [])]
        check_command_id(command_id)
        if not argv[0]:
            raise invalid_param("command", "must not be empty")
        clocks = params.get("timeout"), params.get("no_output_timeout")
        for name, value in zip(("timeout", "no_output_timeout"), clocks, strict=True):
            check_seconds(name, value)
        digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
        known = self._commands.get(command_id)
        if known is not None:
            if known.digest != digest:
                message = "this command_id belongs to a command with other arguments"
                raise RpcError(-32001, message, "COMMAND_CONFLICT")
            return {"status": _state(known), "command_id": command_id, "existing": True}
        if command_id in self._released:
            message = "a command with this command_id has ended and was released"
            raise RpcError(-32001, message, "COMMAND_RELEASED")
        command = Command(command_id, argv[0], digest, play(argv), self._ticker)
        self._commands[command_id] = command
        self._marks.note(command_id)
        command.start(*clocks)
        return {"status": "running", "command_id": command_id, "existing": False}

    def _get_command_log(self, params: dict[str, Any]) -> dict[str, Any] | Later:
        offset, wait_s = params.get("offset", 0), params.get("wait", 0)
        limit = min(params.get("max_bytes", DEFAULT_READ_BYTES), MAX_READ_BYTES)
        if not isinstance(offset, int) or offset < 0:
            raise invalid_param("offset", "must be a whole number, not negative")
        check_seconds("wait", wait_s)
        command = self.command(_text(params, "command_id"))
        least = limit if params.get("until", "byte") == "final" else 1

        def is_due() -> bool:
            return command.result is not None or command.size >= offset + least

        def page() -> dict[str, Any]:
            return log_page(command, offset, limit)

        if wait_s <= 0 or is_due():
            return page()
        return Later(command, is_due, min(wait_s, MAX_WAIT_S), page)

    def _cancel_command(self, params: dict[str, Any]) -> dict[str, Any]:
        check_seconds("grace", params.get("grace"))
        command_id = _text(params, "command_id")
        check_command_id(command_id)
        if params.get("forbid") and command_id not in self._commands:
            self._released.add(command_id)
            return {"command_id": command_id, "state": "forbidden"}
        command = self.command(command_id)
        state = _state(command)
        command.end(None, "cancelled")
        return {"command_id": command.id, "state": state}

    def _list_commands(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"commands": [_entry(self._commands[name]) for name in sorted(self._commands)]}

    def _release_command(self, params: dict[str, Any]) -> dict[str, Any]:
        command_id = _text(params, "command_id")
        check_command_id(command_id)
        known = self._commands.get(command_id)
        if known is not None:
            if known.result is None:
                raise RpcError(-32004, "the command is still running", "COMMAND_RUNNING")
            del self._commands[command_id]
            self._released.add(command_id)
        return {"command_id": command_id, "released": True}

    def _discover(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"openrpc": "1.3.2", "methods": [{"name": name} for name in sorted(_METHODS)]}

    def _uptime(self) -> float:
        return round(time.monotonic() - self._started, 3)


def log_page(command: Command, offset: int, limit: int) -> dict[str, Any]:
    """The answer of `get_command_log`. RpcError -32003."""
    stream, data = command.read(offset, limit) or (1, b"")
    if not data and (offset > command.size or (command.result is not None and offset != command.size)):
        raise beyond_end(command.size)
    new_offset = offset + len(data)
    is_final = command.result is not None and new_offset == command.size
    return {
        "log_data": base64.b64encode(data).decode(),
        "log_type": _STREAMS[stream],
        "new_offset": new_offset,
        "is_final": is_final,
        "result": command.result if is_final else None,
    }


_METHODS: dict[str, tuple[Callable[[Methods, dict[str, Any]], Any], tuple[str, ...]]] = {
    "health_check": (Methods._health_check, ()),
    "heartbeat": (Methods._heartbeat, ("timestamp",)),
    "get_status": (Methods._get_status, ()),
    "get_port": (Methods._get_port, ()),
    "execute_command": (
        Methods._execute_command,
        (
            "command",
            "command_id",
            "args",
            "timeout",
            "env",
            "cwd",
            "user",
            "stdin",
            "no_output_timeout",
            "secret_env",
        ),
    ),
    "get_command_log": (Methods._get_command_log, ("command_id", "offset", "wait", "max_bytes", "until")),
    "cancel_command": (Methods._cancel_command, ("command_id", "grace", "forbid")),
    "list_commands": (Methods._list_commands, ()),
    "release_command": (Methods._release_command, ("command_id",)),
    "rpc.discover": (Methods._discover, ()),
}

_HOST: dict[str, Any] = {
    "version": VERSION,
    "os": {"id": "debian", "version_id": "12", "pretty_name": "Debian GNU/Linux 12 (bookworm)"},
    "arch": "x86_64",
    "kernel": "6.1.0-18-amd64",
    "python": platform.python_version(),
    "cpus": 4,
    "load": [0.12, 0.08, 0.05],
    "memory": {"total": 8 << 30, "available": 6 << 30},
    "swap": {"total": 0, "free": 0},
    "disks": [{"mount": "/", "filesystem": "ext4", "total": 40 << 30, "free": 31 << 30}],
    "capabilities": ["execute_command", "log_stream", "signature", "cgroup", "run_as_user"],
    "deployment_tool": None,
    "ansible": None,
    "bundle": None,
    "folders": {},
}


def _when(later: Later, go_on: Callable[[], None]) -> None:
    """Calls `go_on` once, when it is due or the time is over."""

    def look() -> None:
        if later.is_due():
            timer.cancel()
            end()

    def end() -> None:
        later.command.watchers.discard(look)
        go_on()

    timer = asyncio.get_running_loop().call_later(later.wait_s, end)
    later.command.watchers.add(look)


def _guarded(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except RpcError as error:
        return error
    except (TypeError, ValueError, AttributeError):
        return RpcError(INVALID_PARAMS)


def _add(found: list[dict[str, Any]], item: Any, result: Any) -> None:
    number = item.get("id") if isinstance(item, dict) and _is_id(item.get("id")) else None
    if isinstance(result, RpcError):
        is_request = isinstance(item, dict) and "id" not in item and result.data["reason"] != "INVALID_REQUEST"
        if not is_request:
            found.append(_error(number, result))
    elif "id" in item:
        found.append({"jsonrpc": "2.0", "id": number, "result": result})


def _error(number: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": error.as_dict()}


def _is_id(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _text(params: dict[str, Any], name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str):
        raise invalid_param(name, "is required, as text")
    return value


def _state(command: Command) -> str:
    if command.result is None:
        return "running"
    return "lost" if command.result["reason"] == "lost" else "finished"


def _entry(command: Command) -> dict[str, Any]:
    entry = {"command_id": command.id, "command": command.name, "log_size": command.size, "state": _state(command)}
    result = command.result or {"started_at": command.started_at, "ended_at": None}
    names = ("started_at", "ended_at", "return_code", "reason")
    return entry | {name: result[name] for name in names if name in result}
