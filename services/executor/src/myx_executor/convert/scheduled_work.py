"""What schedules start: requests as messages, as stored JSON without secrets, and back. Pure."""

from collections.abc import MutableMapping
from typing import Final, TypeAlias

from google.protobuf.json_format import Error, MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from myx.executor.v1.command_service_pb2 import RunCommandRequest
from myx.executor.v1.deployment_service_pb2 import CreateDeploymentRequest
from myx.executor.v1.job_service_pb2 import CreateJobRequest
from myx.executor.v1.schedule_service_pb2 import ScheduledWork
from myx_executor.domain.schedules import Work, WorkKind
from myx_kit.errors import Internal, InvalidArgument

Request: TypeAlias = RunCommandRequest | CreateDeploymentRequest | CreateJobRequest
_Holder: TypeAlias = RunCommandRequest | CreateDeploymentRequest

_TYPES: Final[dict[WorkKind, type[Request]]] = {
    WorkKind.COMMAND: RunCommandRequest,
    WorkKind.DEPLOYMENT: CreateDeploymentRequest,
    WorkKind.JOB: CreateJobRequest,
}
# The second for durations out of bounds.
_UNSTORABLE: Final = (Error, ValueError)


def work_of(message: ScheduledWork) -> Work:
    """What is to be stored. InvalidArgument `SCHEDULE_INVALID` when nothing or what the schedule decides is given."""
    which = message.WhichOneof("work")
    if which is None:
        raise _work_invalid("work is a command, a deployment or a job", "work")
    request: Request = getattr(message, which)
    for name in ("request_id", "requested_by"):
        if getattr(request, name):
            raise _work_invalid(f"{name} must be empty in the work of a schedule: the schedule gives it", which, name)
    # A job has both fields in its work once more; its own check refuses them.
    plain = _TYPES[WorkKind(which)].FromString(request.SerializeToString())
    holder = _holder(plain)
    secrets: dict[str, str] = {}
    stdin = b""
    if holder is not None:
        secrets = dict(_secrets(holder))
        if isinstance(holder, RunCommandRequest):
            stdin = holder.stdin
            holder.ClearField("stdin")
        for name in secrets:
            _secrets(holder)[name] = ""
    try:
        document = MessageToDict(plain, preserving_proto_field_name=True)
    except _UNSTORABLE:
        path = (which, *_without_json(plain))
        sentence = f"{path[-1]} cannot be stored: times and numbers must be finite and within their bounds"
        raise _work_invalid(sentence, *path) from None
    return Work(WorkKind(which), document, secrets, stdin)


def request_of(work: Work) -> Request:
    """The request again, with the secrets that `work` has."""
    try:
        request = ParseDict(dict(work.document), _TYPES[work.kind](), ignore_unknown_fields=True)
    except ParseError:
        raise Internal("SCHEDULE_UNREADABLE", "the stored work of a schedule cannot be read") from None
    holder = _holder(request)
    if holder is not None:
        _secrets(holder).update(work.secrets)
        if isinstance(holder, RunCommandRequest):
            holder.stdin = work.stdin
    return request


def work_to_proto(work: Work) -> ScheduledWork:
    """The work as callers see it."""
    message = ScheduledWork()
    getattr(message, work.kind).CopyFrom(request_of(Work(work.kind, work.document)))
    return message


def _holder(request: Request) -> _Holder | None:
    if not isinstance(request, CreateJobRequest):
        return request
    which = request.work.WhichOneof("work")
    return None if which is None else getattr(request.work, which)


def _without_json(message: Message) -> list[str]:
    """The way to the first field that JSON has no form for."""
    for field, value in message.ListFields():
        if not isinstance(value, Message):
            continue
        try:
            MessageToDict(value)
        except _UNSTORABLE:
            ours = value.DESCRIPTOR.file.package.startswith("myx.")
            return [field.name, *(_without_json(value) if ours else [])]
    return []


def _secrets(holder: _Holder) -> MutableMapping[str, str]:
    return holder.secret_env if isinstance(holder, RunCommandRequest) else holder.secret_vars


def _work_invalid(message: str, *path: str) -> InvalidArgument:
    field = ".".join(path if path[0] == "work" else ("work", *path))
    return InvalidArgument("SCHEDULE_INVALID", message, field=field)
