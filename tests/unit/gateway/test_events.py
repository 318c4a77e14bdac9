"""Events of the fleet: the ring, and what one client is told of it."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from myx.events.v1 import events_pb2
from myx_gateway.access.guard import Visible
from myx_gateway.convert import events as convert
from myx_gateway.streams.event_feed import EventFeed, Sight, Wanted
from myx_gateway.streams.event_ring import EventRing, Place, parse_place
from myx_kit.errors import InvalidArgument, NotFound, Unavailable
from myx_kit.events.reader import NO_STREAM, StoredEvent
from myx_testkit.wait import until

PAGE = Path(__file__).parents[3] / "docs/streams.md"


class FakeAccess:
    """Who sees the servers in `ids` (None: all) and the jobs in `jobs`."""

    def __init__(self, ids: set[str] | None = None, jobs: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.ids, self.jobs = ids, jobs
        self.failures: list[Exception] = []
        self.looks = 0

    @property
    def everywhere(self) -> bool:
        return self.ids is None

    async def visible(self, since: float = 0.0) -> Visible:
        if self.failures:
            raise self.failures.pop()
        self.looks += 1
        return Visible(all=False, ids=frozenset(self.ids or ()))

    async def allows(self, operation: Any, params: dict[str, str]) -> bool:
        assert operation.name == "jobs.get"
        return params["job_id"] in self.jobs

    async def seen(self, reference: str) -> str:
        if reference != "web-1":
            raise NotFound("SERVER_NOT_FOUND", "no such server")
        return "s1"


def stored(seq: int, kind: str = "agent_online", **fields: Any) -> StoredEvent:
    event = events_pb2.Event(id=str(seq))
    getattr(event, kind).SetInParent()
    for name, value in fields.items():
        setattr(getattr(event, kind), name, value)
    return StoredEvent(seq, event)


def filled(count: int, keep: int = 100, **fields: Any) -> EventRing:
    ring = EventRing(keep)
    ring.restart("e1", 0)
    if count:
        ring.add([stored(seq, **fields) for seq in range(1, count + 1)])
    ring.reached_end()
    return ring


class Client:
    """Reads a feed."""

    def __init__(self, feed: EventFeed) -> None:
        self.feed = feed
        self.messages = feed.messages()

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            told: dict[str, Any] = json.loads(await anext(self.messages))
            return told

    async def is_quiet(self) -> bool:
        """Nothing comes. The feed is asked anew afterwards, so this is the last thing to do."""
        waiting = asyncio.ensure_future(anext(self.messages))
        for _ in range(10):
            await asyncio.sleep(0)
        quiet = not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return quiet


@asynccontextmanager
async def client(ring: EventRing, access: Any = None, **wanted: Any) -> AsyncIterator[Client]:
    for name in ("types",):
        wanted[name] = frozenset(wanted.get(name, ()))
    feed = EventFeed(ring, Sight(access or FakeAccess(), heal_s=5), Wanted(**wanted))
    await feed.open()
    yield Client(feed)
    await feed.close()


async def test_a_client_is_told_where_it_begins_and_then_what_happens() -> None:
    ring = filled(3)
    async with client(ring) as one:
        assert await one.next() == {"type": "start", "id": "e1-3"}
        ring.add([stored(4, server_id="s1", agent_id="a1", version="1.2")])
        told = await one.next()
        assert told == {
            "id": "e1-4",
            "time": "1970-01-01T00:00:00Z",
            "type": "agent.online",
            "server_id": "s1",
            "data": {"agent_id": "a1", "version": "1.2"},
        }
        assert await one.is_quiet()


async def test_it_comes_back_where_it_was() -> None:
    ring = filled(5)
    async with client(ring, after=Place("e1", 3)) as one:
        assert [(await one.next())["id"] for _ in range(3)] == ["e1-3", "e1-4", "e1-5"]
    async with client(ring, from_oldest=True) as one:
        assert [(await one.next())["id"] for _ in range(6)] == [f"e1-{seq}" for seq in range(6)]


async def test_a_gap_is_told_where_events_are_not_kept_any_more() -> None:
    ring = filled(1200, keep=100)
    assert ring.begin == 1000
    async with client(ring, after=Place("e1", 7)) as one:
        assert await one.next() == {"type": "gap", "from": "e1-7", "to": "e1-1000", "reason": "not_kept"}
        assert (await one.next())["id"] == "e1-1000"
        assert (await one.next())["id"] == "e1-1001"
    async with client(ring, after=Place("e0", 1100)) as one:
        assert await one.next() == {"type": "gap", "from": "e0-1100", "to": "e1-1000", "reason": "restarted"}
    async with client(ring, from_oldest=True) as one:
        assert (await one.next())["type"] == "start"


async def test_a_client_that_is_connected_is_told_of_holes_and_of_another_stream() -> None:
    ring = filled(3)
    async with client(ring) as one:
        await one.next()
        ring.skip(10)
        ring.add([stored(11)])
        assert await one.next() == {"type": "gap", "from": "e1-3", "to": "e1-10", "reason": "not_kept"}
        assert (await one.next())["id"] == "e1-11"
        ring.restart("e2", 0)
        ring.add([stored(1)])
        assert await one.next() == {"type": "gap", "from": "e1-11", "to": "e2-0", "reason": "restarted"}
        assert (await one.next())["id"] == "e2-1"


async def test_one_that_read_further_elsewhere_gets_nothing_twice() -> None:
    ring = filled(3)
    async with client(ring, after=Place("e1", 5)) as one:
        assert (await one.next())["id"] == "e1-5"
        ring.add([stored(4), stored(5)])
        ring.add([stored(6)])
        assert (await one.next())["id"] == "e1-6"


async def test_nothing_is_said_before_it_is_known_where_the_stream_begins() -> None:
    ring = EventRing(10)
    async with client(ring, after=Place("e1", 2)) as one:
        first = asyncio.ensure_future(one.next())
        await asyncio.sleep(0)
        assert json.loads(one.feed.ping_text()) == {"type": "ping"}
        assert one.feed.ping_event() == b": ping\n\n"
        ring.restart("e1", 0)
        ring.add([stored(seq) for seq in (1, 2, 3)])
        ring.reached_end()
        assert (await first)["id"] == "e1-2"
        assert (await one.next())["id"] == "e1-3"


async def test_the_first_event_ever_reaches_those_who_wait_for_it() -> None:
    ring = EventRing(10)
    ring.restart(NO_STREAM, 0)
    ring.reached_end()
    async with client(ring) as one, client(ring, after=Place(NO_STREAM, 0)) as other:
        assert await one.next() == await other.next() == {"type": "start", "id": "0-0"}
        ring.restart("e1", 0)
        ring.add([stored(1)])
        assert (await one.next())["id"] == (await other.next())["id"] == "e1-1"
    async with client(ring, after=Place(NO_STREAM, 0)) as late:
        assert [(await late.next())["id"] for _ in range(2)] == ["e1-0", "e1-1"]


async def test_types_and_servers_are_chosen() -> None:
    ring = filled(0)
    async with client(ring, types={"agent", "job.paused"}, server="web-1") as both, client(ring, types={"job"}) as jobs:
        for one in (both, jobs):
            await one.next()
        ring.add(
            [
                stored(1, server_id="s2"),
                stored(2, "command_started", server_id="s1"),
                stored(3, "job_started", job_id="j1"),
                stored(4, server_id="s1"),
            ]
        )
        assert (await both.next())["id"] == "e1-4"
        assert (await jobs.next())["id"] == "e1-3"
        assert await both.is_quiet()


async def test_a_server_that_may_not_be_seen_is_not_found() -> None:
    with pytest.raises(NotFound):
        async with client(filled(0), server="db-1"):
            pass


async def test_a_ping_says_how_far_the_stream_is_although_nothing_was_for_the_client() -> None:
    ring = filled(3)
    async with client(ring, types={"job"}) as one:
        await one.next()
        waiting = asyncio.ensure_future(one.next())
        for _ in range(5):
            await asyncio.sleep(0)
        ring.add([stored(4)])
        assert json.loads(one.feed.ping_text()) == {"type": "ping", "id": "e1-4"}
        assert one.feed.ping_event() == b": ping\nid: e1-4\n\n"
        ring.add([stored(5, "job_started", job_id="j1")])
        # It is on its way: whoever resumes by this ping must get it.
        assert json.loads(one.feed.ping_text())["id"] == "e1-4"
        assert (await waiting)["id"] == "e1-5"


async def test_only_what_may_be_seen_is_told() -> None:
    ring = filled(0)
    access = FakeAccess({"s1"}, {"mine"})
    async with client(ring, access) as one:
        await one.next()
        ring.add(
            [
                stored(1, server_id="s1"),
                stored(2, server_id="s2"),
                stored(3, "job_started", job_id="mine"),
                stored(4, "job_started", job_id="theirs"),
                stored(5, server_id="s1"),
            ]
        )
        assert [(await one.next())["id"] for _ in range(3)] == ["e1-1", "e1-3", "e1-5"]
        # Rights change while it is open.
        access.ids = {"s2"}
        ring.add([stored(6, server_id="s1"), stored(7, server_id="s2")])
        assert (await one.next())["id"] == "e1-7"
        # A server that is gone matches nothing any more; who saw it is told.
        access.ids = set()
        ring.add([stored(8, "server_deleted", server_id="s2"), stored(9, "server_deleted", server_id="s3")])
        assert (await one.next())["id"] == "e1-8"
        assert await one.is_quiet()


class StaleAccess(FakeAccess):
    """Sees what it saw before, unless it is asked for what is newer."""

    def __init__(self, ids: set[str]) -> None:
        super().__init__(ids)
        self.looked_at, self.known = 0.0, frozenset(ids)

    async def visible(self, since: float = 0.0) -> Visible:
        if since > self.looked_at:
            self.looked_at, self.known = time.monotonic(), frozenset(self.ids or ())
        return Visible(all=False, ids=self.known)


async def test_the_first_thing_that_is_told_may_be_that_a_server_is_gone() -> None:
    ring, access = filled(0), FakeAccess({"s1"})
    async with client(ring, access) as one:
        await one.next()
        access.ids = set()
        ring.add([stored(1, "server_deleted", server_id="s2"), stored(2, "server_deleted", server_id="s1")])
        assert (await one.next())["id"] == "e1-2"


async def test_the_end_of_a_server_that_was_made_since_is_told_to_who_asked_for_nothing_else() -> None:
    ring, access = filled(0), FakeAccess({"s1"})
    async with client(ring, access, types={"server.deleted"}) as one:
        await one.next()
        told = asyncio.ensure_future(one.next())
        access.ids = {"s1", "s2"}
        ring.add([stored(1, "server_created", server_id="s2")])
        await until(lambda: access.looks == 2)
        access.ids = {"s1"}
        ring.add([stored(2, "server_deleted", server_id="s2")])
        assert (await told)["id"] == "e1-2"


async def test_the_end_of_a_server_is_told_though_it_was_noticed_before_its_event_came() -> None:
    ring, access = filled(0), FakeAccess({"s1", "s2"})
    async with client(ring, access) as one:
        await one.next()
        access.ids = {"s1"}
        ring.add([stored(1, server_id="s1"), stored(2, server_id="s2"), stored(3, "server_deleted", server_id="s2")])
        assert [(await one.next())["id"] for _ in range(2)] == ["e1-1", "e1-3"]


async def test_a_server_that_is_new_is_not_judged_by_what_was_seen_before() -> None:
    ring, access = filled(0), StaleAccess({"s1"})
    async with client(ring, access) as one:
        await one.next()
        access.ids = {"s1", "s2"}
        ring.add([stored(1, "server_created", server_id="s2")])
        assert (await one.next())["id"] == "e1-1"


async def test_who_comes_back_is_told_that_a_server_may_be_gone() -> None:
    ring = filled(0)
    ring.add([stored(1, server_id="s1"), stored(2, "server_deleted", server_id="s2"), stored(3, server_id="s1")])
    async with client(ring, FakeAccess({"s1"}), after=Place("e1", 1)) as one:
        assert (await one.next())["type"] == "start"
        assert await one.next() == {"type": "gap", "from": "e1-1", "to": "e1-2", "reason": "not_known"}
        assert (await one.next())["id"] == "e1-3"
    # Who begins anew, or asked for something else, has concluded nothing from it.
    for wanted in ({"from_oldest": True}, {"after": Place("e1", 1), "types": {"agent"}}):
        async with client(ring, FakeAccess({"s1"}), **wanted) as one:
            told = [await one.next()]
            while told[-1]["type"] == "start" or told[-1]["id"] != "e1-3":
                told.append(await one.next())
            assert {message["type"] for message in told} == {"start", "agent.online"}
    async with client(ring, after=Place("e1", 1)) as everywhere:
        assert [(await everywhere.next())["type"] for _ in range(2)] == ["start", "server.deleted"]


async def test_a_service_that_cannot_be_asked_who_sees_what_is_waited_for() -> None:
    ring = filled(0)
    access = FakeAccess({"s1"})
    async with client(ring, access) as one:
        await one.next()
        access.failures = [Unavailable("DOWN", "gone")]
        ring.add([stored(1, server_id="s1")])
        assert (await one.next())["id"] == "e1-1"


async def test_the_ring_is_bounded_in_number_and_in_bytes() -> None:
    ring = filled(50_000, keep=2000)
    assert 2000 <= len(ring.behind(0, 10**9)) <= 3000
    small = EventRing(10**9, max_bytes=1_000_000)
    small.restart("e1", 0)
    for seq in range(1, 20_000, 100):
        small.add([stored(number, version="v" * 500) for number in range(seq, seq + 100)])
    assert len(small.behind(0, 10**9)) < 3000
    assert small.end == 20_000


def test_only_places_are_places() -> None:
    assert parse_place("0", "after") is None
    assert parse_place("6564a2f-17", "after") == Place("6564a2f", 17)
    for text in ("", "17", "-17", "a-", "a-b", "a-1-2", "A-1", "a-" + "9" * 19, "x" * 25 + "-1", "٣-٣"):
        with pytest.raises(InvalidArgument):
            parse_place(text, "after")


def test_every_kind_of_event_is_shown_with_all_its_fields() -> None:
    for field in events_pb2.Event.DESCRIPTOR.oneofs_by_name["fact"].fields:
        message = events_pb2.Event(id="x")
        getattr(message, field.name).SetInParent()
        event = convert.event("e1-1", message)
        noun, verb = event.type.split(".")
        assert f"{noun}_{verb}" == field.name
        assert event.data.keys() == {one.name for one in field.message_type.fields} - {"server_id"}


def test_an_event_of_a_kind_that_is_not_known_yet_is_left_out() -> None:
    ring = EventRing(10)
    ring.restart("e1", 0)
    ring.add([StoredEvent(1, events_pb2.Event(id="x")), StoredEvent(2, None), stored(3)])
    assert [item.seq for item in ring.behind(0, 10)] == [3]


def test_values_are_as_everywhere() -> None:
    message = events_pb2.Event(id="x")
    message.occurred_at.FromJsonString("2026-11-26T14:00:00.5Z")
    message.command_finished.server_id = "s1"
    message.command_finished.status = "success"
    event = convert.event("e1-1", message)
    assert event.data == {"command_id": "", "status": "success", "reason": "", "exit_code": None}
    message.command_finished.exit_code = 0
    again = convert.event("e1-1", message)
    assert again.data["exit_code"] == 0
    assert again.time.isoformat() == "2026-11-26T14:00:00.500000+00:00"
    fired = events_pb2.Event()
    fired.schedule_fired.slot_at.FromJsonString("2026-11-26T14:00:00Z")
    shown = convert.event("e1-1", fired)
    assert (shown.data["slot_at"], shown.server_id) == ("2026-11-26T14:00:00Z", None)
    done = events_pb2.Event()
    done.job_finished.counts["success"] = 3
    summed = convert.event("e1-1", done)
    assert summed.data["counts"] == {"success": 3}


def test_every_type_of_event_is_documented_with_its_fields() -> None:
    rows = dict(re.findall(r"^\| `(\w+\.\w+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    facts = events_pb2.Event.DESCRIPTOR.oneofs_by_name["fact"].fields
    assert rows == {
        convert.TYPES[field.name]: ", ".join(
            f"`{one.name}`" for one in field.message_type.fields if one.name != "server_id"
        )
        for field in facts
    }
