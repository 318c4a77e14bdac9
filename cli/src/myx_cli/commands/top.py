"""`myx top`: the fleet, live."""

import time
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from contextlib import closing

from myx_cli.api import Client, Document
from myx_cli.commands.server import paused
from myx_cli.endpoint import find
from myx_cli.errors import ApiError, Unreachable
from myx_cli.fleet import Fleet
from myx_cli.interrupts import Interrupts
from myx_cli.jobs.cells import columns, cut, inert
from myx_cli.jobs.terminal import Terminal, is_live
from myx_cli.sinks import print_json
from myx_cli.tables import Status, When, print_table
from myx_cli.text import clean
from myx_cli.times import ago

_SHORTEST_S = 0.2
# Worst first.
_ORDER = ("quarantined", "offline", "unknown", "flapping", "pending", "online", "paused", "no agent")
_STYLES = {"online": "success", "offline": "bad", "quarantined": "bad", "unknown": "away", "flapping": "waiting"}
_STYLES |= {"pending": "waiting", "paused": "dim", "no agent": "dim"}
_HEAD = ("NAME", "STATUS", "SINCE", "LOAD", "MEM", "DISK", "LATENCY", "CAUSE")
_WIDTHS = (24, 11, 12, 6, 5, 5, 8)


def top(arguments: Namespace) -> int:
    """Shows the fleet until Ctrl-C; once where stdout is no terminal."""
    endpoint = find(arguments)
    client = Client(endpoint)
    with closing(Fleet(endpoint, arguments.selector)) as fleet:
        if arguments.output == "json":
            items = fleet.look()
            print_json({"counts": _counts(items), "heartbeat": _heartbeat(client), "items": items})
            return 0
        if arguments.once or not is_live():
            rows = [_plain(one) for one in _sorted(fleet.look(), arguments.sort)]
            print_table([name.capitalize() for name in _HEAD], rows, "no servers yet")
            return 0
        return _live(client, fleet, arguments)


def _live(client: Client, fleet: Fleet, arguments: Namespace) -> int:
    terminal = Terminal()
    interrupts = Interrupts(None, terminal.clear)
    interrupts.watch()
    fleet.watch()
    lines: list[tuple[str, int]] = []
    shown: list[str] = []
    while True:
        try:
            items = _sorted(fleet.look(shown), arguments.sort)
            lines = _picture(items, _heartbeat(client), terminal)
            shown = [str(one["id"]) for one in items[: terminal.size()[1]]]
            trouble = ""
        except (ApiError, Unreachable) as error:
            temporary = error.temporary if isinstance(error, ApiError) else not error.permanent
            if not temporary:
                raise
            trouble = f"{error.message}; trying again"
        told = [*lines[: max(0, terminal.size()[1] - 2)]]
        if trouble:
            told.append((terminal.style(cut(inert(trouble), terminal.size()[0] - 1), "bad"), columns(trouble)))
        terminal.draw(told)
        time.sleep(max(_SHORTEST_S, arguments.interval))


def _heartbeat(client: Client) -> Document:
    try:
        return client.get("/heartbeat")
    except ApiError as error:
        # The whole fleet's: not for who sees some servers only.
        if error.reason != "FORBIDDEN":
            raise
        return {}


def _counts(items: Sequence[Document]) -> dict[str, int]:
    counts = Counter(state(one) for one in items)
    return {name: counts[name] for name in _ORDER if counts[name]}


def state(server: Document) -> str:
    """What is to be said of a server in a word."""
    agent = server.get("agent") or {}
    if not agent:
        return "no agent"
    if agent.get("quarantine"):
        return "quarantined"
    if server.get("pause"):
        return "paused"
    if agent.get("flapping"):
        return "flapping"
    return str(agent.get("status"))


