"""One server of a file on its way to the API, and everything that can be wrong with it."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from myx_cli.api import Document
from myx_cli.errors import UsageError
from myx_cli.output import note
from myx_cli.secrets import from_file, key_from_file
from myx_cli.text import clean

FIELDS = (
    *("name", "address", "user", "port", "ssh_address", "credential", "password_file", "key_file", "passphrase_file"),
    *("sudo", "sudo_password_file", "jump", "host_key", "accept_host_key", "repair", "labels"),
)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?)")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_CHOICES = {"sudo": ("auto", "always", "never"), "repair": ("automatic", "ask", "off")}
_PROBLEMS_TOLD = 50
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0", ""}


class Row(NamedTuple):
    """A server as a file names it: `where` is file:line, `fields` values by the names in FIELDS."""

    where: str
    fields: dict[str, Any]


class Wrong(Exception):
    """One thing that is wrong: which field, and what would be right."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem


def contents_of(rows: list[Row], folder: Path, credential: str, *, accept_host_key: bool) -> list[Document]:
    """What each row asks the API for, in an order in which jump servers come first.

    UsageError when something is wrong, after a line on stderr with file, line and field for each. Files that rows name
    are below `folder`.
    """
    problems: list[str] = []
    contents: list[Document] = []
    lines: dict[str, str] = {}
    for row in rows:
        try:
            content = _content(row, folder, credential, accept_host_key=accept_host_key)
            if first := lines.get(content["name"]):
                raise Wrong("name", f"{content['name']} is in {first} already")
            lines[content["name"]] = row.where
            contents.append(content)
        except Wrong as wrong:
            problems.append(f"{row.where}: {wrong.field}: {wrong.problem}")
    for problem in problems[:_PROBLEMS_TOLD]:
        note(problem)
    if problems:
        raise UsageError(f"{len(problems)} of {len(rows)} servers are wrong; nothing was done")
    return _jump_servers_first(contents, lines)


def _content(row: Row, folder: Path, credential: str, *, accept_host_key: bool) -> Document:
    fields = {name: value for name, value in row.fields.items() if value is not None and value != ""}
    for name in fields:
        if name not in FIELDS:
            raise Wrong(clean(name), f"is not known; known are {', '.join(FIELDS)}")
    content: Document = {"name": _name(fields), "address": _text(fields, "address")}
    if not content["address"]:
        raise Wrong("address", "is missing")
    ssh = _ssh(fields)
    secret = _secret(fields, folder)
    if secret and ssh.get("credential"):
        raise Wrong("credential", "and a login of its own exclude each other")
    if secret:
        content["credential"] = secret
    elif credential and "credential" not in ssh:
        ssh["credential"] = credential
    rest = {
        "ssh": ssh,
        "labels": _labels(fields.get("labels") or {}),
        "host_key_fingerprint": _fingerprint(fields),
        "accept_new_host_key": _flag(fields, "accept_host_key") or (accept_host_key and "host_key" not in fields),
        "repair_policy": _choice(fields, "repair"),
    }
    return content | {name: value for name, value in rest.items() if value}


def _name(fields: Document) -> str:
    name = _text(fields, "name")
    if not _NAME.fullmatch(name):
        raise Wrong("name", f"{clean(name)[:80]!r} is none: 1 to 63 of a-z, 0-9, '-', '_', '.'")
    return name


def _ssh(fields: Document) -> Document:
    ssh: Document = {}
    for field, name in (("user", "user"), ("ssh_address", "address"), ("credential", "credential")):
        if text := _text(fields, field):
            ssh[name] = text
    if "port" in fields:
        ssh["port"] = _port(fields["port"])
    if sudo := _choice(fields, "sudo"):
        ssh["sudo"] = sudo
    if jumps := _names(fields.get("jump")):
        ssh["jump_servers"] = jumps
    return ssh


def _secret(fields: Document, folder: Path) -> Document:
    secret: Document = {}
    readers = (
        ("password_file", "password", from_file),
        ("key_file", "private_key", key_from_file),
        ("passphrase_file", "passphrase", from_file),
        ("sudo_password_file", "sudo_password", from_file),
    )
    for field, name, read in readers:
        if path := _text(fields, field):
            try:
                secret[name] = read(path, field, folder)
            except UsageError as error:
                raise Wrong(field, error.message.removeprefix(f"{field}: ")) from None
    if secret and ("password" in secret) == ("private_key" in secret):
        raise Wrong("password_file", "and key_file: exactly one of them, please")
    if "passphrase" in secret and "private_key" not in secret:
        raise Wrong("passphrase_file", "belongs to key_file")
    return secret


def _text(fields: Document, field: str) -> str:
    value = fields.get(field, "")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Wrong(field, "must be a text")
    text = str(value).strip()
    if "{{" in text:
        raise Wrong(field, "holds a template or a vault, which is not resolved here")
    if not text.isprintable():
        raise Wrong(field, "must be a plain text")
    if field == "address" and (" " in text or "/" in text):
        raise Wrong(field, "must be a host name or an IP address")
    return text


def _port(value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise Wrong("port", "must be a number from 1 to 65535")
    return int(text)


def _choice(fields: Document, field: str) -> str:
    value = fields.get(field, "")
    if value is False and field == "repair":
        return "off"  # what YAML makes of it
    text = _text(fields, field)
    if text and text not in _CHOICES[field]:
        raise Wrong(field, f"must be one of {', '.join(_CHOICES[field])}")
    return text


def _flag(fields: Document, field: str) -> bool:
    text = str(fields.get(field, "")).strip().lower()
    if text not in _TRUE | _FALSE:
        raise Wrong(field, "must be true or false")
    return text in _TRUE


def _fingerprint(fields: Document) -> str:
    text = _text(fields, "host_key")
    if text and not _FINGERPRINT.fullmatch(text):
        raise Wrong("host_key", "must be SHA256: and 43 characters, as ssh-keygen -lf shows it")
    if text and _flag(fields, "accept_host_key"):
        raise Wrong("host_key", "and accept_host_key exclude each other")
    return text


def _names(value: Any) -> list[str]:
    parts = re.split(r"[;,\s]+", value) if isinstance(value, str) else value or []
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise Wrong("jump", "must be names of servers")
    return [part for part in parts if part]


def _labels(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        value = dict(part.partition("=")[::2] for part in re.split(r"[;,\s]+", value) if part)
    if not isinstance(value, dict):
        raise Wrong("labels", "must be names with values")
    labels = {str(name): _label_value(item) for name, item in value.items()}
    for name, item in labels.items():
        if not _LABEL.fullmatch(name) or not _LABEL_VALUE.fullmatch(item):
            raise Wrong("labels", f"{clean(name)[:80]} is not one: at most 63 of letters, digits, '-', '_' and '.'")
    return labels


def _label_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise Wrong("labels", "must be texts")
    return str(value)


def _jump_servers_first(contents: list[Document], lines: dict[str, str]) -> list[Document]:
    ordered: list[Document] = []
    waiting = {content["name"]: content for content in contents}
    while waiting:
        ready = [content for content in waiting.values() if not waiting.keys() & set(_jumps(content))]
        if not ready:
            name = next(iter(waiting))
            raise UsageError(f"{lines[name]}: jump: servers of this file wait for each other: {_joined(waiting)}")
        ordered += [waiting.pop(content["name"]) for content in ready]
    return ordered


def _jumps(content: Document) -> list[str]:
    return list((content.get("ssh") or {}).get("jump_servers") or [])


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:10])
