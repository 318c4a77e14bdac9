"""execute_ansible and get_playbook_events: a play is a supervised command that runs the tool's run_play.py."""

import contextlib
import hashlib
import os
import posixpath
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from myx_agent import tool
from myx_agent.commands import spec
from myx_agent.commands.start import Starter
from myx_agent.commands.supervisor import Supervisor
from myx_agent.config import Config
from myx_agent.jsonrpc import RpcError, invalid_param
from myx_agent.spool import layout
from myx_agent.spool.events import EventReader
from myx_agent.spool.reader import read_final
from myx_agent.spool.watch import Watches

KIND = "playbook"
MAX_WAIT_S = 30.0
EVENTS_BYTES = 256 * 1024
_HOST_PYTHON = "/usr/bin/python3"
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PLAYBOOK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}\.ya?ml")
_SHORTEST_SECRET = 4

Seq = Annotated[int, msgspec.Meta(ge=0, le=1 << 61)]


class PlaybookMethods:
    """Plays on this host."""

    def __init__(self, config: Config, supervisor: Supervisor, starter: Starter, watches: Watches) -> None:
        self._supervisor = supervisor
        self._starter = starter
        self._watches = watches
        self._tool = Path(config.deployment_tool_dir)
        self._ansible = Path(config.ansible_dir)
        self._commands = Path(config.spool_dir) / layout.COMMANDS

    async def execute_ansible(  # noqa: PLR0917 - the order is that of positional JSON-RPC parameters
        self,
        playbook: str,
        command_id: str,
        project: str | None = None,
        tool_digest: str | None = None,
        extra_vars: dict[str, Any] = {},  # noqa: B006 - only read: it becomes a field's default
        secret_vars: dict[str, Any] = {},  # noqa: B006
        trusted_vars: dict[str, Any] = {},  # noqa: B006
        check: bool = False,
        diff: bool = False,
        tags: list[str] = [],  # noqa: B006
        skip_tags: list[str] = [],  # noqa: B006
        limit: str | None = None,
        timeout: float | None = None,
        no_output_timeout: float | None = None,
    ) -> dict[str, Any]:
        spec.check_command_id(command_id)
        spec.check_seconds("timeout", timeout)
        spec.check_seconds("no_output_timeout", no_output_timeout)
        if not _PLAYBOOK.fullmatch(playbook) or posixpath.normpath(playbook) != playbook:
            raise invalid_param("playbook", "must be the name of a .yml file below the project's playbooks folder")
        if project and not _PROJECT.fullmatch(project):
            raise invalid_param("project", "must be letters, digits, '.', '_' and '-'")
        play = {
            "playbook": playbook,
            "extra_vars": extra_vars,
            "secret_vars": secret_vars,
            "trusted_vars": trusted_vars,
            "check": check,
            "diff": diff,
            "tags": tags,
            "skip_tags": skip_tags,
            "limit": limit or "",
        }
        clocks = {"timeout_s": timeout or None, "no_output_timeout_s": no_output_timeout or None}
        digest = _digest([KIND, project or "", tool_digest or "", play, clocks])
        try:
            python, shipped, folder = self._find(project or "", playbook, tool_digest)
        except RpcError:
            if (known := await self._started(command_id, digest)) is not None:
                return known  # a repeat: the tool has moved on, the play has not
            raise
        document = play | {
            "project_dir": str(folder),
            "connection": {"type": "local"},
            "python_interpreter": _HOST_PYTHON if os.access(_HOST_PYTHON, os.X_OK) else None,
            "events_path": str(self._commands / command_id / layout.EVENTS),
        }
        argv = [str(python), str(shipped / "scripts" / "run_play.py")]
        specification = {
            "command_id": command_id,
            "digest": digest,
            "argv": argv,
            "env": spec.own_environment() | {layout.COMMAND_ID_TAG: command_id},
            "secrets": _texts(secret_vars),
            "cwd": "/",
            "user": None,
            **clocks,
            "meta": {
                "command_id": command_id,
                "digest": digest,
                "command": f"playbook {playbook}",
                "kind": KIND,
                "uses": sorted({str(shipped), str(folder)}),
                "created_at": time.time(),
                "secret_names": [],  # they are not in the environment; run_play.py masks them itself
                **clocks,
            },
        }
        return await self._starter.start(specification, msgspec.json.encode(document))

    async def get_playbook_events(self, command_id: str, seq: Seq = 0, wait: float = 0) -> dict[str, Any]:
        spec.check_command_id(command_id)
        spec.check_seconds("wait", wait)
        folder = self._commands / command_id
        if not (folder / layout.META).exists():
            raise RpcError(-32002, "no such command", "COMMAND_NOT_FOUND")
        with EventReader(folder) as reader:

            def ended() -> bool:
                return read_final(f"{folder}/{layout.RESULT}") is not None

            is_over, events = ended(), reader.after(seq, EVENTS_BYTES)
            if not events and not is_over and wait > 0:
                is_over, events = await self._wait(folder, min(wait, MAX_WAIT_S), ended, reader, seq)
            if not events and not is_over:
                is_over = await self._supervisor.unsaid_end(command_id) is not None
            is_final = is_over and not (events and reader.after(events[-1][0], 1))
        return {"events": [event for _seq, event in events], "is_final": is_final}

    async def _wait(
        self, folder: Path, wait_s: float, ended: Callable[[], bool], reader: EventReader, seq: int
    ) -> tuple[bool, list[tuple[int, dict[str, Any]]]]:
        deadline = time.monotonic() + wait_s
        with self._watches.watch(folder) as waiter:
            while True:
                waiter.clear()
                is_over, events = ended(), reader.after(seq, EVENTS_BYTES)
                left_s = deadline - time.monotonic()
                if events or is_over or left_s <= 0 or self._watches.stopping:
                    return is_over, events
                await waiter.wait(left_s)

    def _find(self, project: str, playbook: str, tool_digest: str | None) -> tuple[Path, Path, Path]:
        """Interpreter, release of the shipped tool, release of the project. Raises RpcError (-32006 to -32008)."""
        shipped = tool.current(self._tool / tool.SHIPPED)
        folder = tool.current(self._tool / tool.PROJECTS / project) if project else shipped
        digest = tool.digest_of(folder)
        if shipped is None or folder is None or (tool_digest and digest != tool_digest):
            name = f"project {project}" if project and shipped is not None else "deployment tool"
            message = f"the {name} is not on this host, or not with this digest"
            raise RpcError(-32006, message, "TOOL_MISMATCH", current=digest)
        python = Path(os.path.realpath(self._ansible / "current"), "bin", "python")
        if not os.access(python, os.X_OK):
            raise RpcError(-32007, "Ansible is not installed on this host", "ANSIBLE_MISSING")
        path = (folder / "playbooks" / playbook).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise RpcError(-32008, f"there is no playbook {playbook}", "PLAYBOOK_NOT_FOUND")
        return python, shipped, folder

    async def _started(self, command_id: str, digest: str) -> dict[str, Any] | None:
        """What `start` would answer to a repeat; None when this command was not started."""
        folder = self._commands / command_id
        meta = layout.read_whole(f"{folder}/{layout.META}")
        if meta is None or layout.parse_pid_record(layout.read_whole(f"{folder}/{layout.PID}")) is None:
            return None
        known = layout.parse_document(meta)
        if known is not None and known["digest"] != digest:
            raise RpcError(-32001, "this command_id belongs to a command with other arguments", "COMMAND_CONFLICT")
        final = read_final(f"{folder}/{layout.RESULT}") or await self._supervisor.unsaid_end(command_id)
        state = "running" if final is None else final.state
        return {"status": state, "command_id": command_id, "existing": True}


def is_play(folder: Path) -> bool:
    """A command's folder is that of a play."""
    meta = layout.read_whole(f"{folder}/{layout.META}")
    with contextlib.suppress(msgspec.DecodeError):
        return meta is not None and msgspec.json.decode(meta).get("kind") == KIND
    return False


def version_of_ansible(ansible_dir: str) -> dict[str, str] | None:
    """{version} of the Ansible that plays would run with; None when there is none."""
    folder = Path(os.path.realpath(f"{ansible_dir}/current"))
    for found in folder.glob("lib/python3*/site-packages/ansible_core-*.dist-info"):
        return {"version": found.name.removeprefix("ansible_core-").removesuffix(".dist-info")}
    return None


def _digest(asked: list[Any]) -> str:
    """SHA-256 over all that was asked for; secrets are in it and nowhere else."""
    return hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()


def _texts(value: Any) -> list[str]:
    """Every string in a value that is long enough to be told apart from ordinary output."""
    if isinstance(value, str):
        return [value] if len(value) >= _SHORTEST_SECRET else []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _texts(item)]
