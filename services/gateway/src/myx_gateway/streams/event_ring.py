"""The last events of the fleet, once for all clients of this process: a client is a place in it, not a buffer."""

import asyncio
import re
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from myx.events.v1.events_pb2 import Event
from myx_gateway.convert import events as convert
from myx_kit.errors import InvalidArgument
from myx_kit.events.reader import StoredEvent

# What is trimmed at once; trimming moves all that stays.
_TRIM: Final = 1000
_PLACE: Final = re.compile(r"([0-9a-z]{1,24})-(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Behind which event: of which stream (NATS makes a new one when its storage is lost), and its number there."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"


def parse_place(text: str, name: str) -> Place | None:
    """A place from the text of `name`; None for `0`: before all that is kept. InvalidArgument."""
    if text == "0":
        return None
    match = _PLACE.fullmatch(text)
    if match is None:
        said = "must be the id of an event, or 0"
        raise InvalidArgument("REQUEST_INVALID", f"{name} {said}", **{name: said})
    return Place(match[1], int(match[2]))


class Item:
    """An event that can be sent; made ready when the first client wants it.

    `aggregate` and `aggregate_id`: what it is about where it is about no server. `came_at`: when it came here, by the
    monotonic clock.
    """

    __slots__ = ("_message", "_text", "aggregate", "aggregate_id", "came_at", "id", "seq", "server_id", "size", "type")

    def __init__(self, place: Place, kind: str, message: Event) -> None:
        fact = getattr(message, kind)
        self.came_at = time.monotonic()
        self.seq = place.seq
        self.id = str(place)
        self.type = convert.TYPES[kind]
        self.aggregate = self.type.partition(".")[0]
        self.server_id = str(getattr(fact, "server_id", ""))
        self.aggregate_id = str(getattr(fact, f"{self.aggregate}_id", ""))
        # About what its JSON takes beside the message itself.
        self.size = 3 * message.ByteSize()
        self._message = message
        self._text = ""

    @property
    def text(self) -> str:
        """The JSON of it."""
        if not self._text:
            self._text = convert.event(self.id, self._message).model_dump_json()
        return self._text


Wants = Callable[[Item], bool]


class Waiter:
    """Is woken by events that it wants; until then all that came was not for it."""

    def __init__(self, wants: Wants) -> None:
        self.wants = wants
        self.woken = asyncio.Event()


class EventRing:
    """The sink of an EventReader. It holds all events behind `begin` up to `end`, at most `keep` and `max_bytes`."""

    def __init__(self, keep: int, max_bytes: int = 32 << 20) -> None:
        self._keep = keep
        self._max_bytes = max_bytes
        self._bytes = 0
        self._items: list[Item] = []
        self._seqs: list[int] = []
        self._waiters: set[Waiter] = set()
        self._loaded = asyncio.Event()
        self.epoch = ""
        self.begin = 0
        self.end = 0

    @property
    def here(self) -> Place:
        """Behind the last event."""
        return Place(self.epoch, self.end)

    @property
    def oldest(self) -> Place:
        """Before the oldest event that is kept."""
        return Place(self.epoch, self.begin)

    async def wait_loaded(self) -> None:
        """Return once all that was stored when this process began has been read."""
        await self._loaded.wait()

    def enter(self, waiter: Waiter) -> None:
        """Wake it from now on."""
        self._waiters.add(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Wake it no more."""
        self._waiters.discard(waiter)

    def behind(self, seq: int, most: int) -> Sequence[Item]:
        """The next events behind `seq`, at most so many."""
        start = bisect_right(self._seqs, seq)
        return self._items[start : start + most]

    def restart(self, epoch: str, after: int) -> None:
        """Begin anew: what is kept is of another stream."""
        self._items, self._seqs, self._bytes = [], [], 0
        self.epoch, self.begin, self.end = epoch, after, after
        self._wake_all()

    def skip(self, to: int) -> None:
        """There is a hole: nothing before it can be resumed without a gap."""
        self._items, self._seqs, self._bytes = [], [], 0
        self.begin = self.end = to
        self._wake_all()

    def add(self, events: Sequence[StoredEvent]) -> None:
        """Keep events, and wake who wants one of them."""
        new = [item for one in events if (item := self._item(one)) is not None]
        self._items += new
        self._seqs += [item.seq for item in new]
        self._bytes += sum(item.size for item in new)
        self.end = events[-1].seq
        self._trim()
        for waiter in self._waiters:
            if not waiter.woken.is_set() and any(map(waiter.wants, new)):
                waiter.woken.set()

    def reached_end(self) -> None:
        """Clients may be told where they are."""
        self._loaded.set()

    def _wake_all(self) -> None:
        for waiter in self._waiters:
            waiter.woken.set()

    def _trim(self) -> None:
        while self._items and (len(self._items) >= self._keep + _TRIM or self._bytes > self._max_bytes):
            dropped = self._items[:_TRIM]
            del self._items[:_TRIM], self._seqs[:_TRIM]
            self._bytes -= sum(item.size for item in dropped)
            self.begin = dropped[-1].seq

    def _item(self, stored: StoredEvent) -> Item | None:
        """None for what is no event, or of a kind that is not known here yet."""
        kind = stored.event.WhichOneof("fact") if stored.event is not None else None
        return Item(Place(self.epoch, stored.seq), kind, stored.event) if kind and stored.event is not None else None
