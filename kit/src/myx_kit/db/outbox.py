"""Events that cannot part from the change they tell of: written in its transaction, published afterwards, in order."""

import asyncio
import hashlib
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    LargeBinary,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    case,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from myx.events.v1.events_pb2 import Event
from myx_kit.db.base import UtcDateTime
from myx_kit.db.engine import translate_database_errors
from myx_kit.errors import Internal, Unavailable
from myx_kit.events.bus import Bus
from myx_kit.events.subjects import event_subject
from myx_kit.ids import new_id
from myx_kit.logging import get_logger
from myx_kit.loops import Loop
from myx_kit.metrics import OUTBOX_AGE, OUTBOX_PUBLISHED, OUTBOX_WAITING, before_scrape
from myx_kit.tracing import traceparent

log = get_logger()

# Far below what NATS carries: an event that could never be published would hold up all behind it.
_PAYLOAD_LIMIT = 256 << 10
_BATCH = 200
_INTERVAL_S = 2.0
# A relay that is stopped or cut off while it publishes leaves its turn to another after the second of these; one that
# publishes slowly looks at the database before, after the first.
_PUBLISH_S = 10.0
_TURN_S = 20.0
# Beyond it the outbox is long, and how long is of no interest.
_COUNTED = 10_000


def outbox_table(metadata: MetaData) -> Table:
    """The table `outbox` of a service: (seq, subject, event_id, payload, created_at)."""
    return Table(
        "outbox",
        metadata,
        Column("seq", BigInteger, Identity(always=True), primary_key=True),
        Column("subject", Text, nullable=False),
        Column("event_id", Text, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("created_at", UtcDateTime, nullable=False, server_default=func.now()),
    )


class Outbox:
    """Adds events to the transaction at hand; `wake` is set once such a transaction is committed."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.wake = asyncio.Event()
        self._open: set[int] = set()

    async def add(
        self, connection: AsyncConnection, aggregate: str, verb: str, aggregate_id: str, event: Event
    ) -> None:
        """`add_all` of one event."""
        await self.add_all(connection, [(aggregate, verb, aggregate_id, event)])

    async def add_all(self, connection: AsyncConnection, events: Iterable[tuple[str, str, str, Event]]) -> None:
        """Publish (aggregate, verb, aggregate id, event with its fact) in this order after the commit; one statement.

        The subject is `myx.events.<aggregate>.<verb>.<aggregate id>`.

        Id and time are filled in where they are empty; an empty revision becomes the row's sequence number, which grows
        with every event of an aggregate as long as the transaction locked that aggregate's row before.
        """
        rows = [_row(*event) for event in events]
        if rows:
            await connection.execute(insert(self.table).values(rows).inline())
            self._open.add(id(connection))

    def transaction_ended(self, connection: AsyncConnection, *, committed: bool) -> None:
        """Called by the unit of work."""
        if id(connection) in self._open:
            self._open.discard(id(connection))
            if committed:
                self.wake.set()


class OutboxRelay:
    """Publishes the rows of one outbox in order and deletes what NATS has confirmed; any number of replicas may run.

    One at a time publishes, by an advisory lock of the schema that ends with its session. A crash between publishing
    and deleting repeats events (same Nats-Msg-Id); while NATS is away the rows wait. Use:
    `owner.start(relay.run(), name="outbox")`.
    """

    def __init__(self, engine: AsyncEngine, outbox: Outbox, bus: Bus, batch: int = _BATCH) -> None:
        # No transaction is open while NATS is spoken to; the lock belongs to the session.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._table = outbox.table
        self._outbox = outbox
        self._bus = bus
        self._batch = batch
        self._lock_key = _lock_key(outbox.table.schema or "")

    async def run(self) -> None:
        """Relay until cancelled: woken by commits and by NATS' return, and every 2 s."""
        self._bus.on_reconnect(self._outbox.wake.set)
        stop_measuring = before_scrape(self.measure)
        try:
            await Loop("outbox", _INTERVAL_S, self.run_once, wake=self._outbox.wake).run()
        finally:
            stop_measuring()

    async def measure(self) -> None:
        """Show how much waits and for how long. Unavailable when the database is away."""
        first = select(self._table.c.created_at).order_by(self._table.c.seq).limit(_COUNTED).subquery()
        age = func.extract("epoch", func.now() - func.min(first.c.created_at))
        with translate_database_errors():
            async with self._engine.connect() as connection:
                waiting, age_s = (await connection.execute(select(func.count(), age).select_from(first))).one()
        OUTBOX_WAITING.set(waiting)
        OUTBOX_AGE.set(max(0.0, float(age_s or 0)))

    async def run_once(self) -> int:
        """Publish all there is, unless another replica is at it or NATS is away; the number of rows published."""
        if not self._bus.connected:
            return 0
        with translate_database_errors():
            async with self._engine.connect() as connection:
                if not await connection.scalar(self._take_turn()):
                    return 0
                try:
                    published = await self._drain(connection)
                    await connection.execute(self._end_turn())
                except BaseException:
                    # Whatever state it is in, ending the session gives the lock back.
                    await connection.invalidate()
                    raise
                return published

    async def _drain(self, connection: AsyncConnection) -> int:
        published = 0
        while rows := (await connection.execute(self._next_rows())).all():
            confirmed = await self._publish(rows)
            if confirmed:
                await connection.execute(delete(self._table).where(self._table.c.seq.in_(confirmed)))
            published += len(confirmed)
            OUTBOX_PUBLISHED.inc(len(confirmed))
            if len(confirmed) < len(rows):
                break
        return published

    def _take_turn(self) -> Select[Any]:
        bounded = func.set_config("idle_session_timeout", f"{round(_TURN_S * 1000)}ms", False)
        return select(case((func.pg_try_advisory_lock(self._lock_key), bounded)))

    def _end_turn(self) -> Select[Any]:
        unbounded = func.set_config("idle_session_timeout", "0", False)
        return select(func.pg_advisory_unlock(self._lock_key), unbounded)

    def _next_rows(self) -> Select[Any]:
        return select(self._table).order_by(self._table.c.seq).limit(self._batch)

    async def _publish(self, rows: Sequence[Row[Any]]) -> list[int]:
        confirmed: list[int] = []
        until = time.monotonic() + _PUBLISH_S
        try:
            for row in rows:
                if time.monotonic() > until:
                    break
                event = Event.FromString(row.payload)
                event.revision = event.revision or row.seq
                await self._bus.publish_event(row.event_id, row.subject, event.SerializeToString(), event.traceparent)
                confirmed.append(row.seq)
        except Unavailable as error:
            log.warning("outbox_waits", reason=error.reason, cause=error.fields.get("cause", ""))
        return confirmed


def _row(aggregate: str, verb: str, aggregate_id: str, event: Event) -> dict[str, Any]:
    event.id = event.id or str(new_id())
    event.traceparent = event.traceparent or traceparent()
    if not event.HasField("occurred_at"):
        event.occurred_at.FromDatetime(datetime.now(UTC))
    payload = event.SerializeToString()
    if len(payload) > _PAYLOAD_LIMIT:
        raise Internal("EVENT_TOO_LARGE", f"an event {aggregate}.{verb} has {len(payload)} bytes")
    return {"subject": event_subject(aggregate, verb, aggregate_id), "event_id": event.id, "payload": payload}


def _lock_key(schema: str) -> int:
    return int.from_bytes(hashlib.sha256(f"myx-outbox:{schema}".encode()).digest()[:8], signed=True)
