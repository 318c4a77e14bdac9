"""Events of schedules as rows of the outbox."""

from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from myx.events.v1.events_pb2 import Event, ScheduleFired
from myx_executor.domain.schedules import Fire
from myx_executor.store.outbox import OutboxEvent
from myx_kit.events.subjects import event_subject
from myx_kit.ids import new_id
from myx_kit.tracing import traceparent
from myx_kit.wire_time import timestamp


def fired(schedule_id: UUID, fire: Fire) -> OutboxEvent:
    """What became of one time is decided."""
    fact = ScheduleFired(
        schedule_id=str(schedule_id),
        slot_at=timestamp(fire.slot_at),
        outcome=str(fire.outcome),
        started_id=str(fire.started_id or ""),
    )
    event_id = new_id()
    now = Timestamp()
    now.FromDatetime(datetime.now(UTC))
    # Each time is decided once: its second orders them.
    revision = int(fire.slot_at.timestamp())
    event = Event(id=str(event_id), occurred_at=now, revision=revision, traceparent=traceparent(), schedule_fired=fact)
    return OutboxEvent(event_id, event_subject("schedule", "fired", str(schedule_id)), event.SerializeToString())
