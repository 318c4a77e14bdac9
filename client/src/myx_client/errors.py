"""What can go wrong: each error of the API by its status, and no answer at all."""

from typing import Final

from msgspec import DecodeError, Struct, json


class MyxError(Exception):
    """Base of all errors of this client; its text is for people."""


class Unreachable(MyxError):
    """No answer came.

    `maybe_sent` tells whether the request may have arrived, `permanent` whether trying again is pointless.
    """

    def __init__(self, message: str, *, maybe_sent: bool, permanent: bool = False) -> None:
        super().__init__(message)
        self.maybe_sent = maybe_sent
        self.permanent = permanent


class AnswerError(MyxError):
    """What answered is not MyX, or a MyX that is older than this client."""


class ApiError(MyxError):
    """MyX declined: the fields of its problem details (RFC 9457)."""

    def __init__(self, problem: "Problem", retry_after_s: float | None = None) -> None:
        super().__init__(problem.detail or problem.title or f"HTTP status {problem.status}")
        self.status = problem.status
        # A stable name, for example SERVER_NOT_FOUND.
        self.reason = problem.reason
        self.detail = problem.detail
        # Facts; for a bad request the name of each wrong field and what would be right.
        self.fields = problem.fields
        # Names this request in the gateway's log.
        self.request_id = problem.request_id
        self.retry_after_s = retry_after_s

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status in {429, 502, 503, 504}


class BadRequest(ApiError):
    """400, 415, 422: the request cannot be taken as it stands."""


class Unauthenticated(ApiError):
    """401: no token, or one that is not valid (any more)."""


class Forbidden(ApiError):
    """403: whose token it is may not do that."""


class NotFound(ApiError):
    """404, 410: there is no such thing, or none that may be seen."""


class Conflict(ApiError):
    """409: it does not go with the state that things are in."""


class ChangedMeanwhile(ApiError):
    """412: somebody else has changed it since `if_match`."""


class TooMany(ApiError):
    """429: too much at once; `retry_after_s` may say when to come back."""


class ServerError(ApiError):
    """5xx: a fault of MyX, or a part of it is away."""


class Problem(Struct, frozen=True):
    """The body of an error, as much of it as there is."""

    status: int = 0
    title: str = ""
    detail: str = ""
    reason: str = ""
    fields: dict[str, str] = {}
    request_id: str = ""


_OF_STATUS: Final[dict[int, type[ApiError]]] = {
    **dict.fromkeys((400, 415, 422), BadRequest),
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    412: ChangedMeanwhile,
    429: TooMany,
}


def error_of(status: int, content: bytes, retry_after: str = "") -> MyxError:
    """The error that an answer with a status of 300 or more comes to."""
    if status < 400:
        return AnswerError(f"MyX is not at this address: it sends elsewhere (HTTP status {status})")
    try:
        problem = json.decode(content, type=Problem, strict=False)
    except DecodeError:
        problem = Problem()
    if not problem.reason:
        problem = Problem(status=status, title=f"HTTP status {status}, not from MyX itself")
    kind = _OF_STATUS.get(status, ServerError if status >= 500 else ApiError)
    return kind(problem, float(retry_after) if retry_after.isdigit() else None)
