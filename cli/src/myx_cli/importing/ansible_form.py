"""Ansible inventories: INI and YAML."""

import shlex
from typing import Any

from myx_cli.errors import UsageError
from myx_cli.importing.inventory import Inventory, expand
from myx_cli.importing.marked_yaml import Marked, load_marked
from myx_cli.importing.rows import Row
from myx_cli.text import clean

_YAML_ENDINGS = (".yml", ".yaml")
_MAX_DEPTH = 50


def rows_of(content: bytes, file: str) -> tuple[list[Row], list[str]]:
    """The hosts, and what is to be said about what is left out. UsageError with file and line."""
    inventory = Inventory()
    if file.endswith(_YAML_ENDINGS) or _looks_like_yaml(content):
        document = load_marked(content, file)
        if not isinstance(document, dict):
            raise UsageError(f"{file}: expected groups: all, or others, with hosts")
        for name, group in document.items():
            _group(inventory, str(name), group, file, 0)
    else:
        _ini(inventory, content, file)
    return inventory.rows(file)


def _looks_like_yaml(content: bytes) -> bool:
    first = next((line for line in content.splitlines() if line.strip() and not line.lstrip().startswith(b"#")), b"")
    return first.strip() == b"---" or (first.rstrip().endswith(b":") and not first.startswith(b"["))


def _group(inventory: Inventory, name: str, group: Any, file: str, depth: int) -> None:
    if group is None:
        return
    if not isinstance(group, Marked) or depth > _MAX_DEPTH:
        raise UsageError(f"{file}: group {clean(name)} is not a mapping")
    hosts, variables, children = (group.get(part) or {} for part in ("hosts", "vars", "children"))
    for part in (hosts, variables, children):
        if not isinstance(part, dict):
            raise UsageError(f"{file}:{group.line}: hosts, vars and children of {clean(name)} must be mappings")
    inventory.group_vars.setdefault(name, {}).update(variables)
    for pattern, own in hosts.items():
        line = own.line if isinstance(own, Marked) else group.line
        for host in _expanded(str(pattern), f"{file}:{line}"):
            inventory.add_host(host, line, name, own if isinstance(own, dict) else {})
    for child, content in children.items():
        inventory.group_children.setdefault(name, set()).add(str(child))
        _group(inventory, str(child), content, file, depth + 1)


def _ini(inventory: Inventory, content: bytes, file: str) -> None:
    group, kind = "ungrouped", ""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text") from None
    for number, raw in enumerate(lines, 1):
        where = f"{file}:{number}"
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            group, kind = _section(line, where)
        elif kind == "vars":
            name, equals, value = line.partition("=")
            if not equals:
                raise UsageError(f"{where}: expected NAME=VALUE")
            inventory.group_vars.setdefault(group, {})[name.strip()] = _unquoted(value.strip())
        elif kind == "children":
            inventory.group_children.setdefault(group, set()).add(line.split("#")[0].strip())
        else:
            _host(inventory, line, number, group, where)


def _section(line: str, where: str) -> tuple[str, str]:
    head, closed, rest = line[1:].partition("]")
    name, _, kind = head.partition(":")
    comment = rest.strip()
    known = kind in {"", "vars", "children"} and bool(name.strip())
    if not closed or not known or (comment and comment[0] not in "#;"):
        raise UsageError(f"{where}: expected [GROUP], [GROUP:vars] or [GROUP:children]")
    return name.strip(), kind


def _host(inventory: Inventory, line: str, number: int, group: str, where: str) -> None:
    try:
        pattern, *words = shlex.split(line, comments=True)
    except ValueError as error:
        raise UsageError(f"{where}: {clean(error).lower()}") from None
    variables: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"{where}: expected NAME=VALUE behind the host")
        variables[name] = value
    host, colon, port = pattern.rpartition(":")
    if colon and port.isdigit() and "[" not in port and host.count(":") == 0:
        pattern = host
        variables.setdefault("ansible_port", port)
    for name in _expanded(pattern, where):
        inventory.add_host(name, number, group, variables)


def _expanded(pattern: str, where: str) -> list[str]:
    try:
        return list(expand(pattern))
    except ValueError:
        raise UsageError(f"{where}: {clean(pattern)[:80]!r} holds a range that is none") from None


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
