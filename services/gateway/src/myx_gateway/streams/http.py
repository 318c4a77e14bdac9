"""GET …/{id}/log (raw bytes) and …/{id}/log/stream (server-sent events), of commands and deployments."""

import json
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from myx_gateway.convert.commands import wire_stream
from myx_gateway.schemas.commands import LogStream
from myx_gateway.streams import frames
from myx_gateway.streams.outlet import ClientGoneError, ClientStalledError, Outlet, StoppingError
from myx_gateway.streams.parts import StreamParts, parse_offset
from myx_gateway.streams.source import LogSource, Step
from myx_gateway.streams.subjects import CommandSubject, DeploymentSubject, Subject
from myx_kit.errors import MyxError
from myx_kit.logging import get_logger

log = get_logger()
router = APIRouter(tags=["logs"])

CommandPath = Annotated[str, Path(max_length=255, description="Id of the command.")]
Offset = Annotated[str, Query(pattern="^-?[0-9]+$", max_length=40, description="Byte offset in the interleaved log.")]
DeploymentPath = Annotated[str, Path(max_length=255, description="Id of the deployment.")]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=40, description="Resumes; wins over `offset`.")
]
_RETRY = b"retry: 1000\n\n"


class _LogResponse(Response):
    """Sends a log as the body of a response; errors before its first byte leave as problems."""

    follow: ClassVar[bool]

    def __init__(self, parts: StreamParts, subject: Subject, offset: int) -> None:
        super().__init__(media_type=self.media_type)
        del self.headers["content-length"]
        self._parts = parts
        self._subject = subject
        self._offset = offset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the log, the client or the process ends."""
        with self._parts.book.entry():
            source = self._parts.source(self._subject, self._offset, follow=self.follow)
            outlet = Outlet(scope, receive, send, self._parts.patience)
            try:
                await source.open()
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                reason = await self._stream(source, outlet)
            finally:
                await source.close()
        log.info("log_stream_ended", command_id=self._subject.id, offset=source.offset, reason=reason)

    async def _stream(self, source: LogSource, outlet: Outlet) -> str:
        write = _writer(outlet)
        try:
            await outlet.run(self._pump(source, write), lambda: self._ping(write), self._parts.book)
            await self._end(outlet, b"")
        except ClientGoneError:
            return "client gone"
        except ClientStalledError:
            outlet.abort()
            return "client stalled"
        except StoppingError:
            await self._break(outlet, "STOPPING", "the gateway is restarting")
            return "stopping"
        except MyxError as error:
            await self._break(outlet, error.reason, error.message)
            return error.reason
        except Exception as error:
            log.error("log_stream_failed", command_id=self._subject.id, exc_info=error)
            await self._break(outlet, "INTERNAL", "internal error")
            return "internal error"
        return "complete"

    async def _pump(self, source: LogSource, write: "_Write") -> None:
        async for step in source:
            await self._write_step(step, write)

    @abstractmethod
    async def _write_step(self, step: Step, write: "_Write") -> None:
        """Send what a step holds."""

    async def _ping(self, write: "_Write") -> None:
        """Say that the stream is alive."""

    async def _break(self, outlet: Outlet, _reason: str, _detail: str) -> None:
        """End a body that is not complete: without its end mark, so that nobody takes it for all."""
        outlet.abort()

    async def _end(self, outlet: Outlet, body: bytes) -> None:
        try:
            await outlet.send({"type": "http.response.body", "body": body, "more_body": False})
        except ClientStalledError:
            outlet.abort()
        except ClientGoneError:
            pass


_Write = Callable[[bytes], Awaitable[None]]


def _writer(outlet: Outlet) -> _Write:
    async def write(data: bytes) -> None:
        await outlet.send({"type": "http.response.body", "body": data, "more_body": True})

    return write


class _Download(_LogResponse):
    """The stored bytes of both streams or of one."""

    media_type = "application/octet-stream"
    follow = False

    def __init__(self, parts: StreamParts, subject: Subject, offset: int, stream: LogStream | None) -> None:
        super().__init__(parts, subject, offset)
        self._stream_number = None if stream is None else wire_stream(stream)

    async def _write_step(self, step: Step, write: _Write) -> None:
        wanted = self._stream_number
        for frame in step.frames:
            if frame.data and (wanted is None or frame.stream == wanted):
                await write(frame.data)


class _Events(_LogResponse):
    """The log as server-sent events."""

    media_type = "text/event-stream"
    follow = True

    def __init__(self, parts: StreamParts, subject: Subject, offset: int) -> None:
        super().__init__(parts, subject, offset)
        self.headers["X-Accel-Buffering"] = "no"

    async def _pump(self, source: LogSource, write: _Write) -> None:
        await write(_RETRY)
        await super()._pump(source, write)

    async def _write_step(self, step: Step, write: _Write) -> None:
        for piece in frames.pieces(step.frames):
            await write(frames.log_event(piece))
        if step.HasField("gap"):
            await write(frames.gap_event(step.gap))
        if step.HasField("final"):
            document = await self._subject.document(step.final)
            await write(frames.final_event(step.final.offset, self._subject.word, document))

    async def _ping(self, write: _Write) -> None:
        await write(frames.PING_EVENT)

    async def _break(self, outlet: Outlet, reason: str, detail: str) -> None:
        text = json.dumps({"reason": reason, "detail": detail})
        await self._end(outlet, f"event: close\ndata: {text}\n\n".encode())


_BINARY: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
_EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}


@router.get("/commands/{command_id}/log", response_class=Response, responses=_BINARY)
async def download_log(
    request: Request, command_id: CommandPath, offset: Offset = "0", stream: LogStream | None = None
) -> Response:
    """The log that is stored now, as raw bytes; of a running command it ends there."""
    parts: StreamParts = request.app.state.stream_parts
    return _Download(parts, CommandSubject(parts.clients, command_id), parse_offset(offset, "offset"), stream)


@router.get("/commands/{command_id}/log/stream", response_class=Response, responses=_EVENTS)
async def stream_log(
    request: Request, command_id: CommandPath, offset: Offset = "0", last_event_id: LastEventId = None
) -> Response:
    """The log from an offset, then live, as server-sent events (or, with an upgrade, as a WebSocket).

    Events: `log` {stream, offset, data (base64)}, its id is the offset behind the data; `gap` {from, to, reason};
    `final` {offset, command}, after which the stream ends; `close` {reason, detail}: come back with the last id.
    The WebSocket sends binary messages (1 byte stream: 1 stdout, 2 stderr; 8 bytes big-endian offset; payload) and
    text messages {"type": "gap" | "final" | "ping", …}.
    """
    parts: StreamParts = request.app.state.stream_parts
    return _Events(parts, CommandSubject(parts.clients, command_id), _start(offset, last_event_id))


@router.get("/deployments/{deployment_id}/log", response_class=Response, responses=_BINARY)
async def download_deployment_log(
    request: Request, deployment_id: DeploymentPath, offset: Offset = "0", stream: LogStream | None = None
) -> Response:
    """The log of a deployment that is stored now, as raw bytes."""
    parts: StreamParts = request.app.state.stream_parts
    return _Download(parts, DeploymentSubject(parts.clients, deployment_id), parse_offset(offset, "offset"), stream)


@router.get("/deployments/{deployment_id}/log/stream", response_class=Response, responses=_EVENTS)
async def stream_deployment_log(
    request: Request, deployment_id: DeploymentPath, offset: Offset = "0", last_event_id: LastEventId = None
) -> Response:
    """The log of a deployment, as that of a command; `final` holds `deployment` instead of `command`."""
    parts: StreamParts = request.app.state.stream_parts
    return _Events(parts, DeploymentSubject(parts.clients, deployment_id), _start(offset, last_event_id))


def _start(offset: str, last_event_id: str | None) -> int:
    if last_event_id is not None:
        return parse_offset(last_event_id, "Last-Event-ID")
    return parse_offset(offset, "offset")