def measured(server: Document) -> tuple[float | None, float | None, float | None, float | None]:
    """Load for each CPU, used parts of memory and of the fullest file system, latency in seconds."""
    agent = server.get("agent") or {}
    facts = agent.get("facts") or {}
    load = facts["load_1m"] / facts["cpus"] if facts.get("cpus") else None
    total = facts.get("memory_total_bytes")
    memory = 1 - facts.get("memory_available_bytes", 0) / total if total else None
    disks = [1 - one["free_bytes"] / one["total_bytes"] for one in facts.get("disks") or [] if one.get("total_bytes")]
    return load, memory, max(disks, default=None), agent.get("latency_s")


def _sorted(items: Sequence[Document], by: str) -> list[Document]:
    if by == "name":
        return sorted(items, key=lambda one: str(one.get("name")))
    if by == "status":
        return sorted(items, key=lambda one: (_place(state(one)), str(one.get("name"))))
    index = ("load", "memory", "disk", "latency").index(by)

    def worst(one: Document) -> tuple[float, str]:
        value = measured(one)[index]
        return (-1.0 if value is None else value) * -1, str(one.get("name"))

    return sorted(items, key=worst)


def _place(told: str) -> int:
    """Worst first; a state that a newer MyX knows comes before all."""
    return _ORDER.index(told) if told in _ORDER else -1


def _plain(server: Document) -> tuple[object, ...]:
    agent = server.get("agent") or {}
    told = state(server)
    return (server.get("name"), Status(told), When(agent.get("status_since") or ""), *_shown(server), _cause(server))


def _shown(server: Document) -> tuple[str, str, str, str]:
    load, memory, disk, latency = measured(server)
    return (
        "" if load is None else f"{load:.2f}",
        "" if memory is None else f"{memory:.0%}",
        "" if disk is None else f"{disk:.0%}",
        "" if latency is None else f"{latency * 1000:.0f} ms",
    )


def _cause(server: Document) -> str:
    agent = server.get("agent") or {}
    return paused(server) or " ".join(str(agent.get(name) or "") for name in ("status_reason", "status_message"))


def _picture(items: Sequence[Document], heartbeat: Document, terminal: Terminal) -> list[tuple[str, int]]:
    width, height = terminal.size()
    width = max(20, width - 1)
    lines = [_title(items, width, terminal)]
    doubt = heartbeat.get("suspicion")
    if doubt:
        told = f"MyX doubts itself: {doubt.get('failing')} agents fail at once. {doubt.get('message')}"
        text = cut(inert(told), width)
        lines.append((terminal.style(text, "away"), columns(text)))
    lines.append(_row(_HEAD, width, terminal, "bold"))
    room = max(0, height - len(lines) - 2)
    for one in items[:room]:
        agent = one.get("agent") or {}
        told = state(one)
        since = ago(agent.get("status_since") or "")
        cells = (clean(one.get("name")), told, since, *_shown(one), inert(_cause(one)))
        lines.append(_row(cells, width, terminal, _STYLES.get(told, "")))
    if len(items) > room:
        text = cut(f"{terminal.glyphs.more} and {len(items) - room} more", width)
        lines.append((terminal.style(text, "dim"), columns(text)))
    return lines


def _title(items: Sequence[Document], width: int, terminal: Terminal) -> tuple[str, int]:
    parts = [(f"{count} {name}", _STYLES.get(name, "dim")) for name, count in _counts(items).items()]
    head = f"{len(items)} {'server' if len(items) == 1 else 'servers'}: "
    plain = head + ", ".join(text for text, _ in parts)
    if columns(plain) > width:
        return cut(plain, width), width
    return head + ", ".join(terminal.style(text, style) for text, style in parts), columns(plain)


def _row(cells: Sequence[str], width: int, terminal: Terminal, style: str) -> tuple[str, int]:
    text = ""
    for cell, size in zip(cells, (*_WIDTHS, width), strict=True):
        shown = cut(cell, size - 1)
        text += shown + " " * max(1, size - columns(shown))
    text = cut(text.rstrip(), width)
    return terminal.style(text, style), columns(text)
