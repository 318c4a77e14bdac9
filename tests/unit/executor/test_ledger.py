"""Guarded writes land once, whatever becomes of their answers; and the sink that feeds them."""

import asyncio

import pytest
from executor_samples import command

from myx_executor.domain.command import Head, LeaseLost, Outcome
from myx_executor.domain.log import STDOUT, LogBytes, LogGap, Piece, pack_segments
from myx_executor.domain.states import Status
from myx_executor.store.codec import decode
from myx_executor.usecases import ledger as ledger_module
from myx_executor.usecases import sink as sink_module
from myx_executor.usecases.ledger import Lease, Ledger
from myx_executor.usecases.sink import LogSink, OutOfStep, Pressure
from myx_kit.errors import Unavailable
from myx_testkit.wait import until


class FakeDatabase:
    """The guard of `append` in memory; `script` says for each statement whether it works, is lost before or after."""

    def __init__(self, fence=3):
        self.fence, self.size, self.rows, self.script = fence, 0, [], []
        self.gate = None
        self.calls = 0

    async def append(self, write):
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        fate = self.script.pop(0) if self.script else "works"
        if fate == "lost before":
            raise Unavailable("DATABASE_UNAVAILABLE", "away")
        if write.fence != self.fence or write.expected != self.size:
            return None
        self.size = write.size
        self.rows += write.pieces
        if fate == "lost after":
            raise Unavailable("DATABASE_UNAVAILABLE", "away")
        return Status.RUNNING

    async def head(self, command_id):
        if self.script and self.script[0] == "head lost":
            self.script.pop(0)
            raise Unavailable("DATABASE_UNAVAILABLE", "away")
        return Head(self.fence, Status.RUNNING, self.size)


class AskedFor(FakeDatabase):
    """Its row became `cancelling` without its owner having heard of it: nothing is skipped there any more."""

    def __init__(self, status=Status.CANCELLING):
        super().__init__()
        self.status, self.outcomes = status, []

    async def finish(self, write, outcome, attempts, events, *, release_pending):
        if outcome.status is Status.SKIPPED or write.fence != self.fence:
            return None
        self.outcomes.append((outcome, len(events)))
        return command(status=outcome.status)

    async def head(self, command_id):
        if self.script and self.script.pop(0) == "head lost":
            raise Unavailable("DATABASE_UNAVAILABLE", "away")
        return Head(self.fence, self.status, self.size)


class FakeHub:
    def __init__(self):
        self.published = []

    async def publish(self, command_id, pieces, rows):
        self.published += pieces


@pytest.fixture
def database():
    return FakeDatabase()


@pytest.fixture
def hub():
    return FakeHub()


@pytest.fixture
def ledger(database, hub, monkeypatch):
    monkeypatch.setattr(ledger_module, "_FIRST_PAUSE_S", 0.001)
    return Ledger(Lease(command(), 1e9), database, database, hub, lambda: None)


def piece(offset, data=b"12345"):
    return Piece(offset, len(data), data, pack_segments([(STDOUT, len(data))]))


@pytest.mark.parametrize(
    "script",
    [[], ["lost before"], ["lost after"], ["lost before", "lost after", "head lost"], ["lost after", "head lost"]],
)
async def test_a_piece_lands_once_and_is_shown_once(ledger, database, hub, script):
    database.script = list(script)
    await ledger.append([piece(0)])
    await ledger.append([piece(5)])
    assert [(row.offset, row.data) for row in database.rows] == [(0, b"12345"), (5, b"12345")]
    assert [one.offset for one in hub.published] == [0, 5]


@pytest.mark.parametrize("script", [[], ["lost before"]])
async def test_a_higher_fence_ends_the_writer_without_a_byte(ledger, database, hub, script):
    database.fence = 4
    database.script = list(script)
    with pytest.raises(LeaseLost):
        await ledger.append([piece(0)])
    assert not database.rows
    assert not hub.published


SKIPPED = Outcome(Status.SKIPPED, "agent_unreachable", "skipped: away")


