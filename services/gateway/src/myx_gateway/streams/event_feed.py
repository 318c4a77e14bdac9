"""Events of the fleet to one client: those that it asked for and may see."""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final

from myx_gateway.access.access import Access
from myx_gateway.access.guard import Visible
from myx_gateway.operations import BY_NAME
from myx_gateway.streams.event_ring import EventRing, Item, Place, Waiter
from myx_gateway.streams.feed import Feed
from myx_gateway.streams.outage import Outage
from myx_kit.events.reader import NO_STREAM

# Items that a client holds while it sends.
_STEP: Final = 100
# How an event about no server is looked up: by the operation that shows what it is about.
_SHOWN_BY: Final = {"job": ("jobs.get", "job_id"), "schedule": ("schedules.get", "schedule")}
# How far another gateway may have read further than this one.
_AHEAD: Final = 10_000
_DELETED: Final = "server.deleted"
# After these other clients may see the server.
_CHANGES: Final = frozenset({"server.created", "server.updated"})
# How much later than its cause an event may come here while all is well.
_LATE_S: Final = 60.0


@dataclass(frozen=True)
class Wanted:
    """What a client asks for: types (`agent.online`, or `agent` for all of an agent) and a server; empty: all."""

    types: frozenset[str] = frozenset()
    server: str = ""
    # Behind which place; None: from now on. `from_oldest`: from the oldest that is kept.
    after: Place | None = None
    from_oldest: bool = False


@dataclass(frozen=True)
class Gap:
    """Between two places lie events that are not kept any more, or of which it is not known whether the client may see
    them; `before` may be of a stream that is gone.
    """

    before: Place
    behind: Place
    reason: str


Step = Item | Gap | Place


class Sight:
    """Which events a client may see; asked anew for each. A service that cannot be asked is borne for `heal_s`.

    A server that is gone is seen by nobody: its end is told to those who saw it last.
    """

    def __init__(self, access: Access, heal_s: float) -> None:
        self._access = access
        self._outage = Outage(heal_s, "RIGHT_UNKNOWN")
        self._visible = Visible(all=False)
        # When servers were found to be seen no more: perhaps they are gone, and the event that says so is on its way.
        self._lost_at: dict[str, float] = {}
        self._opened_at = 0.0

    async def open(self) -> None:
        """Look for the first time. Unavailable."""
        self._opened_at = time.monotonic()
        if not self._access.everywhere:
            await self._outage.patiently(self._look)

    async def server_id(self, reference: str) -> str:
        """The id of a server that the client may see, by id or name. NotFound `SERVER_NOT_FOUND`."""
        return await self._outage.patiently(lambda: self._access.seen(reference))

    async def sees(self, item: Item) -> bool:
        """Whether the client may see an event. Unavailable."""
        return self._access.everywhere or await self._outage.patiently(lambda: self._sees(item))

    def heeds(self, item: Item) -> bool:
        """Whether it matters for what the client may see later, although it did not ask for it."""
        return item.type in _CHANGES and not self._access.everywhere

    def is_doubtful(self, item: Item) -> bool:
        """Of what is not seen: whether it is the end of a server that may have been seen before the client came."""
        return item.type == _DELETED and item.came_at < self._opened_at + _LATE_S

    async def _sees(self, item: Item) -> bool:
        if item.server_id:
            await self._look(item.came_at if item.type in _CHANGES else 0.0)
            was_seen = item.type == _DELETED and item.server_id in self._lost_at
            return item.server_id in self._visible or was_seen
        operation, name = _SHOWN_BY.get(item.aggregate, ("", ""))
        return bool(operation) and await self._access.allows(BY_NAME[operation], {name: item.aggregate_id})

    async def _look(self, since: float = 0.0) -> None:
        before, self._visible = self._visible, await self._access.visible(since)
        if self._visible.ids is not before.ids:
            now = time.monotonic()
            lost = {id_: at for id_, at in self._lost_at.items() if now - at < _LATE_S}
            self._lost_at = lost | dict.fromkeys(before.ids - self._visible.ids, now)


