"""Which WebSockets there are, and how their feeds are made."""

from functools import partial
from typing import Final

from myx_gateway.streams.events import event_socket
from myx_gateway.streams.feed import Feed, LogFeed
from myx_gateway.streams.jobs import JobFeed, JobSource, Position, parse_position
from myx_gateway.streams.parts import StreamParts, parse_offset
from myx_gateway.streams.subjects import CommandSubject, DeploymentSubject, Subject, SubjectKind
from myx_gateway.streams.websocket import MakeFeed, Opening, Query
from myx_kit.errors import InvalidArgument

_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False, "": False}


def log_feed(parts: StreamParts, subject: Subject, offset: int) -> LogFeed:
    """A log from an offset, then live."""
    return LogFeed(subject, parts.source(subject, offset, follow=True))


def job_feed(parts: StreamParts, job_id: str, position: Position, *, output: bool, listens: bool = False) -> JobFeed:
    """A job from a position; `listens`: the client says its offsets first."""
    source = JobSource(parts.clients.jobs, job_id, position, output=output, heal_s=parts.heal_s)
    return JobFeed(job_id, source, listens=listens)


def _log(kind: SubjectKind, asked: Opening) -> Feed:
    offset = parse_offset(asked.query.get("offset", "0"), "offset")
    return log_feed(asked.parts, kind(asked.parts.clients, asked.id), offset)


def _job(asked: Opening) -> Feed:
    query = asked.query
    position = parse_position(query.get("after_revision", "0"), "after_revision")
    output, listens = _flag(query, "output"), _flag(query, "resume")
    return job_feed(asked.parts, asked.id, position, output=output, listens=listens)


def _flag(query: Query, name: str) -> bool:
    value = _FLAGS.get(query.get(name, "").lower())
    if value is None:
        raise InvalidArgument("REQUEST_INVALID", f"{name} must be true or false", **{name: "must be true or false"})
    return value


# By operation; at its path an upgrade opens a WebSocket.
SOCKETS: Final[dict[str, MakeFeed]] = {
    "commands.stream_log": partial(_log, CommandSubject),
    "deployments.stream_log": partial(_log, DeploymentSubject),
    "jobs.stream": _job,
    "events.stream": event_socket,
}
