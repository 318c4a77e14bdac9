"""GET …/{id}/log (raw bytes), …/{id}/log/stream and /jobs/{id}/stream (server-sent events)."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request
from starlette.responses import Response

from myx_gateway.api.routes import OperationRouter
from myx_gateway.schemas.commands import LogStream
from myx_gateway.streams.download import Download
from myx_gateway.streams.jobs import parse_position
from myx_gateway.streams.parts import StreamParts, parse_offset
from myx_gateway.streams.responses import EventStream
from myx_gateway.streams.sockets import job_feed, log_feed
from myx_gateway.streams.subjects import CommandSubject, DeploymentSubject, SubjectKind

router = OperationRouter(tags=["logs"])

CommandPath = Annotated[str, Path(max_length=255, description="Id of the command.")]
DeploymentPath = Annotated[str, Path(max_length=255, description="Id of the deployment.")]
JobPath = Annotated[str, Path(max_length=255, description="Id of the job.")]
Offset = Annotated[str, Query(pattern="^-?[0-9]+$", max_length=40, description="Byte offset in the interleaved log.")]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=40, description="Resumes; wins over `offset`.")
]
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_BINARY: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": _BYTES}},
    206: {"description": "The range that was asked for.", "content": {"application/octet-stream": _BYTES}},
}
_EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


@dataclass(frozen=True)
class Wanted:
    """What of a log is downloaded."""

    offset: Offset = "0"
    stream: LogStream | None = None
    range_: Annotated[
        str | None,
        Header(
            alias="Range",
            max_length=255,
            description="One range of bytes; of one stream only of a final, complete log. Not beside `offset`.",
        ),
    ] = None
    if_range: Annotated[
        str | None, Header(alias="If-Range", max_length=512, description="ETag of the part before.")
    ] = None

    def of(self, request: Request, kind: SubjectKind, id_: str) -> Download:
        """The download."""
        parts: StreamParts = request.app.state.stream_parts
        return Download(
            parts,
            kind(parts.clients, id_),
            offset=parse_offset(self.offset, "offset"),
            stream=self.stream,
            range_=self.range_,
            if_range=self.if_range,
        )


WantedDep = Annotated[Wanted, Depends()]


@router.operation("commands.log", response_class=Response, responses=_BINARY)
async def download_log(request: Request, command_id: CommandPath, wanted: WantedDep) -> Response:
    """The log that is stored now, as raw bytes; of a running command it ends there.

    An answer that breaks off without its end mark is not complete. A log with gaps comes without them; where a range
    begins in one the answer is `RANGE_IN_GAP`.
    """
    return wanted.of(request, CommandSubject, command_id)


@router.operation("commands.stream_log", response_class=Response, responses=_EVENTS)
async def stream_log(
    request: Request, command_id: CommandPath, offset: Offset = "0", last_event_id: LastEventId = None
) -> Response:
    """The log from an offset, then live, as server-sent events (or, with an upgrade, as a WebSocket).

    Events: `log` {stream, offset, data (base64)}, its id is the offset behind the data; `gap` {from, to, reason};
    `final` {offset, command}, after which the stream ends; `close` {reason, detail}: come back with the last id.
    The WebSocket sends binary messages (1 byte stream: 1 stdout, 2 stderr; 8 bytes big-endian offset; payload) and
    text messages {"type": "gap" | "final" | "ping", …}.
    """
    return _log_events(request, CommandSubject, command_id, offset, last_event_id)


@router.operation("deployments.log", response_class=Response, responses=_BINARY)
async def download_deployment_log(request: Request, deployment_id: DeploymentPath, wanted: WantedDep) -> Response:
    """The log of a deployment that is stored now, as raw bytes, as of a command."""
    return wanted.of(request, DeploymentSubject, deployment_id)


@router.operation("deployments.stream_log", response_class=Response, responses=_EVENTS)
async def stream_deployment_log(
    request: Request, deployment_id: DeploymentPath, offset: Offset = "0", last_event_id: LastEventId = None
) -> Response:
    """The log of a deployment, as that of a command; `final` holds `deployment` instead of `command`."""
    return _log_events(request, DeploymentSubject, deployment_id, offset, last_event_id)


@router.operation("jobs.stream", response_class=Response, responses=_EVENTS)
async def stream_job(
    *,
    request: Request,
    job_id: JobPath,
    after_revision: Annotated[
        str, Query(pattern="^[0-9]+$", max_length=19, description="Targets that changed after it come first; 0: all.")
    ] = "0",
    output: Annotated[bool, Query(description="Also the output of the targets.")] = False,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", max_length=8192, description="Resumes; wins over `after_revision`.")
    ] = None,
) -> Response:
    """A job and its targets as they change, as server-sent events (or, with an upgrade, as a WebSocket).

    Events: `targets` {targets: […]}, `job` {job}, `output` {number, stream, offset, data (base64)}, `gap` {number,
    from, to, reason}; after a `job` in a final state the stream ends; `close` {reason, detail}: come back with the last
    id. The WebSocket sends `job`, `targets`, `gap` and `ping` as text and output as binary messages (1 byte stream,
    4 bytes number of the target, 8 bytes offset, both big-endian, payload); with `resume=true` it waits for a first
    message {"offsets": {"NUMBER": OFFSET, …}}.
    """
    parts: StreamParts = request.app.state.stream_parts
    if last_event_id is not None:
        position = parse_position(last_event_id, "Last-Event-ID")
    else:
        position = parse_position(after_revision, "after_revision")
    return EventStream(parts, job_feed(parts, job_id, position, output=output))


def _log_events(request: Request, kind: SubjectKind, id_: str, offset: str, last_event_id: str | None) -> EventStream:
    parts: StreamParts = request.app.state.stream_parts
    if last_event_id is not None:
        start = parse_offset(last_event_id, "Last-Event-ID")
    else:
        start = parse_offset(offset, "offset")
    return EventStream(parts, log_feed(parts, kind(parts.clients, id_), start))
