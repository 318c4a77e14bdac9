"""Events of commands as rows of the outbox."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from myx.events.v1.events_pb2 import CommandFinished, CommandStarted, Event
from myx_executor.domain.command import Command, Outcome
from myx_executor.store.outbox import OutboxEvent
from myx_kit.events.subjects import event_subject
from myx_kit.ids import new_id
from myx_kit.tracing import traceparent


def started(command: Command) -> OutboxEvent:
    """The agent has confirmed the command."""
    fact = CommandStarted(command_id=str(command.id), server_id=command.server_id)
    return _row(command, "started", Event(revision=command.revision + 1, command_started=fact))


def finished(command: Command, outcome: Outcome) -> OutboxEvent:
    """The command is final."""
    fact = CommandFinished(
        command_id=str(command.id),
        server_id=command.server_id,
        status=str(outcome.status),
        reason=outcome.reason,
        exit_code=outcome.exit_code,
    )
    return _row(command, "finished", Event(revision=command.revision + 2, command_finished=fact))


def _row(command: Command, verb: str, event: Event) -> OutboxEvent:
    event_id = new_id()
    now = Timestamp()
    now.FromDatetime(datetime.now(UTC))
    event.id = str(event_id)
    event.traceparent = traceparent()
    event.occurred_at.CopyFrom(now)
    return OutboxEvent(event_id, event_subject("command", verb, str(command.id)), event.SerializeToString())
