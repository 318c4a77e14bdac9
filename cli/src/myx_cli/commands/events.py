"""`myx events`: what happens in the fleet."""

from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import find
from myx_cli.errors import ApiError, Failure
from myx_cli.event_stream import EventFollower, Seen
from myx_cli.follow import Patience
from myx_cli.interrupts import Interrupts
from myx_cli.output import note, print_line
from myx_cli.servers import get_server
from myx_cli.sinks import print_json_line
from myx_cli.text import clean

_SHORT = 120


def events(arguments: Namespace) -> int:
    """Prints events, a line each, as they come; without --follow those that are kept."""
    client = Client(find(arguments))
    server_id = str(get_server(client, arguments.server)["id"]) if arguments.server else ""
    interrupts = Interrupts(None, lambda: None)
    interrupts.watch()
    sink: Seen = _Json() if arguments.output == "json" else _Lines(Client(client.endpoint))
    patience = Patience(arguments.reconnect_timeout, interrupts.sleep)
    follower = EventFollower(client, patience, types=arguments.type or [], server_id=server_id)
    if arguments.follow:
        follower.follow(arguments.after or "", sink)
    else:
        follower.until_now(arguments.after or "0", sink)
    return 0


class _Json:
    """The documents as they are."""

    def event(self, event: Document) -> None:
        """One line."""
        print_json_line(event)

    def gap(self, gap: Document) -> None:
        """One line."""
        print_json_line(gap)


class _Lines:
    """For people."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._names: dict[str, str] = {}

    def event(self, event: Document) -> None:
        """Time, type, server, and what else is known."""
        server_id = event.get("server_id")
        server = self._name(str(server_id)) if server_id else "-"
        told = " ".join(f"{name}={_short(value)}" for name, value in (event.get("data") or {}).items() if value)
        print_line("\t".join((clean(event.get("time")), clean(event.get("type")), clean(server), clean(told))))

    def gap(self, gap: Document) -> None:
        """A line on stderr."""
        note(f"events between {gap.get('from')} and {gap.get('to')} are not kept any more ({gap.get('reason')})")

    def _name(self, server_id: str) -> str:
        if server_id not in self._names:
            try:
                name = str(self._client.get(f"/servers/{segment(server_id)}").get("name"))
            except Failure as failure:
                if not isinstance(failure, ApiError) or failure.status not in {403, 404}:
                    return server_id
                name = server_id
            self._names[server_id] = name
        return self._names[server_id]


def _short(value: object) -> str:
    text = clean(_in_words(value))
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _in_words(value: object) -> object:
    """`(2 success, 1 not started)` of counts by state; of other maps and of lists what they hold, in brackets, too."""
    if isinstance(value, dict):
        counts = all(isinstance(one, int) and not isinstance(one, bool) for one in value.values())
        value = [f"{one} {name.replace('_', ' ')}" if counts else f"{name}: {one}" for name, one in value.items()]
    return f"({', '.join(map(str, value))})" if isinstance(value, list) else value
