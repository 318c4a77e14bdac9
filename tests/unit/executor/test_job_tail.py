"""The output of many targets for one follower: no gap, no repeat, one bound."""

import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from executor_samples import command
from hypothesis import given, settings
from hypothesis import strategies as st

from myx_executor.domain.jobs import JobTarget, TargetStatus
from myx_executor.domain.log import LogBytes, Piece, gather
from myx_executor.store.codec import encode
from myx_executor.usecases.jobs.tail import ROOM_BYTES, JobTail
from myx_kit.errors import Unavailable


@dataclass
class Log:
    data: bytes = b""
    purged: bool = False


class Hub:
    """Hands pieces to the cursors that joined."""

    def __init__(self):
        self.cursors = {}

    @asynccontextmanager
    async def join(self, command_id, offset, cursor):
        self.cursors[command_id] = cursor
        try:
            yield cursor
        finally:
            self.cursors.pop(command_id, None)


class World:
    """Logs that are stored, and shown live unless a message is lost."""

    def __init__(self, count=3, offsets=None):
        self.ids = {number: uuid.uuid4() for number in range(1, count + 1)}
        self.logs = {command_id: Log() for command_id in self.ids.values()}
        self.hub = Hub()
        self.final = set()
        self.taken_back = set()
        self.rung = 0
        self.tail = JobTail(self, self, self.hub, offsets or {}, self.ring)
        self.seen = dict.fromkeys(self.ids, b"")
        self.position = {number: (offsets or {}).get(number, 0) for number in self.ids}
        self.gaps = []

    def ring(self):
        self.rung += 1

    async def get(self, command_id):
        return None if self.logs[command_id].purged else command(id=command_id)

    async def page(self, command_id, offset, span):
        log = self.logs[command_id]
        if log.purged:
            return []
        pieces = gather([LogBytes(1, 0, log.data)]) if log.data else []
        return [encode(piece) for piece in pieces if piece.end > offset and piece.offset < offset + span]

    def write(self, number, data, *, shown=True):
        log = self.logs[self.ids[number]]
        offset = len(log.data)
        log.data += data
        cursor = self.hub.cursors.get(self.ids[number])
        if shown and cursor is not None:
            for piece in gather([LogBytes(1, offset, data)]):
                cursor.offer(piece)

    def target(self, number):
        if number in self.taken_back:
            return JobTarget(number, "", "", "", 1, TargetStatus.NOT_STARTED)
        log = self.logs[self.ids[number]]
        status = TargetStatus.SUCCESS if number in self.final else TargetStatus.RUNNING
        size = len(log.data) if number in self.final else 0
        return JobTarget(number, "", "", "", 1, status, command_id=self.ids[number], log_size=size)

    async def look(self):
        await self.tail.take_up([self.target(number) for number in self.ids])

    async def drain(self):
        while self.tail.ready:
            for number, pieces in await self.tail.take():
                for piece in pieces:
                    self.take(number, piece)

    def take(self, number, piece: Piece):
        assert piece.offset == self.position[number]
        self.position[number] = piece.end
        if piece.gap_reason is not None:
            self.gaps.append((number, piece.gap_reason))
        for run in piece.runs():
            self.seen[number] += run.data


async def test_what_is_stored_comes_first_then_what_is_written():
    world = World()
    world.write(1, b"before ")
    await world.look()
    await world.drain()
    world.write(1, b"live")
    await world.drain()
    assert world.seen[1] == b"before live"
    world.final = {1, 2, 3}
    await world.look()
    assert world.tail.done
    assert not world.hub.cursors


async def test_what_was_taken_back_before_it_was_sent_is_not_waited_for():
    world = World(count=2)
    await world.look()
    world.taken_back = {1}
    world.final = {2}
    await world.look()
    await world.drain()
    assert world.tail.done
    assert not world.hub.cursors


async def test_from_an_offset_on():
    world = World(offsets={1: 4})
    world.write(1, b"abcdefgh")
    await world.look()
    await world.drain()
    assert world.seen[1] == b"efgh"


async def test_live_pieces_of_all_targets_share_one_bound():
    world = World(count=20)
    await world.look()
    await world.drain()
    for number in world.ids:
        for _ in range(16):
            world.write(number, bytes(100_000))
    held = sum(cursor._bytes for cursor in world.hub.cursors.values())
    assert held <= ROOM_BYTES
    assert world.tail._room.left == ROOM_BYTES - held
    await world.drain()
    assert {len(data) for data in world.seen.values()} == {1_600_000}
    assert world.tail._room.left == ROOM_BYTES


async def test_what_retention_took_is_a_gap():
    world = World(count=1)
    world.write(1, b"x" * 10)
    world.final = {1}
    world.logs[world.ids[1]].purged = True
    await world.look()
    await world.drain()
    assert world.gaps == [(1, "retention")]
    assert world.tail.done


async def test_a_replica_that_stops_sends_the_follower_away():
    world = World(count=1)
    await world.look()
    await world.drain()
    for cursor in world.hub.cursors.values():
        cursor.close(Unavailable("SHUTTING_DOWN", "stops"))
    assert world.tail.ready
    with pytest.raises(Unavailable):
        await world.drain()


steps = st.lists(
    st.tuples(st.sampled_from(["write", "lost", "look", "drain", "final"]), st.integers(1, 3), st.integers(1, 400_000)),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps)
async def test_whatever_is_lost_or_late_every_byte_comes_once_and_in_order(plan):
    world = World()
    for what, number, size in plan:
        match what:
            case "write" | "lost" if number not in world.final:
                byte = len(world.logs[world.ids[number]].data) % 251
                world.write(number, bytes([byte]) * size, shown=what == "write")
            case "look":
                await world.look()
            case "drain":
                await world.drain()
            case "final":
                world.final.add(number)
    world.final = set(world.ids)
    await world.look()
    await world.drain()
    assert world.tail.done
    for number, command_id in world.ids.items():
        assert world.seen[number] == world.logs[command_id].data
    assert not world.gaps
    assert world.tail._room.left == ROOM_BYTES