@pytest.mark.parametrize("script", [[], ["head lost"]])
async def test_what_was_to_be_skipped_is_cancelled_when_that_was_asked_for_first(hub, script):
    database = AskedFor()
    database.script = script
    ledger = Ledger(Lease(command(), 1e9), database, database, hub, lambda: None)
    final = await ledger.finish(SKIPPED, [], release_pending=False)
    ((outcome, events),) = database.outcomes
    assert (final.status, outcome.reason, outcome.message, events) == (
        Status.CANCELLED,
        "cancelled",
        "cancelled before it was sent to the agent",
        1,
    )


@pytest.mark.parametrize(("fence", "status"), [(4, Status.CANCELLING), (3, Status.QUEUED)])
async def test_what_was_to_be_skipped_and_is_not_ours_is_left_alone(hub, fence, status):
    database = AskedFor(status)
    database.fence = fence
    ledger = Ledger(Lease(command(), 1e9), database, database, hub, lambda: None)
    with pytest.raises(LeaseLost):
        await ledger.finish(SKIPPED, [], release_pending=False)
    assert not database.outcomes


async def test_what_arrives_while_a_write_runs_becomes_the_next_one(ledger, database):
    sink = LogSink(ledger, Pressure())
    database.gate = asyncio.Event()
    writer = asyncio.create_task(sink.run())
    offset = 0
    for number in range(50):
        data = b"%d\n" % number
        await sink.feed(LogBytes(STDOUT, offset, data))
        offset += len(data)
        if number == 0:
            await until(lambda: database.calls)
    database.gate.set()
    while database.size < offset:
        await asyncio.sleep(0)
    sink.end()
    await writer
    assert len(database.rows) == 2
    assert b"".join(row.data for row in database.rows) == b"".join(b"%d\n" % n for n in range(50))


async def test_feeding_waits_while_too_much_is_not_stored(ledger, database):
    pressure = Pressure()
    sink = LogSink(ledger, pressure)
    database.gate = asyncio.Event()
    writer = asyncio.create_task(sink.run())
    block = b"x" * (256 * 1024)

    async def flood():
        for number in range(64):
            await sink.feed(LogBytes(STDOUT, number * len(block), block))

    flooding = asyncio.create_task(flood())
    await until(lambda: pressure.waiting > 1 << 20)
    await settle()
    assert not flooding.done()
    assert pressure.waiting <= 3 << 20
    database.gate.set()
    await flooding
    sink.end()
    await writer
    left = sink.rest()
    assert database.size + sum(one.length for one in left) == 64 * len(block)
    assert pressure.waiting == 0


@pytest.fixture
def long_pauses(monkeypatch):
    monkeypatch.setattr(sink_module, "_PAUSE_PER_LOG_S", 3600)
    monkeypatch.setattr(sink_module, "_LONGEST_PAUSE_S", 3600)


async def fed_while_it_writes(sink, database, first=b"a", then=(b"b", b"c")):
    """A sink whose second write holds more than one item; it is stored."""
    database.gate = asyncio.Event()
    writer = asyncio.create_task(sink.run())
    await sink.feed(LogBytes(STDOUT, 0, first))
    await until(lambda: database.calls)
    for data in then:
        await sink.feed(LogBytes(STDOUT, sink.received, data))
    database.gate.set()
    await until(lambda: database.size == sink.received)
    return writer


@pytest.mark.parametrize("more", ["end", "enough"])
async def test_a_busy_log_pauses_between_writes_until_it_ends_or_enough_waits(ledger, database, long_pauses, more):
    pressure = Pressure()
    sink = LogSink(ledger, pressure)
    writer = await fed_while_it_writes(sink, database)
    assert pressure.busy == 1
    await sink.feed(LogBytes(STDOUT, sink.received, b"d"))
    await settle()
    assert (database.calls, database.size) == (2, 3)
    if more == "enough":
        await sink.feed(LogBytes(STDOUT, sink.received, b"x" * 70_000))
        await until(lambda: database.size == 70_004)
        assert database.calls == 3
    sink.end()
    await writer
    assert b"".join(piece.data for piece in sink.rest()) == (b"d" if more == "end" else b"")
    assert pressure.busy == 0


