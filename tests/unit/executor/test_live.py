"""Cursors of followers and the hub that feeds them."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest

from myx_executor.domain.log import STDOUT, Piece, pack_segments
from myx_executor.domain.states import Status
from myx_executor.store.codec import encode, to_message
from myx_executor.store.commands import Progress
from myx_executor.usecases.live import CURSOR_BYTES, Cursor, LiveHub
from myx_kit.errors import Unavailable

ID = uuid4()


def piece(offset, data=b"x" * 10):
    return Piece(offset, len(data), data, pack_segments([(STDOUT, len(data))]))


class FakeStore:
    def __init__(self):
        self.answers = {}

    async def progress(self, command_ids):
        return {command_id: self.answers[command_id] for command_id in command_ids if command_id in self.answers}


class FakeBus:
    connected = True

    def __init__(self):
        self.sent = []
        self.followed = []

    async def publish_log(self, command_id, message):
        self.sent.append((command_id, message))

    async def publish_work(self):
        pass

    @asynccontextmanager
    async def follow_log(self, command_id, on_message, on_lost):
        self.followed.append((command_id, on_message, on_lost))
        yield


@pytest.fixture
def bus():
    return FakeBus()


@pytest.fixture
def hub(bus):
    return LiveHub(FakeStore(), bus)


async def test_a_cursor_gives_pieces_in_order_and_waits_for_more():
    cursor = Cursor(0)
    cursor.offer(piece(0))
    cursor.offer(piece(10))
    assert [one.offset for one in await cursor.take()] == [0, 10]
    waiting = asyncio.create_task(cursor.take())
    await asyncio.sleep(0)
    cursor.offer(piece(20))
    assert [one.offset for one in await waiting] == [20]


async def test_a_cursor_leaves_out_what_its_follower_has():
    cursor = Cursor(10)
    cursor.offer(piece(0))
    cursor.offer(piece(10))
    assert [one.offset for one in await cursor.take()] == [10]


async def test_a_slow_follower_holds_a_bounded_amount_and_is_sent_to_the_database():
    cursor, block = Cursor(0), b"x" * (256 * 1024)
    for number in range(100):
        cursor.offer(piece(number * len(block), block))
        assert cursor._bytes <= CURSOR_BYTES
    assert await cursor.take() is None
    cursor.offer(piece(10**9))
    assert [one.offset for one in await cursor.take()] == [10**9]


async def test_small_pieces_and_gaps_are_no_way_around_the_bound():
    for one in (piece(0, b"x"), Piece(0, 1, gap_reason="limit")):
        cursor = Cursor(0)
        for number in range(20_000):
            cursor.offer(replace(one, offset=number))
        assert len(cursor._pieces) < 10_000
        assert await cursor.take() is None
        assert cursor._bytes == 0
        cursor.offer(replace(one, offset=20_000))
        assert len(await cursor.take()) == 1
        assert cursor._bytes == 0


async def test_what_is_taken_at_once_has_neither_hole_nor_repeat():
    cursor = Cursor(0)
    for offset in (0, 2, 2, 6, 4):
        cursor.offer(piece(offset, b"ab"))
    taken = [[one.offset for one in await cursor.take()] for _ in range(4)]
    assert taken == [[0, 2], [2], [6], [4]]


async def test_a_closed_cursor_sends_its_follower_away():
    cursor = Cursor(0)
    cursor.close(Unavailable("SHUTTING_DOWN", "bye"))
    with pytest.raises(Unavailable, match="SHUTTING_DOWN"):
        await cursor.take()


async def test_a_replica_without_database_sends_its_followers_away_and_takes_new_ones(hub):
    hub.begin(ID)
    async with hub.join(ID, 0) as cursor:
        hub.send_away()
        with pytest.raises(Unavailable, match="DATABASE_UNAVAILABLE"):
            await cursor.take()
    async with hub.join(ID, 0) as cursor:
        await hub.publish(ID, [piece(0)], [encode(piece(0))])
        assert [one.offset for one in await cursor.take()] == [0]


async def test_what_the_owner_stores_here_reaches_followers_without_the_bus(hub, bus):
    hub.begin(ID)
    async with hub.join(ID, 0) as cursor:
        await hub.publish(ID, [piece(0)], [encode(piece(0))])
        assert [one.offset for one in await cursor.take()] == [0]
    assert not bus.followed
    assert bus.sent == [(ID, to_message(encode(piece(0))))]


async def test_one_subscription_serves_all_followers_of_a_strange_command(hub, bus):
    async with hub.join(ID, 0) as one, hub.join(ID, 0) as other:
        assert len(bus.followed) == 1
        _, on_message, on_lost = bus.followed[0]
        on_message(to_message(encode(piece(0))))
        assert (await one.take())[0] is (await other.take())[0]
        on_lost()
        assert await one.take() is None
        assert await other.take() is None
    assert not hub._channels


async def test_a_command_that_leaves_this_replica_is_followed_over_the_bus(hub, bus):
    hub.begin(ID)
    async with hub.join(ID, 0) as cursor:
        await hub.end(ID, None)
        assert await cursor.take() is None
        assert len(bus.followed) == 1


async def test_quiet_channels_are_healed_from_the_database(hub):
    async with hub.join(ID, 5) as cursor:
        hub._store.answers[ID] = Progress(Status.RUNNING, 5)
        await hub.heal_once()
        assert not cursor._behind
        hub._store.answers[ID] = Progress(Status.RUNNING, 6)
        await hub.heal_once()
        assert await cursor.take() is None
        hub._store.answers[ID] = Progress(Status.SUCCESS, 5)
        await hub.heal_once()
        assert await cursor.take() is None


async def test_a_hub_that_closes_sends_all_followers_away(hub):
    async with hub.join(ID, 0) as cursor:
        await hub.close()
        with pytest.raises(Unavailable):
            await cursor.take()
    with pytest.raises(Unavailable):
        async with hub.join(ID, 0):
            pass
