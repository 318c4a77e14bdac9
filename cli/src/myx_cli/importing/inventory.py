"""What an Ansible inventory says of hosts, whatever its form."""

import re
from collections.abc import Iterator
from typing import Any

from myx_cli.importing.rows import Row

_BUILT_IN = frozenset({"all", "ungrouped"})
_TAKEN = {"ansible_user": "user", "ansible_port": "port", "ansible_ssh_private_key_file": "key_file"}
_OLD = {"ansible_ssh_host": "ansible_host", "ansible_ssh_user": "ansible_user", "ansible_ssh_port": "ansible_port"}
_SECRET = frozenset({"ansible_password", "ansible_ssh_pass", "ansible_become_password", "ansible_become_pass"})
_RANGE = re.compile(r"\[([0-9]+|[a-z]):([0-9]+|[a-z])(?::([0-9]+))?\]")
_MAX_HOSTS = 10_000


class Inventory:
    """Hosts with the line that named them first, groups with their children and variables."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self.host_vars: dict[str, dict[str, Any]] = {}
        self.group_vars: dict[str, dict[str, Any]] = {}
        self.group_hosts: dict[str, set[str]] = {}
        self.group_children: dict[str, set[str]] = {}

    def add_host(self, name: str, line: int, group: str, variables: dict[str, Any]) -> None:
        """A host of a group; what is said of it later wins."""
        self.lines.setdefault(name, line)
        self.host_vars.setdefault(name, {}).update(variables)
        self.group_hosts.setdefault(group, set()).add(name)

    def rows(self, file: str) -> tuple[list[Row], list[str]]:
        """The servers, and what else is to be said (hosts and variables that are left out)."""
        rows, notes = [], []
        secret = False
        for name, line in self.lines.items():
            groups = self._groups_of(name)
            variables = self._variables(name, groups)
            if variables.get("ansible_connection", "ssh") not in {"ssh", "paramiko", "paramiko_ssh", "smart"}:
                notes.append(f"{file}:{line}: {name} is left out: it is not reached over SSH")
                continue
            secret = secret or bool(_SECRET & set(variables))
            fields = {field: variables[source] for source, field in _TAKEN.items() if source in variables}
            labels = {f"group.{_label(group)}": "true" for group in sorted(groups - _BUILT_IN)}
            address = variables.get("ansible_host", name)
            rows.append(Row(f"{file}:{line}", {"name": name.lower(), "address": address, **fields, "labels": labels}))
        if secret:
            notes.append(f"{file}: passwords are not taken from an inventory: --credential NAME, or myx server set")
        return rows, notes

    def _groups_of(self, host: str) -> set[str]:
        groups = {group for group, hosts in self.group_hosts.items() if host in hosts}
        while more := {parent for parent, children in self.group_children.items() if children & groups} - groups:
            groups |= more
        return groups

    def _variables(self, host: str, groups: set[str]) -> dict[str, Any]:
        """Of `all`, then of parents before their children, then of the host itself."""
        merged: dict[str, Any] = dict(self.group_vars.get("all", {}))
        for group in sorted(groups - {"all"}, key=lambda name: (self._depth(name), name)):
            merged.update(self.group_vars.get(group, {}))
        merged.update(self.host_vars.get(host, {}))
        return {**{_OLD.get(name, name): value for name, value in merged.items()}}

    def _depth(self, group: str, seen: frozenset[str] = frozenset()) -> int:
        parents = {parent for parent, children in self.group_children.items() if group in children} - seen - {group}
        return 1 + max((self._depth(parent, seen | {group}) for parent in parents), default=0)


def expand(pattern: str) -> Iterator[str]:
    """`web[01:03]` as three names. ValueError for ranges that are none or too large."""
    match = _RANGE.search(pattern)
    if match is None:
        if "[" in pattern:
            raise ValueError(pattern)
        yield pattern
        return
    first, last, step = match[1], match[2], int(match[3] or 1)
    if first.isdigit() != last.isdigit() or step < 1:
        raise ValueError(pattern)
    low, high = (int(first), int(last)) if first.isdigit() else (ord(first), ord(last))
    if not low <= high <= low + _MAX_HOSTS:
        raise ValueError(pattern)
    for number in range(low, high + 1, step):
        middle = f"{number:0{len(first)}d}" if first.isdigit() else chr(number)
        yield from (pattern[: match.start()] + middle + rest for rest in expand(pattern[match.end() :]))


def _label(group: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", group)[:56].strip("-._") or "group"
