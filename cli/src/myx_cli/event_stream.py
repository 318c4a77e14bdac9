"""Following the events of the fleet, across every loss of the connection."""

import json
from typing import Any, Protocol
from urllib.parse import urlencode

from myx_cli.api import Client, Document
from myx_cli.errors import ApiError, Failure, Unreachable
from myx_cli.follow import FAULT_S, FAULTS, Patience
from myx_cli.websocket import TEXT, Closed, WebSocket


class Seen(Protocol):
    """Where events go."""

    def event(self, event: Document) -> None:
        """Something happened."""

    def gap(self, gap: Document) -> None:
        """Between two ids lie events that are not kept any more."""


class EventFollower:
    """Hands events to a sink, each once."""

    def __init__(self, client: Client, patience: Patience, *, types: list[str], server_id: str) -> None:
        self._client = client
        self._patience = patience
        self._types = types
        self._server_id = server_id
        self._place = ""

    def follow(self, after: str, sink: Seen) -> None:
        """From `after` on (empty: from now) for ever. Failure when MyX declines or stays away."""
        self._place = after
        self._run(sink, end="", filtered=True)

    def now(self, sink: Seen) -> str:
        """The place behind what has happened by now: what is read from MyX afterwards is at least as new."""
        self._place = ""
        self._run(sink, end="", filtered=False, only_start=True)
        return self._place

    def until_now(self, after: str, sink: Seen) -> None:
        """From `after` up to what has happened by now."""
        end = self.now(sink)
        self._place = after
        # Everything is asked for and what is not wanted left out here: so the last event shows that it was the last.
        self._run(sink, end=end, filtered=False)

    def _run(self, sink: Seen, *, end: str, filtered: bool, only_start: bool = False) -> None:
        while True:
            cause, limit_s, done = self._once(sink, end, filtered=filtered, only_start=only_start)
            if done:
                return
            if not self._patience.pause(cause, limit_s):
                behind = f": myx events -f --after {self._place}" if self._place else ""
                raise Failure(f"{cause}, for {limit_s:.0f} s; what happened meanwhile is kept{behind}")

    def _once(self, sink: Seen, end: str, *, filtered: bool, only_start: bool) -> tuple[str, float, bool]:
        """One connection: why it ended, for how long to try again, and whether all was told."""
        limit_s = self._patience.limit_s
        query: dict[str, Any] = {"after": self._place} if self._place else {}
        if filtered:
            query |= {"type": self._types} | ({"server": self._server_id} if self._server_id else {})
        try:
            socket = WebSocket(self._client, f"/events?{urlencode(query, doseq=True)}")
        except Unreachable as error:
            if error.permanent:
                raise
            return error.message, limit_s, False
        except ApiError as error:
            if not error.temporary:
                raise
            return error.message, limit_s, False
        try:
            while True:
                for kind, data in socket.receive():
                    if kind == TEXT and self._take(bytes(data), sink, end, only_start=only_start):
                        return "", limit_s, True
                self._patience.progress()
        except Closed as closed:
            cause = f"MyX closed the stream of events ({closed.reason or closed.code})"
            return cause, min(limit_s, FAULT_S) if closed.code in FAULTS else limit_s, False
        finally:
            socket.close()

    def _take(self, data: bytes, sink: Seen, end: str, *, only_start: bool) -> bool:
        """One message; whether it was the last one that is wanted."""
        try:
            told = json.loads(data)
            kind = str(told["type"])
        except (ValueError, KeyError, TypeError):
            raise Failure("the stream of events holds what is not MyX's; is the address right?") from None
        if "." in kind:
            if self._wants(told):
                sink.event(told)
        elif kind == "gap":
            sink.gap(told)
        self._place = str(told.get("to") if kind == "gap" else told.get("id") or self._place)
        return (only_start and kind == "start") or (bool(end) and _reached(self._place, end))

    def _wants(self, event: Document) -> bool:
        kind = str(event["type"])
        known = not self._types or kind in self._types or kind.partition(".")[0] in self._types
        return known and (not self._server_id or event.get("server_id") == self._server_id)


def _reached(place: str, end: str) -> bool:
    """Whether `place` is `end` or behind it; of another stream it is behind it, too."""
    (epoch, _, here), (last, _, there) = place.rpartition("-"), end.rpartition("-")
    return epoch != last or not here.isdigit() or not there.isdigit() or int(here) >= int(there)
