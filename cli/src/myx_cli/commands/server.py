"""`myx server list|show`."""

from argparse import Namespace

from myx_cli.api import Client, Document
from myx_cli.endpoint import find
from myx_cli.pages import all_items
from myx_cli.servers import get_server
from myx_cli.sinks import print_json
from myx_cli.tables import Status, When, print_facts, print_table
from myx_cli.text import format_size

_LOADS = ("load_1m", "load_5m", "load_15m")


def list_(arguments: Namespace) -> int:
    """Lists servers by name."""
    client = Client(find(arguments))
    items = all_items(client, "/servers", selector=arguments.selector)
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("Name", "Status", "Since", "Address", "Last contact", "Version", "ID", "Labels"),
        [_row(item) for item in sorted(items, key=lambda item: str(item.get("name")))],
        "no servers yet" if arguments.selector is None else "no server matches",
        droppable=("ID", "Version", "Last contact", "Since"),
    )
    return 0


def show(arguments: Namespace) -> int:
    """Shows all that is known about one server."""
    client = Client(find(arguments))
    return show_one(get_server(client, arguments.server), arguments)


def show_one(server: Document, arguments: Namespace) -> int:
    """Shows a server as the command line wishes; 0."""
    if arguments.output == "json":
        print_json(server)
    else:
        print_facts(_facts(server))
    return 0


def _row(server: Document) -> tuple[object, ...]:
    agent = server.get("agent") or {}
    return (
        server.get("name"),
        Status(_status(server, agent)),
        When(agent.get("status_since") or ""),
        server.get("address"),
        When(agent.get("last_heartbeat") or ""),
        agent.get("version"),
        server.get("id"),
        _labels(server),
    )


def _facts(server: Document) -> list[tuple[str, object]]:
    agent = server.get("agent") or {}
    facts = agent.get("facts") or {}
    return [
        ("name", server.get("name")),
        ("id", server.get("id")),
        ("address", server.get("address")),
        ("labels", _labels(server)),
        ("added", When(server.get("created_at") or "")),
        *_access(server),
        ("maintenance", _maintenance(server)),
        ("paused", paused(server)),
        ("agent", Status(agent.get("status") or "no agent")),
        ("since", When(agent.get("status_since") or "")),
        ("flapping", When(agent.get("flapping_since") or "") if agent.get("flapping") else ""),
        ("quarantined", _quarantine(agent)),
        ("booted", When(agent.get("rebooted_at") or "")),
        ("rotating", "yes" if agent.get("rotating") else ""),
        ("cause", agent.get("status_reason")),
        ("message", agent.get("status_message")),
        ("last contact", When(agent.get("last_heartbeat") or "")),
        ("failures in a row", agent.get("failure_streak") or None),
        ("agent version", agent.get("version")),
        ("port", agent.get("rpc_port")),
        ("certificate", agent.get("certificate_sha256")),
        ("host name", facts.get("hostname")),
        ("system", _joined(facts, "os", "kernel", "arch")),
        ("python", facts.get("python")),
        ("cpus", facts.get("cpus") or None),
        ("load", " ".join(f"{facts[name]:.2f}" for name in _LOADS if isinstance(facts.get(name), float))),
        ("memory", _memory(facts)),
        *(("disk", _disk(disk)) for disk in facts.get("disks") or []),
    ]


def _access(server: Document) -> list[tuple[str, object]]:
    ssh = server.get("ssh") or {}
    if not ssh:
        return []
    own = "own" if ssh.get("has_credential") else "none"
    key = server.get("host_key") or {}
    unknown = "the first one is accepted" if server.get("accept_new_host_key") else "none yet"
    return [
        ("ssh", f"{ssh.get('user') or ''}@{ssh.get('address') or server.get('address')}:{ssh.get('port')}".lstrip("@")),
        ("credential", ssh.get("credential") or own),
        ("sudo", ssh.get("sudo")),
        ("through", ", ".join(map(str, ssh.get("jump_servers") or []))),
        ("host key", key.get("fingerprint") or unknown),
        ("repair", server.get("repair_policy")),
    ]


def _maintenance(server: Document) -> str:
    held = server.get("maintenance") or {}
    return f"{held.get('kind')} by {held.get('actor')}, deployment {held.get('holder')}" if held else ""


def _status(server: Document, agent: Document) -> str:
    told = str(agent.get("status") or "no agent")
    return f"{told} (paused)" if server.get("pause") else told


def paused(server: Document) -> str:
    """Until when a server is not checked, who said so, and why; empty when it is."""
    pause = server.get("pause") or {}
    if not pause:
        return ""
    reason = f": {pause['reason']}" if pause.get("reason") else ""
    return f"until {pause.get('until')} by {pause.get('actor')}{reason}"


def _quarantine(agent: Document) -> str:
    found = agent.get("quarantine") or {}
    if not found:
        return ""
    return f"machine {found.get('found_machine_id')} answers, not {found.get('expected_machine_id')}"


def _labels(server: Document) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted((server.get("labels") or {}).items()))


def _joined(facts: Document, *names: str) -> str:
    return " ".join(str(facts[name]) for name in names if facts.get(name) not in {None, ""})


def _memory(facts: Document) -> str:
    if not facts.get("memory_total_bytes"):
        return ""
    free, total = format_size(facts.get("memory_available_bytes")), format_size(facts["memory_total_bytes"])
    return f"{free} free of {total}"


def _disk(disk: Document) -> str:
    return f"{disk.get('mount')}  {format_size(disk.get('free_bytes'))} free of {format_size(disk.get('total_bytes'))}"
