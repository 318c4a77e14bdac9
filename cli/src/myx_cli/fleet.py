"""The servers of a selector as they are now, without reading all of them again and again."""

import threading
import time
from collections.abc import Callable, Iterable

from myx_cli.api import Client, Document
from myx_cli.endpoint import Endpoint
from myx_cli.errors import Failure
from myx_cli.event_stream import EventFollower
from myx_cli.follow import Patience
from myx_cli.pages import all_items

# How long the first look waits for the stream of events, and how long a stream that broke is let alone.
_STREAM_S = 2.0
# Between two readings of the whole: so many times as long as one takes (4 s for 10,000 servers).
_REST = 20.0
_IN_ONE_LOOK = 500
# Ids in one selector, of at most 4,096 characters together with the selector of whoever asks.
_IN_ONE_REQUEST = 50
_SELECTOR_MOST = 2_000


class Fleet:
    """Reads the whole once, then what events tell of and what is on the screen.

    The whole is read again when events were missed or a look failed, and seldom without a cause, because load, memory,
    disk and latency change without an event. So it is right without events, too, only later.
    """

    def __init__(self, endpoint: Endpoint, selector: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._endpoint = endpoint
        self._client = Client(endpoint)
        self._selector = selector or "all"
        self._clock = clock
        self._servers: dict[str, Document] = {}
        self._next_whole_at = 0.0
        self._streams = threading.Event()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._missed = True

    def watch(self) -> None:
        """Begins to follow events, in a thread of its own."""
        threading.Thread(target=self._follow, name="events", daemon=True).start()
        self._streams.wait(_STREAM_S)

    def close(self) -> None:
        """Follows no more when this stream has ended."""
        self._over.set()
        self._client.close()

    def look(self, shown: Iterable[str] = ()) -> list[Document]:
        """All servers, those with ids in `shown` or an event since the last look as they are now. Failure."""
        with self._lock:
            whole = self._missed or self._clock() >= self._next_whole_at
            some = not whole and len(self._selector) <= _SELECTOR_MOST
            ids = list(dict.fromkeys((*shown, *self._changed)))[:_IN_ONE_LOOK] if some else []
            self._changed = set() if whole else self._changed.difference(ids)
            self._missed = False
        try:
            if whole:
                self._read_whole()
            for start in range(0, len(ids), _IN_ONE_REQUEST):
                self._read(ids[start : start + _IN_ONE_REQUEST])
        except Failure:
            self._miss()
            raise
        return list(self._servers.values())

    def event(self, event: Document) -> None:
        """Remembers whose it is."""
        if event.get("server_id"):
            with self._lock:
                self._changed.add(str(event["server_id"]))

    def gap(self, _gap: Document) -> None:
        """Nobody knows what happened in between."""
        self._miss()

    def _read_whole(self) -> None:
        begin = self._clock()
        self._servers = {str(one["id"]): one for one in all_items(self._client, "/servers", selector=self._selector)}
        end = self._clock()
        self._next_whole_at = end + _REST * (end - begin)

    def _read(self, ids: list[str]) -> None:
        selector = f"({self._selector}) and id in ({', '.join(ids)})"
        there = {str(one["id"]): one for one in all_items(self._client, "/servers", selector=selector)}
        for one in ids:
            self._servers.pop(one, None)
        self._servers |= there

    def _miss(self) -> None:
        with self._lock:
            self._missed = True

    def _follow(self) -> None:
        client = Client(self._endpoint)
        while not self._over.is_set():
            # Without patience of its own: what is missed is read anew.
            follower = EventFollower(client, Patience(0), types=["agent", "server"], server_id="")
            try:
                begin = follower.now(self)
                self._miss()
                self._streams.set()
                follower.follow(begin, self)
            except Failure:
                self._over.wait(_STREAM_S)
        client.close()
