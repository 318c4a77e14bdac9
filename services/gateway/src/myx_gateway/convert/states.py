"""What commands, deployments and jobs have in common."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.duration_pb2 import Duration

from myx.executor.v1 import command_pb2, command_service_pb2, deployment_pb2, deployment_service_pb2, job_pb2
from myx_gateway.convert.wire import moment_of, names_of, seconds_of
from myx_gateway.schemas.states import LockMode, NewQueueing, OfflinePolicy, StatusChange
from myx_kit.wire_time import duration

_OFFLINE = names_of(command_pb2.OfflinePolicy, OfflinePolicy)
_LOCK = names_of(command_pb2.LockMode, LockMode)
_WIRE_OFFLINE = {name: number for number, name in _OFFLINE.items()}
_WIRE_LOCK = {name: number for number, name in _LOCK.items()}

_Tracked = command_pb2.Command | deployment_pb2.Deployment | job_pb2.Job
_Work = command_service_pb2.RunCommandRequest | deployment_service_pb2.CreateDeploymentRequest


def tracked(message: _Tracked) -> dict[str, Any]:
    """The fields of `Tracked`."""
    return {
        "status_since": moment_of(message, "status_since"),
        "deadline_at": moment_of(message, "deadline_at"),
        "owner": message.owner,
        "next": message.next,
        "changes": changes(message.changes),
    }


def changes(messages: Iterable[command_pb2.StatusChange]) -> list[StatusChange]:
    """A history."""
    return [
        StatusChange(
            at=moment_of(item, "at"),
            to=item.to,
            actor=item.actor,
            cause=item.cause,
            evidence=item.evidence,
            **{"from": getattr(item, "from")},
        )
        for item in messages
    ]


def queueing(message: command_pb2.Command | deployment_pb2.Deployment | _Work) -> dict[str, Any]:
    """The fields of `Queueing`."""
    return {
        "offline": _OFFLINE.get(message.offline, OfflinePolicy.FAIL),
        "queue_timeout_s": seconds_of(message, "queue_timeout"),
        "lock": _LOCK.get(message.lock, LockMode.NONE),
    }


def put_queueing(body: NewQueueing, message: _Work) -> None:
    """Write how work is to wait into its request."""
    message.offline = _WIRE_OFFLINE[body.offline]
    message.lock = _WIRE_LOCK[body.lock]
    put_seconds(message.queue_timeout, body.queue_timeout_s)


def put_seconds(field: Duration, seconds: float | None) -> None:
    """Write a duration; None leaves the field unset."""
    if seconds is not None:
        field.CopyFrom(duration(seconds))
