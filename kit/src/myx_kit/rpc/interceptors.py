"""What happens around every gRPC call of ours: who calls, may they, is there a deadline, and how errors leave.

Our services have unary methods, uploads (client streams with one answer, as unary calls) and server streams; the latter
are resumable, so a stopping server ends them with UNAVAILABLE `SERVICE_STOPPING` instead of waiting for them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, TypeAlias, cast

import grpc
from grpc.aio import ServerInterceptor, ServicerContext

from myx_kit.errors import Code, Internal, InvalidArgument, MyxError, PermissionDenied, Unauthenticated, Unavailable
from myx_kit.logging import get_logger
from myx_kit.rpc.status import status_of
from myx_kit.rpc.watch import StreamWatch, UnaryWatch
from myx_kit.settings import SERVICE_NAMES

log = get_logger()

Context = ServicerContext[Any, Any]
# Generic only in the stubs.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"

_caller: ContextVar[str] = ContextVar("myx_rpc_caller")
# Health and reflection: part of gRPC, asked by probes and tools that send no deadline.
_GRPC_OWN = "/grpc."


def caller() -> str:
    """The service name (certificate common name) of whoever made the call that is being handled."""
    return _caller.get()


class EdgeInterceptor(ServerInterceptor):
    """The one place where calls are checked and errors translated.

    `allowed`: full method name to the services that may use it; a method that is not named is open to all of ours.
    `clients`: other teams' programs by the name in their certificate, to the methods that each may use and no other;
    what they ask for is asked for by `client:<name>`, whatever their requests say.
    """

    def __init__(self, allowed: Mapping[str, frozenset[str]], clients: Mapping[str, frozenset[str]]) -> None:
        self._allowed = allowed
        self._clients = clients
        self._streams: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wrap the handler of one call."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_GRPC_OWN):
            return handler
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(method, cast("Any", handler.unary_unary)),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, cast("Any", handler.unary_stream)),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                self._unary(method, _whole(cast("Any", handler.stream_unary))),
                handler.request_deserializer,
                handler.response_serializer,
            )
        raise Internal("METHOD_KIND_UNSUPPORTED", f"{method} streams both ways")

    def end_streams(self) -> None:
        """End every open stream, and every one that comes, with UNAVAILABLE `SERVICE_STOPPING`."""
        self._stopping = True
        for task in self._streams:
            task.cancel()

    def _unary(
        self, method: str, behaviour: Callable[[Any, Context], Awaitable[Any]]
    ) -> Callable[[Any, Context], Awaitable[Any]]:
        async def handle(request: Any, context: Context) -> Any:
            with UnaryWatch(method, context) as watch:
                try:
                    self._check(method, context, request)
                    return await behaviour(request, context)
                except Exception as error:  # noqa: BLE001 - the edge
                    _stay_cancelled()
                    translated = watch.failed(self._translate(error, method))
            return await _abort(context, translated)

        return handle

    def _stream(
        self, method: str, behaviour: Callable[[Any, Context], AsyncIterator[Any]]
    ) -> Callable[[Any, Context], Awaitable[None]]:
        # A coroutine that writes, not a generator: when the call is cancelled the inner generator is closed at once.
        async def handle(request: Any, context: Context) -> None:
            task = cast("asyncio.Task[Any]", asyncio.current_task())
            self._streams.add(task)
            with StreamWatch(method, context) as watch:
                try:
                    self._check(method, context, request)
                    if self._stopping:
                        raise _stopping_error()
                    async with aclosing(cast("Any", behaviour(request, context))) as responses:
                        async for response in responses:
                            await _write(context, response)
                    return
                except asyncio.CancelledError:
                    if not self._stopping or context.cancelled():
                        raise
                    task.uncancel()
                    translated: MyxError = watch.failed(_stopping_error())
                except Exception as error:  # noqa: BLE001 - the edge
                    _stay_cancelled()
                    translated = watch.failed(self._translate(error, method))
                finally:
                    self._streams.discard(task)
            await _abort(context, translated)

        return handle

    def _check(self, method: str, context: Context, request: Any) -> None:
        name = _common_name(context)
        _caller.set(name)
        if method in self._clients.get(name, ()):
            _sign(request, f"client:{name}")
        elif name not in self._allowed.get(method, SERVICE_NAMES):
            raise PermissionDenied("CALLER_NOT_ALLOWED", f"{name} may not call {method}", caller=name, method=method)
        if context.time_remaining() is None:
            raise InvalidArgument("DEADLINE_REQUIRED", "the call has no deadline")

    @staticmethod
    def _translate(error: Exception, method: str) -> MyxError:
        if isinstance(error, MyxError):
            if error.code is Code.INTERNAL:
                log.error("rpc_failed", method=method, reason=error.reason, caller=_caller.get(""), exc_info=error)
            return error
        log.error("rpc_failed", method=method, reason="INTERNAL", caller=_caller.get(""), exc_info=error)
        return Internal("INTERNAL", "internal error")


def _whole(behaviour: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
    """`behaviour` whose requests end with InvalidArgument `UPLOAD_INCOMPLETE` unless the last one says `complete`.

    gRPC tells a handler that its caller broke off in the same way as that all was sent; the cancellation comes later.
    What `behaviour` leaves unread is thrown away: an answer that comes before the end makes the caller's next write
    fail, and with it gets lost.
    """

    async def checked(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        complete = False
        async for request in requests:
            complete = request.complete
            yield request
        if not complete:
            raise InvalidArgument("UPLOAD_INCOMPLETE", "the upload was broken off; nothing of it is stored")

    async def handle(requests: AsyncIterator[Any], context: Context) -> Any:
        try:
            answer = await behaviour(checked(requests), context)
        except Exception:
            await _drain(requests)
            raise
        await _drain(requests)
        return answer

    return handle


async def _drain(requests: AsyncIterator[Any]) -> None:
    async for _ in requests:
        pass


async def _write(context: Context, response: Any) -> None:
    try:
        await context.write(response)
    except grpc.aio.BaseError:
        # The caller left while it was being written to.
        raise asyncio.CancelledError from None


def _stay_cancelled() -> None:
    # What a handler raises after its caller has left interests nobody. (context.cancelled() is false by then.)
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _abort(context: Context, error: MyxError) -> Any:
    code, details, metadata = status_of(error)
    await context.abort(code, details, metadata)


def _sign(request: Any, who: str) -> None:
    """Services are believed when they say for whom they ask; others ask for themselves."""
    if hasattr(request, "requested_by"):
        request.requested_by = who


def _stopping_error() -> Unavailable:
    return Unavailable("SERVICE_STOPPING", "the service is stopping; come back with your offset")


def _common_name(context: Context) -> str:
    names = list(context.auth_context().get("x509_common_name", ()))
    if not names:
        raise Unauthenticated("CALLER_UNKNOWN", "the caller showed no certificate")
    return names[0].decode("utf-8", "replace")