class EventFeed(Feed):
    """`start`, events, `gap`; it never ends by itself."""

    comeback = "the last id as `after`"

    def __init__(self, ring: EventRing, sight: Sight, wanted: Wanted) -> None:
        self._ring = ring
        self._sight = sight
        self._wanted = wanted
        self._place: Place | None = None
        self._waiter = Waiter(lambda item: self._wants(item) or sight.heeds(item))
        self._idle = False
        self._server_id = ""
        self._resumes = wanted.after is not None

    async def open(self) -> None:
        """Find the server that is asked for. NotFound `SERVER_NOT_FOUND`, Unavailable."""
        if self._wanted.server:
            self._server_id = await self._sight.server_id(self._wanted.server)
        await self._sight.open()
        self._ring.enter(self._waiter)

    async def messages(self) -> AsyncIterator[str | bytes]:
        """All as JSON, told apart by `type`; those of events have a dot in it."""
        async for step in self._steps():
            yield _text(step)

    async def events(self) -> AsyncIterator[bytes]:
        """Events without a name of their own, so that `onmessage` gets them; `start` and `gap` by name."""
        async for step in self._steps():
            yield _event(step)

    def ping_text(self) -> str:
        """With the place up to which nothing else was for this client."""
        place = self._known_place()
        return json.dumps({"type": "ping", "id": str(place)} if place else {"type": "ping"})

    def ping_event(self) -> bytes:
        """The same: an `id` alone is remembered and dispatches nothing."""
        place = self._known_place()
        return f": ping\nid: {place}\n\n".encode() if place else super().ping_event()

    def place(self) -> dict[str, str | int]:
        """The last event that was read for it."""
        return {"events_after": str(self._place or "")}

    async def close(self) -> None:
        """Leave the ring."""
        self._ring.leave(self._waiter)

    def _known_place(self) -> Place | None:
        if self._idle and not self._waiter.woken.is_set():
            self._place = self._furthest(self._place)
        return self._place

    def _furthest(self, place: Place | None) -> Place:
        """All that the ring has was looked at; the client may have seen more elsewhere."""
        here = self._ring.here
        return place if place is not None and place.epoch == here.epoch and place.seq > here.seq else here

    def _wants(self, item: Item) -> bool:
        types = self._wanted.types
        if self._server_id and item.server_id != self._server_id:
            return False
        return not types or item.type in types or item.aggregate in types

    async def _steps(self) -> AsyncGenerator[Step]:
        await self._ring.wait_loaded()
        for step in self._begin():
            yield step
        while True:
            self._waiter.woken.clear()
            async for step in self._catch_up():
                yield step
            self._idle = True
            await self._waiter.woken.wait()
            self._idle = False

    def _begin(self) -> list[Step]:
        """Where it starts, and the gap before that, if there is one."""
        ring, after = self._ring, self._wanted.after
        self._place = ring.oldest if self._wanted.from_oldest else ring.here
        if after is None or after.epoch == NO_STREAM:
            self._place = self._place if after is None else ring.oldest
            return [self._place]
        gap = self._gap_behind(after)
        # Another gateway may have read further than this one: then what is up to `after` is left out when it comes.
        self._place = gap.behind if gap else after
        return [gap, self._place] if gap else [self._place]

    def _gap_behind(self, place: Place) -> Gap | None:
        ring = self._ring
        # Another gateway is never so far ahead; a stream that was restored from a copy is behind.
        if place.epoch != ring.epoch or place.seq > ring.end + _AHEAD:
            return Gap(place, ring.oldest, "restarted")
        return Gap(place, ring.oldest, "not_kept") if place.seq < ring.begin else None

    async def _catch_up(self) -> AsyncIterator[Step]:
        """What has come since, as far as it is for this client."""
        while True:
            assert self._place is not None  # noqa: S101 - it has begun
            if self._place.epoch == NO_STREAM:
                # The first event ever makes the stream.
                self._place = self._ring.oldest
            gap = self._gap_behind(self._place)
            if gap is not None:
                self._place = gap.behind
                yield gap
            place = self._place
            items = self._ring.behind(place.seq, _STEP)
            if not items:
                self._place = self._furthest(place)
                return
            for item in items:
                behind = Place(place.epoch, item.seq)
                is_wanted = self._wants(item)
                is_seen = (is_wanted or self._sight.heeds(item)) and await self._sight.sees(item)
                if is_wanted and is_seen:
                    yield item
                elif is_wanted and self._resumes and self._sight.is_doubtful(item):
                    yield Gap(place, behind, "not_known")
                self._place = place = behind


def _text(step: Step) -> str:
    match step:
        case Item():
            return step.text
        case Gap():
            gap = {"type": "gap", "from": str(step.before), "to": str(step.behind), "reason": step.reason}
            return json.dumps(gap)
        case Place():
            return json.dumps({"type": "start", "id": str(step)})


def _event(step: Step) -> bytes:
    match step:
        case Item():
            return f"id: {step.id}\ndata: {step.text}\n\n".encode()
        case Gap():
            return f"id: {step.behind}\nevent: gap\ndata: {_text(step)}\n\n".encode()
        case Place():
            return f"id: {step}\nevent: start\ndata: {_text(step)}\n\n".encode()