async def test_a_log_with_an_item_a_write_never_pauses(ledger, database, long_pauses):
    pressure = Pressure(busy=1000)
    sink = LogSink(ledger, pressure)
    writer = asyncio.create_task(sink.run())
    for number in range(5):
        await sink.feed(LogBytes(STDOUT, number, b"x"))
        await until(lambda size=number + 1: database.size == size)
    assert pressure.busy == 1000
    sink.end()
    await writer


async def test_a_busy_log_that_falls_silent_or_is_stopped_slows_nobody(ledger, database, monkeypatch):
    monkeypatch.setattr(sink_module, "_PAUSE_PER_LOG_S", 0)
    pressure = Pressure()
    sink = LogSink(ledger, pressure)
    writer = await fed_while_it_writes(sink, database)
    await until(lambda: pressure.busy == 0)
    database.gate.clear()
    for data in (b"d", b"e", b"f", b"g"):
        await sink.feed(LogBytes(STDOUT, sink.received, data))
    await until(lambda: pressure.busy == 1)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    assert pressure.busy == 0


def test_the_pause_grows_with_the_busy_logs_to_a_limit():
    assert [Pressure(busy=number).pause_s for number in (0, 1, 10, 10_000)] == pytest.approx([0, 0.004, 0.04, 0.2])


async def settle(turns=1000):
    """Lets all tasks go as far as they can."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def test_an_item_that_does_not_follow_is_refused(ledger):
    sink = LogSink(ledger, Pressure())
    await sink.feed(LogBytes(STDOUT, 0, b"ab"))
    wrong = [LogBytes(STDOUT, offset, b"c") for offset in (0, 1, 3)]
    wrong += [LogBytes(STDOUT, 2, b""), LogGap(2, 2, ""), LogGap(2, 1, ""), LogGap(2, 1 << 63, "")]
    for item in wrong:
        with pytest.raises(OutOfStep):
            await sink.feed(item)


async def test_tiny_items_and_gaps_are_bounded_too(ledger, database):
    database.gate = asyncio.Event()
    sink = LogSink(ledger, Pressure())
    writer = asyncio.create_task(sink.run())
    fed = 0

    async def flood():
        nonlocal fed
        for offset in range(0, 200_000, 2):
            await sink.feed(LogBytes(STDOUT, offset, b"c"))
            await sink.feed(LogGap(offset + 1, offset + 2, "gap"))
            fed += 2

    flooding = asyncio.create_task(flood())
    await until(lambda: fed > 5_000)
    await settle(20_000)
    assert not flooding.done()
    assert fed < 20_000
    flooding.cancel()
    writer.cancel()
    await asyncio.gather(flooding, writer, return_exceptions=True)


async def test_beyond_the_limit_of_a_log_there_is_one_gap_with_the_reason(ledger, database, monkeypatch):
    monkeypatch.setattr(sink_module, "_THROWN_BYTES_PER_S", 1 << 40)
    sink = LogSink(ledger, Pressure(log_bytes=10_000))
    writing = asyncio.create_task(sink.run())
    for number in range(100):
        await sink.feed(LogBytes(STDOUT, number * 1000, b"x" * 1000))
    sink.end()
    await writing
    await ledger.append(sink.rest())
    assert database.size == 100_000
    assert sum(len(piece.data) for piece in map(decode, database.rows)) <= 10_000
    (gap,) = [row for row in database.rows if row.kind == "gap"]
    assert gap.offset + gap.length == 100_000
    assert gap.gap_reason == "the limit of 10000 bytes for one log was reached"


async def test_a_hostile_agent_fills_the_database_neither_with_gaps_nor_with_single_bytes(
    ledger, database, monkeypatch
):
    monkeypatch.setattr(sink_module, "_THROWN_BYTES_PER_S", 1 << 40)
    monkeypatch.setattr(sink_module, "_FIRST_GAP", 1000)
    sink = LogSink(ledger, Pressure(log_bytes=50_000))
    writing = asyncio.create_task(sink.run())
    for number in range(20_000):
        item = LogGap(number, number + 1, "so it says") if number % 2 else LogBytes(1 + number % 4 // 2, number, b"x")
        await sink.feed(item)
        await asyncio.sleep(0)
    sink.end()
    await writing
    rest = sink.rest()
    await ledger.append(rest)
    assert database.size == 20_000
    assert len(database.rows) < 1000
