"""The document that says what to run: checked before anything is started."""

import dataclasses
import json
import keyword
from pathlib import Path
from typing import Any

EXIT_BAD_DOCUMENT = 64
EXIT_NO_PLAYBOOK = 65

_MAGIC_TEXT = """
hostvars group_names groups inventory_hostname inventory_hostname_short inventory_dir inventory_file omit playbook_dir
play_hosts role_name role_names role_path vars environment lookup query q ansible item namespace undef
connection port remote_user delegate_to no_log
"""
_MAGIC = frozenset(_MAGIC_TEXT.split())
_LISTS = ("tags", "skip_tags")
_VARIABLES = ("extra_vars", "secret_vars", "trusted_vars")


class Refused(Exception):
    """One line for the operator, and the exit code that goes with it."""

    def __init__(self, message: str, code: int = EXIT_BAD_DOCUMENT) -> None:
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Connection:
    """How the managed host is reached. `socket` and `plugin_dir` belong to type "myx"."""

    type: str = "local"
    socket: str = ""
    plugin_dir: str = ""


@dataclasses.dataclass(frozen=True)
class Document:
    """What to run. Paths are absolute and exist; variable names are free of collisions and of Ansible's own."""

    project_dir: Path
    playbook: Path
    extra_vars: dict[str, Any]
    secret_vars: dict[str, Any]
    trusted_vars: dict[str, Any]
    connection: Connection
    check: bool = False
    diff: bool = False
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    limit: str = ""
    verbosity: int = 0
    timeout_s: float = 0
    python_interpreter: str | None = None
    work_dir: str | None = None
    events_path: str | None = None


def parse(text: str) -> Document:
    """Raises Refused."""
    try:
        raw = json.loads(text)
    except ValueError:
        raise Refused("the document is not valid JSON") from None
    if not isinstance(raw, dict):
        raise Refused("the document is not a JSON object")
    unknown = sorted(set(raw) - {field.name for field in dataclasses.fields(Document)})
    if unknown:
        raise Refused(f"unknown key: {unknown[0]}")
    project = _folder(raw)
    values: dict[str, Any] = {name: _variables(raw, name) for name in _VARIABLES}
    _refuse_twins(values)
    values |= {name: _strings(raw, name) for name in _LISTS}
    values |= {name: _typed(raw, name, bool, False) for name in ("check", "diff")}
    values |= {name: _typed(raw, name, str, None) for name in ("python_interpreter", "work_dir", "events_path")}
    values["connection"] = _connection(raw.get("connection") or {"type": "local"})
    values["limit"] = _limit(_typed(raw, "limit", str, ""))
    values["verbosity"] = min(max(_typed(raw, "verbosity", int, 0), 0), 4)
    values["timeout_s"] = max(_typed(raw, "timeout_s", (int, float), 0), 0)
    for name in ("python_interpreter", "work_dir", "events_path"):
        if values[name] is not None and not values[name].startswith("/"):
            raise Refused(f"{name} must be an absolute path")
    return Document(project_dir=project, playbook=_playbook(raw, project), **values)


def _folder(raw: dict[str, Any]) -> Path:
    path = Path(_typed(raw, "project_dir", str, ""))
    if not path.is_absolute():
        raise Refused("project_dir must be an absolute path")
    return path.resolve()


def _playbook(raw: dict[str, Any], project: Path) -> Path:
    name = _typed(raw, "playbook", str, "")
    if not name or name.startswith(("/", "-")) or not name.endswith((".yml", ".yaml")) or "\0" in name:
        raise Refused("playbook must be the name of a .yml file below the project's playbooks folder")
    folder: Path = project / "playbooks"
    path: Path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise Refused("playbook leaves the project's playbooks folder")
    if not path.is_file():
        raise Refused(f"there is no playbook {name}", EXIT_NO_PLAYBOOK)
    return path


def _variables(raw: dict[str, Any], key: str) -> dict[str, Any]:
    values = _typed(raw, key, dict, {})
    if key != "trusted_vars":
        for name in values:
            check_name(name)
    return dict(values)


def check_name(name: str) -> None:
    """Refuse a variable that would be no variable, or would steer Ansible itself. Raises Refused."""
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        raise Refused(f"{name!r} is not a name for a variable")
    if name.startswith("ansible_") or name in _MAGIC:
        raise Refused(f"{name} belongs to Ansible and cannot be set")


def _refuse_twins(values: dict[str, dict[str, Any]]) -> None:
    seen: set[str] = set()
    for group in values.values():
        twice = sorted(seen & set(group))
        if twice:
            raise Refused(f"{twice[0]} is given twice")
        seen |= set(group)


def _connection(raw: Any) -> Connection:
    if not isinstance(raw, dict) or raw.get("type") not in {"local", "myx"}:
        raise Refused("connection must be of type local or myx")
    if raw["type"] == "local":
        return Connection()
    connection = Connection("myx", raw.get("socket", ""), raw.get("plugin_dir", ""))
    if not all(isinstance(path, str) and path.startswith("/") for path in (connection.socket, connection.plugin_dir)):
        raise Refused("a connection of type myx needs the absolute paths socket and plugin_dir")
    return connection


def _limit(limit: str) -> str:
    if limit.startswith(("-", "@")) or ",@" in limit or not limit.isprintable():
        raise Refused("limit must be a host pattern")
    return limit


def _strings(raw: dict[str, Any], key: str) -> tuple[str, ...]:
    values = _typed(raw, key, list, [])
    for value in values:
        if not isinstance(value, str) or not value or value.startswith("-") or "," in value or not value.isprintable():
            raise Refused(f"{key} must be names")
    return tuple(values)


def _typed(raw: dict[str, Any], key: str, kind: Any, default: Any) -> Any:
    value = raw.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Refused(f"{key} is of the wrong type")
    return value
