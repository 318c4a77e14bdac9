"""The errors of MyX: a reason for machines, a message for people, facts in fields; translated once, at each edge."""

from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """The gRPC status names that MyX uses (google.rpc.Code)."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"


class MyxError(Exception):
    """Base of all errors that MyX raises on purpose.

    `reason` is a stable UPPER_SNAKE_CASE name, `message` a sentence that an operator may see, `fields` facts about this
    occurrence. None of them ever holds a secret.
    """

    code: ClassVar[Code] = Code.INTERNAL

    def __init__(self, reason: str, message: str, /, **fields: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message
        self.fields = fields

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

    def __reduce__(self) -> tuple[object, ...]:
        return (error_for, (self.code, self.reason, self.message, self.fields))


class InvalidArgument(MyxError):
    """The request is wrong in whatever state the system is; `fields["field"]` names the argument if there is one."""

    code = Code.INVALID_ARGUMENT


class NotFound(MyxError):
    """What the request names does not exist."""

    code = Code.NOT_FOUND


class AlreadyExists(MyxError):
    """What the request would create is there already."""

    code = Code.ALREADY_EXISTS


class FailedPrecondition(MyxError):
    """The state of the system forbids it; repeating does not help until that state is changed."""

    code = Code.FAILED_PRECONDITION


class Aborted(MyxError):
    """Another writer came first (lost update, serialization failure); read again, then repeat."""

    code = Code.ABORTED


class OutOfRange(MyxError):
    """A position lies beyond the end of what there is."""

    code = Code.OUT_OF_RANGE


class Unauthenticated(MyxError):
    """Who asks has not proved who they are."""

    code = Code.UNAUTHENTICATED


class PermissionDenied(MyxError):
    """Who asks is known and may not do this."""

    code = Code.PERMISSION_DENIED


class ResourceExhausted(MyxError):
    """A limit or quota is reached."""

    code = Code.RESOURCE_EXHAUSTED


class Unavailable(MyxError):
    """A part that is needed does not answer now; the same request may succeed later."""

    code = Code.UNAVAILABLE


class DeadlineExceeded(MyxError):
    """The caller's time ran out; it is not known whether the request took effect."""

    code = Code.DEADLINE_EXCEEDED


class Internal(MyxError):
    """A fault of ours; a person should look."""

    code = Code.INTERNAL


_CLASSES: dict[Code, type[MyxError]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        OutOfRange,
        Unauthenticated,
        PermissionDenied,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Internal,
    )
}


def error_for(code: Code, reason: str, message: str, fields: dict[str, str]) -> MyxError:
    """The error object of `code`, as it was at the other end of a wire."""
    error = _CLASSES[code](reason, message)
    error.fields = dict(fields)
    return error
