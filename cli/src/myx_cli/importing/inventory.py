"""What an Ansible inventory says of hosts, whatever its form."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from myx_cli.errors import UsageError
from myx_cli.importing.rows import Row

_BUILT_IN = frozenset({"all", "ungrouped"})
_TAKEN = {"ansible_user": "user", "ansible_port": "port", "ansible_ssh_private_key_file": "key_file"}
_OTHER_NAMES = {
    "ansible_ssh_host": "ansible_host",
    "ansible_ssh_user": "ansible_user",
    "ansible_ssh_port": "ansible_port",
    "ansible_private_key_file": "ansible_ssh_private_key_file",
}
_SECRET = frozenset(
    {
        *("ansible_password", "ansible_ssh_pass", "ansible_ssh_password"),
        *("ansible_become_password", "ansible_become_pass"),
    }
)
# How Ansible gets there and becomes root: a server here has settings of its own. With the values that say nothing new.
_WAYS: dict[str, frozenset[str]] = {
    "ansible_ssh_common_args": frozenset({""}),
    "ansible_ssh_extra_args": frozenset({""}),
    "ansible_become": frozenset({"true", "yes", "1"}),
    "ansible_become_method": frozenset({"sudo", "ansible.builtin.sudo"}),
    "ansible_become_user": frozenset({"root"}),
}
_OVER_SSH = ("ssh", "paramiko", "paramiko_ssh", "smart")
_RANGE = re.compile(r"\[([0-9]+|[a-z]):([0-9]+|[a-z])(?::([0-9]+))?\]")
_PORT = re.compile(r":([0-9]{1,5})$")
MAX_HOSTS = 10_000


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
        """The servers, and what else is to be said (hosts and variables that are left out). UsageError."""
        rows, notes = [], []
        depths = self._depths(file)
        secret = False
        lost: Counter[str] = Counter()
        for name, line in self.lines.items():
            groups = self._groups_of(name)
            variables = self._variables(name, groups, depths)
            if str(variables.get("ansible_connection", "ssh")).removeprefix("ansible.builtin.") not in _OVER_SSH:
                notes.append(f"{file}:{line}: {name} is left out: it is not reached over SSH")
                continue
            secret = secret or bool(_SECRET & set(variables))
            told = {way: str(variables[way]).lower() for way in _WAYS if way in variables}
            lost.update(way for way, value in told.items() if value not in _WAYS[way])
            fields = {field: variables[source] for source, field in _TAKEN.items() if source in variables}
            labels = {f"group.{_label(group)}": "true" for group in sorted(groups - _BUILT_IN)}
            address = variables.get("ansible_host", name)
            rows.append(Row(f"{file}:{line}", {"name": name.lower(), "address": address, **fields, "labels": labels}))
        if secret:
            notes.append(f"{file}: passwords are not taken from an inventory: --credential NAME, or myx server set")
        if lost:
            ways = ", ".join(f"{way} of {count} host{'s' * (count > 1)}" for way, count in sorted(lost.items()))
            notes.append(f"{file}: not taken: {ways}; see --jump and --sudo of myx server set")
        return rows, notes

    def _groups_of(self, host: str) -> set[str]:
        groups = {group for group, hosts in self.group_hosts.items() if host in hosts}
        while more := {parent for parent, children in self.group_children.items() if children & groups} - groups:
            groups |= more
        return groups

    def _variables(self, host: str, groups: set[str], depths: dict[str, int]) -> dict[str, Any]:
        """Of `all`, then of parents before their children, then of the host itself."""
        merged: dict[str, Any] = dict(self.group_vars.get("all", {}))
        for group in sorted(groups - {"all"}, key=lambda name: (depths.get(name, 1), name)):
            merged.update(self.group_vars.get(group, {}))
        merged.update(self.host_vars.get(host, {}))
        return {_OTHER_NAMES.get(name, name): value for name, value in merged.items()}

    def _depths(self, file: str) -> dict[str, int]:
        """How far below the groups without parents those with parents are. UsageError: they go round in circles."""
        from graphlib import CycleError, TopologicalSorter

        parents: dict[str, set[str]] = {}
        for parent, children in self.group_children.items():
            for child in children:
                parents.setdefault(child, set()).add(parent)
        depths: dict[str, int] = {}
        try:
            for group in TopologicalSorter(parents).static_order():
                depths[group] = 1 + max((depths[parent] for parent in parents.get(group, ())), default=0)
        except CycleError as error:
            raise UsageError(
                f"{file}: groups that contain each other: {', '.join(sorted(set(error.args[1]))[:10])}"
            ) from None
        return depths


def hosts_of(pattern: str) -> tuple[list[str], str]:
    """The names that `web[01:03]:2222` stands for, and the port behind them or "".

    ValueError for ranges that are none, and for more than MAX_HOSTS names.
    """
    port = _PORT.search(pattern)
    # Two colons outside of ranges: an IPv6 address.
    if port and ":" not in _RANGE.sub("", pattern[: port.start()]):
        pattern = pattern[: port.start()]
    else:
        port = None
    names = list(islice(_expand(pattern), MAX_HOSTS + 1))
    if len(names) > MAX_HOSTS:
        raise ValueError(pattern)
    return names, port[1] if port else ""


def _expand(pattern: str) -> Iterator[str]:
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
    if not low <= high:
        raise ValueError(pattern)
    for number in range(low, high + 1, step):
        middle = f"{number:0{len(first)}d}" if first.isdigit() else chr(number)
        yield from (pattern[: match.start()] + middle + rest for rest in _expand(pattern[match.end() :]))


def _label(group: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", group)[:56].strip("-._") or "group"
