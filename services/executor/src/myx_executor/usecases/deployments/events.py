"""Events of deployments as rows of the outbox."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from myx.events.v1.events_pb2 import DeploymentFinished, DeploymentStarted, Event
from myx_executor.domain.command import Command, Outcome
from myx_executor.domain.deployment import Kind
from myx_executor.store.outbox import OutboxEvent
from myx_kit.events.subjects import event_subject
from myx_kit.ids import new_id
from myx_kit.tracing import traceparent


class DeploymentFacts:
    """Fits `Facts`, for deployments of one kind."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def started(self, command: Command) -> OutboxEvent:
        """Work on it has begun."""
        fact = DeploymentStarted(deployment_id=str(command.id), server_id=command.server_id, kind=self._kind)
        return _row(command, "started", Event(revision=command.revision + 1, deployment_started=fact))

    def finished(self, command: Command, outcome: Outcome) -> OutboxEvent:
        """It is final."""
        fact = DeploymentFinished(
            deployment_id=str(command.id),
            server_id=command.server_id,
            kind=self._kind,
            status=str(outcome.status),
            reason=outcome.reason,
        )
        return _row(command, "finished", Event(revision=command.revision + 2, deployment_finished=fact))


def _row(command: Command, verb: str, event: Event) -> OutboxEvent:
    event_id = new_id()
    now = Timestamp()
    now.FromDatetime(datetime.now(UTC))
    event.id = str(event_id)
    event.traceparent = traceparent()
    event.occurred_at.CopyFrom(now)
    return OutboxEvent(event_id, event_subject("deployment", verb, str(command.id)), event.SerializeToString())
