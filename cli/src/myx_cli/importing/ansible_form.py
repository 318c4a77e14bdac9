"""Ansible inventories: INI and YAML."""

import shlex
from codecs import BOM_UTF8
from typing import Any

from myx_cli.errors import UsageError
from myx_cli.importing.inventory import MAX_HOSTS, Inventory, hosts_of
from myx_cli.importing.marked_yaml import Marked, load_marked
from myx_cli.importing.rows import Row
from myx_cli.text import clean

_YAML_ENDINGS = (".yml", ".yaml")
_PARTS = ("hosts", "vars", "children")


def rows_of(content: bytes, file: str) -> tuple[list[Row], list[str]]:
    """The hosts, and what is to be said about what is left out. UsageError with file and line."""
    inventory = Inventory()
    if file.endswith(_YAML_ENDINGS) or _looks_like_yaml(content):
        document = load_marked(content, file)
        if not isinstance(document, dict):
            raise UsageError(f"{file}: expected groups: all, or others, with hosts")
        _groups(inventory, document, file)
    else:
        _ini(inventory, content, file)
    return inventory.rows(file)


def _looks_like_yaml(content: bytes) -> bool:
    lines = content.removeprefix(BOM_UTF8).splitlines()
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith(b"#")), b"")
    return first.strip() == b"---" or (first.rstrip().endswith(b":") and not first.startswith(b"["))


def _groups(inventory: Inventory, document: dict[str, Any], file: str) -> None:
    waiting = list(reversed(document.items()))
    seen = set()
    while waiting:
        name, group = waiting.pop()
        # Aliases may lead to the same group in very many ways.
        if group is not None and (name, id(group)) not in seen:
            seen.add((name, id(group)))
            waiting += reversed(_group(inventory, name, group, file).items())


def _group(inventory: Inventory, name: str, group: Any, file: str) -> dict[str, Any]:
    """Takes a group in; its children."""
    if not isinstance(group, Marked):
        raise UsageError(f"{file}: group {clean(name)} is not a mapping")
    if unknown := sorted(set(group) - set(_PARTS)):
        where = f"{file}:{group.lines[unknown[0]]}"
        raise UsageError(
            f"{where}: {clean(unknown[0])} is not known in group {clean(name)}: hosts, vars and children are"
        )
    hosts, variables, children = (group.get(part) or Marked() for part in _PARTS)
    for part in (hosts, variables, children):
        if not isinstance(part, Marked):
            raise UsageError(f"{file}:{group.line}: hosts, vars and children of {clean(name)} must be mappings")
    inventory.group_vars.setdefault(name, {}).update(variables)
    for pattern, own in hosts.items():
        _add_hosts(inventory, pattern, own if isinstance(own, Marked) else {}, name, (file, hosts.lines[pattern]))
    inventory.group_children.setdefault(name, set()).update(children)
    return children


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
            _host(inventory, line, group, (file, number))


def _section(line: str, where: str) -> tuple[str, str]:
    head, closed, rest = line[1:].partition("]")
    name, _, kind = head.partition(":")
    comment = rest.strip()
    known = kind in {"", "vars", "children"} and bool(name.strip())
    if not closed or not known or (comment and comment[0] not in "#;"):
        raise UsageError(f"{where}: expected [GROUP], [GROUP:vars] or [GROUP:children]")
    return name.strip(), kind


def _host(inventory: Inventory, line: str, group: str, place: tuple[str, int]) -> None:
    where = f"{place[0]}:{place[1]}"
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
    _add_hosts(inventory, pattern, variables, group, place)


def _add_hosts(
    inventory: Inventory, pattern: str, variables: dict[str, Any], group: str, place: tuple[str, int]
) -> None:
    file, line = place
    try:
        names, port = hosts_of(pattern)
    except ValueError:
        what = f"holds a range that is none, or more than {MAX_HOSTS} hosts"
        raise UsageError(f"{file}:{line}: {clean(pattern)[:80]!r} {what}") from None
    own = {"ansible_port": port, **variables} if port else variables
    for name in names:
        inventory.add_host(name, line, group, own)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
