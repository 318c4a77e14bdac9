"""MyxError on the gRPC wire: status code, details, and an `ErrorDetail` in the trailing metadata `myx-error-bin`."""

import grpc
from google.protobuf.message import DecodeError
from grpc.aio import AioRpcError

from myx.errors.v1.error_detail_pb2 import ErrorDetail
from myx_kit.errors import Code, MyxError, error_for

METADATA_KEY = "myx-error-bin"

# Metadata beyond 8 KiB may be refused on the way (grpc.max_metadata_size).
_MESSAGE_LIMIT = 1000
_FIELD_LIMIT = 300
_FIELDS_LIMIT = 16

# Reasons for failures that carry no detail of ours: made by gRPC itself, on either side.
_FALLBACKS: dict[grpc.StatusCode, tuple[Code, str]] = {
    grpc.StatusCode.CANCELLED: (Code.UNAVAILABLE, "CALL_CANCELLED"),
    grpc.StatusCode.UNIMPLEMENTED: (Code.INTERNAL, "METHOD_UNKNOWN"),
    grpc.StatusCode.UNAVAILABLE: (Code.UNAVAILABLE, "SERVICE_UNAVAILABLE"),
    grpc.StatusCode.UNKNOWN: (Code.INTERNAL, "INTERNAL"),
    grpc.StatusCode.DATA_LOSS: (Code.INTERNAL, "INTERNAL"),
}


def status_of(error: MyxError) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """What a server sends for `error`: status code, details, trailing metadata; long texts are cut."""
    detail = ErrorDetail(reason=error.reason, message=error.message[:_MESSAGE_LIMIT])
    for key, value in list(error.fields.items())[:_FIELDS_LIMIT]:
        detail.fields[key] = str(value)[:_FIELD_LIMIT]
    return grpc.StatusCode[error.code], detail.message, ((METADATA_KEY, detail.SerializeToString()),)


def error_from(failure: AioRpcError, peer: str = "the service") -> MyxError:
    """The MyxError that the server raised, or one by status code where the failure came from gRPC itself."""
    status = failure.code()
    code, reason = _FALLBACKS.get(status, (None, status.name))
    if code is None:
        code = Code(status.name)
    detail = _detail(failure)
    if detail is not None and detail.reason:
        return error_for(code, detail.reason, detail.message, dict(detail.fields))
    return error_for(code, reason, _sentence(status, peer), {"peer": peer})


def _detail(failure: AioRpcError) -> ErrorDetail | None:
    value = (failure.trailing_metadata() or {}).get(METADATA_KEY)
    if not isinstance(value, bytes):
        return None
    try:
        return ErrorDetail.FromString(value)
    except DecodeError:
        return None


def _sentence(status: grpc.StatusCode, peer: str) -> str:
    if status is grpc.StatusCode.UNAVAILABLE:
        return f"{peer} does not answer"
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{peer} did not answer in time"
    return f"{peer} failed with {status.name}"
