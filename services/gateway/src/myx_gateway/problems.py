"""Errors on their way out: one table from MyxError to HTTP status, problem details (RFC 9457) as body."""

import json
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from myx_kit.errors import Code, MyxError

STATUS_OF_CODE: Final = {
    Code.INVALID_ARGUMENT: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.FAILED_PRECONDITION: 409,
    Code.OUT_OF_RANGE: 416,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
# Reasons for which HTTP has a better word than for their code.
STATUS_OF_REASON: Final = {
    # A host is away, not MyX: nothing here would be better for a repeat.
    "SSH_UNREACHABLE": 409,
    "METHOD_NOT_ALLOWED": 405,
    "BODY_TIMEOUT": 408,
    "LOG_PURGED": 410,
    "ETAG_MISMATCH": 412,
    "BODY_TOO_LARGE": 413,
    "PROJECT_TOO_LARGE": 413,
    "ARTIFACT_TOO_LARGE": 413,
    "MEDIA_TYPE_UNSUPPORTED": 415,
    "REQUEST_ID_REUSED": 422,
    "HEAD_TOO_LARGE": 431,
    "TOO_MANY_STREAMS": 503,
    "STOPPING": 503,
}
MEDIA_TYPE: Final = "application/problem+json"
_HEADERS_OF_STATUS: Final = {
    401: {"WWW-Authenticate": 'Bearer realm="myx"'},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "1"},
}
# What the services call a field and the public interface calls otherwise.
_PUBLIC_NAMES: Final = {
    "etag": "If-Match",
    "request_id": "Idempotency-Key",
    "own_credential": "credential",
    **{name: f"{name}_s" for name in ("timeout", "no_output_timeout", "queue_timeout", "connect_timeout", "grace")},
    **{name: f"{name}_s" for name in ("batch_pause", "canary_soak", "deadline", "missed_within")},
}
_INTERNAL_DETAIL: Final = "internal error; the log has more under this request_id"


def status_of(error: MyxError) -> int:
    """The HTTP status that says `error`."""
    return STATUS_OF_REASON.get(error.reason) or STATUS_OF_CODE[error.code]


def body_of(error: MyxError, request_id: str) -> bytes:
    """The problem details of `error`; of an internal one only that it is one."""
    status = status_of(error)
    internal = error.code is Code.INTERNAL
    reason = "INTERNAL" if internal else error.reason
    return json.dumps(
        {
            "type": f"urn:myx:problem:{reason.lower()}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": _INTERNAL_DETAIL if internal else error.message,
            "reason": reason,
            "fields": {} if internal else _fields(error),
            "request_id": request_id,
        }
    ).encode()


def _fields(error: MyxError) -> dict[str, str]:
    """The facts, where `field: <name>` of a service becomes `<name>: <what would be right>`."""
    facts = dict(error.fields)
    name = facts.pop("field", "")
    return {**facts, public_name(name): error.message} if name else facts


def public_name(name: str) -> str:
    """How the public interface calls a field of a service, `options.canary_soak` for example."""
    above, dot, last = name.rpartition(".")
    return above + dot + _PUBLIC_NAMES.get(last, last)


def response_for(error: MyxError, request_id: str, headers: dict[str, str] | None = None) -> Response:
    """The whole answer; works before the upgrade of a WebSocket too (`send_denial_response`)."""
    status = status_of(error)
    own = dict(_HEADERS_OF_STATUS.get(status, {}))
    if "retry_after_s" in error.fields:
        own["Retry-After"] = error.fields["retry_after_s"]
    if error.reason == "RANGE_BEYOND_END":
        own["Content-Range"] = f"bytes */{error.fields['size']}"
    return Response(
        body_of(error, request_id),
        status_code=status,
        headers={**own, **(headers or {})},
        media_type=MEDIA_TYPE,
    )
