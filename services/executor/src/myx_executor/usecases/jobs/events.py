"""Events of jobs as rows of the outbox."""

from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from myx.events.v1.events_pb2 import Event, JobFinished, JobPaused, JobStarted
from myx_executor.domain.jobs import Counts, JobStatus
from myx_executor.store.outbox import OutboxEvent
from myx_kit.events.subjects import event_subject
from myx_kit.ids import new_id
from myx_kit.tracing import traceparent


def started(job_id: UUID, changes: int, name: str, target_count: int) -> OutboxEvent:
    """A replica has begun; `changes`: how often the job's state was changed before."""
    fact = JobStarted(job_id=str(job_id), name=name, target_count=target_count)
    return _row(job_id, "started", Event(revision=changes + 1, job_started=fact))


def paused(job_id: UUID, changes: int, reason: str) -> OutboxEvent:
    """Nothing new is started."""
    fact = JobPaused(job_id=str(job_id), reason=reason)
    return _row(job_id, "paused", Event(revision=changes + 1, job_paused=fact))


def finished(job_id: UUID, changes: int, status: JobStatus, reason: str, counts: Counts) -> OutboxEvent:
    """It is final."""
    told = {str(one): count for one, count in counts.items() if count}
    fact = JobFinished(job_id=str(job_id), status=str(status), reason=reason, counts=told)
    return _row(job_id, "finished", Event(revision=changes + 1, job_finished=fact))


def _row(job_id: UUID, verb: str, event: Event) -> OutboxEvent:
    event_id = new_id()
    now = Timestamp()
    now.FromDatetime(datetime.now(UTC))
    event.id = str(event_id)
    event.traceparent = traceparent()
    event.occurred_at.CopyFrom(now)
    return OutboxEvent(event_id, event_subject("job", verb, str(job_id)), event.SerializeToString())
