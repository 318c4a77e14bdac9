"""Around each call that is handled: for which request it is, its span, its figures, its line in the log."""

import time
from types import TracebackType
from typing import Any, Self

from grpc.aio import ServicerContext

from myx_kit import correlation, tracing
from myx_kit.errors import MyxError
from myx_kit.logging import get_logger
from myx_kit.metrics import RPC_SECONDS, RPC_STREAMS
from myx_kit.tracing import Kind

log = get_logger()

Context = ServicerContext[Any, Any]


class UnaryWatch:
    """A context manager around one call with one answer; within it the task belongs to the caller's request."""

    def __init__(self, method: str, context: Context) -> None:
        self._method = method
        _enter(context)
        self._span = tracing.span(method.lstrip("/"), Kind.SERVER, rpc__system="grpc")
        self._started = time.monotonic()
        self._code = "OK"

    def __enter__(self) -> Self:
        self._span.__enter__()
        return self

    def failed(self, error: MyxError) -> MyxError:
        """The call ends with this error, which is returned."""
        self._code = error.code
        self._span.fail(error.reason)
        return error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        taken_s = time.monotonic() - self._started
        code = "CANCELLED" if error is not None else self._code
        RPC_SECONDS.labels(self._method, code).observe(taken_s)
        log.debug("rpc", method=self._method, code=code, duration_ms=round(taken_s * 1e3, 1))
        self._span.__exit__(kind, error, traceback)


class StreamWatch:
    """As UnaryWatch, around one call with a stream of answers."""

    def __init__(self, method: str, context: Context) -> None:
        _enter(context)
        self._span = tracing.span(method.lstrip("/"), Kind.SERVER, rpc__system="grpc")
        self._open = RPC_STREAMS.labels(method)

    def __enter__(self) -> Self:
        self._span.__enter__()
        self._open.inc()
        return self

    def failed(self, error: MyxError) -> MyxError:
        """The call ends with this error, which is returned."""
        self._span.fail(error.reason)
        return error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.dec()
        self._span.__exit__(kind, error, traceback)


def _enter(context: Context) -> None:
    request_id = traceparent = ""
    for key, value in context.invocation_metadata() or ():
        if key == correlation.REQUEST_ID_KEY:
            request_id = str(value)
        elif key == tracing.HEADER:
            traceparent = str(value)
    correlation.enter(request_id, traceparent)
