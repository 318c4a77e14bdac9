"""Reading stored events from a real NATS server that is killed and comes back."""

import shutil

import pytest

from myx.events.v1.events_pb2 import Event
from myx_kit.errors import Unavailable
from myx_kit.events.bus import Bus
from myx_kit.events.reader import NO_STREAM, EventReader, StoredEvent
from myx_kit.events.subjects import event_subject
from myx_kit.loops import TaskOwner
from myx_testkit.wait import until


class Told:
    """A sink that remembers."""

    def __init__(self):
        self.epochs, self.after, self.skips, self.seqs, self.names, self.ends = [], [], [], [], [], 0

    def restart(self, epoch, after):
        self.epochs.append(epoch)
        self.after.append(after)

    def skip(self, to):
        self.skips.append(to)

    def add(self, events):
        self.seqs += [one.seq for one in events]
        self.names += [one.event and one.event.server_created.name for one in events]

    def reached_end(self):
        self.ends += 1


@pytest.fixture
async def bus(nats):
    bus = await Bus.connect(nats.url, nats.tls_dir, "executor", wait_s=5)
    yield bus
    await bus.close()


@pytest.fixture
async def read(nats):
    """Start a reader, as the gateway."""
    owner, buses = TaskOwner("test"), []

    async def start(keep=1000):
        bus = await Bus.connect(nats.url, nats.tls_dir, "gateway", wait_s=0)
        buses.append(bus)
        told = Told()
        owner.start(EventReader(bus, told, keep).run(), name="reader")
        return told

    yield start
    await owner.close()
    for bus in buses:
        await bus.close()


async def publish(bus, *names):
    for name in names:
        event = Event(id=name)
        event.server_created.name = name
        await until(lambda event=event: stored(bus, event), 20)


async def stored(bus, event):
    subject = event_subject("server", "created", event.id)
    try:
        await bus.publish_event(event.id, subject, event.SerializeToString())
    except Unavailable:
        return False
    return True


async def test_it_begins_with_the_last_that_are_kept_and_goes_on_live(bus, read):
    await publish(bus, *(f"e{number}" for number in range(10)))
    told = await read(keep=4)
    await until(lambda: told.ends == 1, 10)
    assert told.after == [6]
    assert told.names == ["e6", "e7", "e8", "e9"]
    await publish(bus, "live")
    await until(lambda: told.names[-1] == "live", 10)
    assert told.seqs == [7, 8, 9, 10, 11]


async def test_a_stream_that_does_not_exist_yet_is_waited_for(bus, read):
    told = await read()
    await until(lambda: told.ends == 1, 10)
    assert told.epochs == [NO_STREAM]
    await publish(bus, "first")
    await until(lambda: told.names == ["first"], 10)
    assert (len(told.epochs), told.after) == (2, [0, 0])


async def test_nothing_is_lost_or_repeated_while_nats_is_away(nats, bus, read):
    await publish(bus, "a", "b")
    told = await read()
    await until(lambda: told.names == ["a", "b"], 10)
    nats.kill9()
    nats.restart()
    await until(lambda: bus.connected, 20)
    await publish(bus, "c", "d")
    await until(lambda: told.names == ["a", "b", "c", "d"], 20)
    assert told.seqs == [1, 2, 3, 4]
    assert len(told.epochs) == 1


async def test_events_that_were_dropped_meanwhile_are_told_as_a_hole(bus):
    told = Told()
    reader = EventReader(bus, told, keep=10)
    reader._place("one", 1, 3)
    reader._give([StoredEvent(seq, Event()) for seq in (1, 2, 3)], 3)
    # NATS was away; what it kept from then on begins with 8.
    assert reader._place("one", 8, 9) == 9
    assert told.skips == [7]
    reader._give([StoredEvent(9, Event())], 9)
    assert told.skips == [7, 8]
    assert (told.after, told.seqs, told.ends) == ([0], [1, 2, 3, 9], 2)


async def test_a_stream_that_was_made_anew_is_another_one(nats, bus, read):
    await publish(bus, "a", "b", "c")
    told = await read()
    await until(lambda: told.names == ["a", "b", "c"], 10)
    nats.kill9()
    shutil.rmtree(nats.server.folder / "store")
    nats.restart()
    await until(lambda: bus.connected, 20)
    await publish(bus, "d")
    await until(lambda: told.names == ["a", "b", "c", "d"], 20)
    assert told.seqs == [1, 2, 3, 1]
    assert len(set(told.epochs)) == 2


async def test_what_is_no_event_is_passed_over(bus, read):
    await publish(bus, "a")
    await bus.publish_event("bad", "myx.events.server.created.bad", b"\xff\xff")
    told = await read()
    await publish(bus, "b")
    await until(lambda: told.names == ["a", None, "b"], 10)
