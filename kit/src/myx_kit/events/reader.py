"""Reads the stored events in order, from the last so many on and then as they come; NATS may come and go."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import nats.errors
import nats.js.errors
from google.protobuf.message import DecodeError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from myx.events.v1.events_pb2 import Event
from myx_kit.errors import Unavailable
from myx_kit.events.bus import Bus
from myx_kit.events.subjects import EVENT_STREAM, EVENT_SUBJECTS
from myx_kit.logging import get_logger

log = get_logger()

# The epoch of a stream that is not there yet: nothing was ever published.
NO_STREAM: Final = "0"
_HEARTBEAT_S: Final = 5.0
# Without a heartbeat for so long the consumer is gone.
_SILENT_S: Final = 12.0
_RETRY_S: Final = 1.0
_LOOK_S: Final = 1.0
# Given on at once.
_MOST: Final = 500
# For how long NATS keeps a consumer that nobody listens to.
_FORGOTTEN_AFTER_S: Final = 30.0
_PENDING_BYTES: Final = 32 << 20


@dataclass(frozen=True)
class StoredEvent:
    """An event and its number in the stream; None where it could not be read."""

    seq: int
    event: Event | None


class Sink(Protocol):
    """Who is told what is read; from one task, in order."""

    def restart(self, epoch: str, after: int) -> None:
        """The stream is another one than before (at first: it is known): what comes begins behind `after`."""

    def skip(self, to: int) -> None:
        """Events up to `to` are not kept any more and will not come."""

    def add(self, events: Sequence[StoredEvent]) -> None:
        """The next events."""

    def reached_end(self) -> None:
        """All has come that was stored when the reading began (again)."""


class EventReader:
    """Give `run()` to a TaskOwner. `keep`: how many of the events that are there already are wanted, at most."""

    def __init__(self, bus: Bus, sink: Sink, keep: int) -> None:
        self._bus = bus
        self._sink = sink
        self._keep = keep
        self._epoch = ""
        self._seq = 0
        self._again = asyncio.Event()
        bus.on_reconnect(self._again.set)

    async def run(self) -> None:
        """Read until cancelled."""
        said = ""
        while True:
            self._again.clear()
            try:
                await self._read()
                said = ""
            except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError, Unavailable) as error:
                # Once: until the first event of all there is no stream, which may be for days.
                if said != (said := type(error).__name__):
                    log.info("events_not_read", error=said)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_RETRY_S):
                        await self._again.wait()

    async def _read(self) -> None:
        """Read until the connection or the consumer is lost."""
        client = self._bus.client()
        jetstream = client.jetstream()
        try:
            info = await jetstream.stream_info(EVENT_STREAM)
        except nats.js.errors.NotFoundError:
            self._find_nothing()
            raise
        end = self._place(_epoch_of(info), info.state.first_seq, info.state.last_seq)
        session = _Session(self._seq)
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=session.take, pending_bytes_limit=_PENDING_BYTES)
        try:
            await jetstream.add_consumer(EVENT_STREAM, _consumer(inbox, self._seq + 1))
            if self._seq >= end:
                self._sink.reached_end()
            while not self._again.is_set():
                self._give(await session.next(self._again), end)
        finally:
            # NATS forgets a consumer whose inbox nobody listens to.
            with suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()

    def _find_nothing(self) -> None:
        if not self._epoch:
            self._epoch = NO_STREAM
            self._sink.restart(NO_STREAM, 0)
            self._sink.reached_end()

    def _place(self, epoch: str, first: int, last: int) -> int:
        """Settle behind which event to begin; the last one that is there."""
        if epoch != self._epoch or last < self._seq:
            self._epoch, self._seq = epoch, max(first - 1, last - self._keep, 0)
            self._sink.restart(epoch, self._seq)
        elif first - 1 > self._seq:
            self._skip(first - 1)
        return last

    def _skip(self, to: int) -> None:
        self._seq = to
        self._sink.skip(to)

    def _give(self, events: Sequence[StoredEvent], end: int) -> None:
        if not events:
            return
        before = self._seq
        if before < end and events[0].seq > before + 1:
            # Dropped between the look at the stream and the first delivery.
            self._skip(events[0].seq - 1)
        self._seq = events[-1].seq
        self._sink.add(events)
        if before < end <= self._seq:
            self._sink.reached_end()


class _Session:
    """What one consumer delivers, without a hole.

    TimeoutError when it is silent, Unavailable `EVENTS_LOST` when something is missing.
    """

    def __init__(self, seq: int) -> None:
        self._last_seq = seq
        self._consumer_seq = 0
        self._waiting: list[StoredEvent] = []
        self._stirred = asyncio.Event()
        self._lost = False
        self._heard_at = time.monotonic()

    async def take(self, message: Any) -> None:
        """One message, as NATS delivers it."""
        self._heard_at = time.monotonic()
        headers = message.headers or {}
        if "Status" in headers:
            delivered = headers.get("Nats-Last-Consumer")
            self._lost = self._lost or (delivered is not None and int(delivered) != self._consumer_seq)
        else:
            place = message.metadata.sequence
            self._consumer_seq += 1
            self._lost = self._lost or place.consumer != self._consumer_seq or place.stream <= self._last_seq
            if not self._lost:
                self._last_seq = place.stream
                self._waiting.append(StoredEvent(place.stream, _decoded(message.data, place.stream)))
        self._stirred.set()

    async def next(self, again: asyncio.Event) -> list[StoredEvent]:
        """What came; empty when it is time to look elsewhere."""
        if not self._waiting and not again.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._stirred.wait()
        self._stirred.clear()
        # Others have their turn between two helpings.
        await asyncio.sleep(0)
        events, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        if not events and self._lost:
            raise Unavailable("EVENTS_LOST", "events were lost on the way")
        if time.monotonic() - self._heard_at > _SILENT_S:
            raise TimeoutError
        return events


def _consumer(subject: str, start: int) -> ConsumerConfig:
    return ConsumerConfig(
        deliver_subject=subject,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=start,
        filter_subject=EVENT_SUBJECTS,
        ack_policy=AckPolicy.NONE,
        max_deliver=1,
        idle_heartbeat=_HEARTBEAT_S,
        inactive_threshold=_FORGOTTEN_AFTER_S,
        mem_storage=True,
        num_replicas=1,
    )


def _epoch_of(info: Any) -> str:
    """A word for this stream, another one when it was made anew."""
    created = info.created
    if isinstance(created, datetime):
        return format(int(created.timestamp() * 1e6), "x")
    return "".join(character for character in str(created) if character.isalnum())


def _decoded(data: bytes, seq: int) -> Event | None:
    try:
        return Event.FromString(data)
    except DecodeError:
        log.error("event_undecodable", seq=seq)
        return None
