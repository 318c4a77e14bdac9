"""Servers as an Ansible dynamic inventory (docs/ansible-inventory.md)."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from myx_cli.api import Document

_NO_NAME = re.compile(r"[^A-Za-z0-9_]")
# What may stand in an argument of ssh: anything else could be options, or a command.
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:%-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_TEMPLATE = re.compile(r"{[{%#]")
# Not the host's own: what runs on it just now.
_PASSING = frozenset({"running_command_ids"})
# Keys that Ansible takes for marks of its own.
_MARK = "__ansible_"

Find = Callable[[str], Document | None]


def whole(servers: Iterable[Document], find: Find) -> dict[str, Any]:
    """What `--list` answers. `find` gives a jump server by its name, None where it cannot be seen."""
    hostvars: dict[str, Any] = {}
    groups: dict[str, list[str]] = {}
    for server in servers:
        name = str(server.get("name"))
        hostvars[name] = variables(server, find)
        for group in groups_of(server):
            groups.setdefault(group, []).append(name)
    members = {group: {"hosts": names} for group, names in sorted(groups.items())}
    return {"_meta": {"hostvars": hostvars}, "all": {"hosts": list(hostvars)}, **members}


def groups_of(server: Document) -> list[str]:
    """`KEY_VALUE` of each label, `myx_status_STATUS` and `myx_os_OS`."""
    agent = server.get("agent") or {}
    parts = [*(server.get("labels") or {}).items(), ("myx_status", agent.get("status") or "none")]
    if (os_ := (agent.get("facts") or {}).get("os")) not in {None, ""}:
        parts.append(("myx_os", os_))
    return list(dict.fromkeys(_group(f"{key}_{value}" if value else str(key)) for key, value in parts))


def _group(text: str) -> str:
    name = _NO_NAME.sub("_", text)
    return f"_{name}" if name[:1].isdigit() else name


def variables(server: Document, find: Find) -> dict[str, Any]:
    """The variables of one host: how SSH reaches it, and what MyX knows of it. No secret."""
    ssh, agent = server.get("ssh") or {}, server.get("agent") or {}
    facts = {name: value for name, value in (agent.get("facts") or {}).items() if name not in _PASSING}
    found: dict[str, Any] = {"ansible_host": ssh.get("address") or server.get("address")}
    if ssh.get("port"):
        found["ansible_port"] = ssh["port"]
    if ssh.get("user"):
        found["ansible_user"] = ssh["user"]
    if jumps := _jumps(ssh.get("jump_servers") or [], find):
        found["ansible_ssh_common_args"] = f"-o ProxyJump={jumps}"
    found |= {
        "myx_id": server.get("id"),
        "myx_labels": server.get("labels") or {},
        "myx_status": agent.get("status") or "none",
        "myx_paused": server.get("pause") is not None,
        "myx_agent_version": agent.get("version") or "",
        "myx_facts": facts,
    }
    return {name: as_data(value) for name, value in found.items()}


def _jumps(names: list[Any], find: Find) -> str:
    """The hosts that the connection goes through, as ssh takes them; empty when one of them is not known."""
    hops = []
    for name in names:
        server = find(str(name))
        hop = _hop(server) if server is not None else ""
        if not hop:
            return ""
        hops.append(hop)
    return ",".join(hops)


def _hop(server: Mapping[str, Any]) -> str:
    ssh = server.get("ssh") or {}
    host, user = str(ssh.get("address") or server.get("address") or ""), str(ssh.get("user") or "")
    if not _HOST.fullmatch(host) or (user and not _USER.fullmatch(user)):
        return ""
    place = f"[{host}]" if ":" in host else host
    return f"{user}@{place}:{ssh.get('port') or 22}" if user else f"{place}:{ssh.get('port') or 22}"


def as_data(value: Any) -> Any:
    """`value`, with texts that Ansible would take for templates marked as what they are: what a host says of itself
    must not run on whoever looks at it.
    """
    if isinstance(value, str):
        return {"__ansible_unsafe": value} if _TEMPLATE.search(value) else value
    if isinstance(value, dict):
        return {key: as_data(one) for key, one in value.items() if not str(key).startswith(_MARK)}
    return [as_data(one) for one in value] if isinstance(value, list) else value
