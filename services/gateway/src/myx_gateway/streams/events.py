"""GET /events: what happens in the fleet, as server-sent events, or with an upgrade as a WebSocket."""

from collections.abc import Iterable
from typing import Annotated, Any, Final

from fastapi import Header, Query, Request
from starlette.responses import Response

from myx_gateway.access.access import Access
from myx_gateway.api.dependencies import AccessDep, ServerFilter
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert.events import TYPES
from myx_gateway.streams.event_feed import EventFeed, Sight, Wanted
from myx_gateway.streams.event_ring import parse_place
from myx_gateway.streams.parts import StreamParts
from myx_gateway.streams.responses import EventStream
from myx_gateway.streams.websocket import Opening
from myx_kit.errors import InvalidArgument

router = OperationRouter(tags=["events"])

# Whole ones, and the words before the dot.
_KNOWN: Final = frozenset(TYPES.values()) | {one.partition(".")[0] for one in TYPES.values()}
_MAX_PLACE: Final = 64
_EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


@router.operation("events.stream", response_class=Response, responses=_EVENTS)
async def stream_events(
    *,
    request: Request,
    access: AccessDep,
    types: Annotated[
        list[str] | None,
        Query(alias="type", max_length=64, description="Only these: `agent.online`, or `agent`. May be repeated."),
    ] = None,
    server: ServerFilter = "",
    after: Annotated[
        str, Query(max_length=_MAX_PLACE, description="Begin behind this id; `0`: with the oldest kept. Empty: now.")
    ] = "",
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", max_length=_MAX_PLACE, description="Resumes; wins over `after`.")
    ] = None,
) -> Response:
    """What happens in the fleet from now on, or from an id on, as far as you may see it.

    An event is {id, time, type, server_id, data}. By name come `start` {id}, once it is known where the stream begins,
    `gap` {from, to, reason} where events are not kept any more, and `close` {reason, detail}: come back with the last
    id. The WebSocket sends the same as text messages, `start`, `gap` and `ping` as their `type`.
    """
    parts: StreamParts = request.app.state.stream_parts
    if last_event_id is None:
        wanted = _wanted(types or (), server, after, "after")
    else:
        wanted = _wanted(types or (), server, last_event_id, "Last-Event-ID")
    return EventStream(parts, _feed(parts, access, wanted))


def event_socket(asked: Opening) -> EventFeed:
    """The same for a WebSocket."""
    query = asked.query
    wanted = _wanted(asked.queries.get("type", ()), query.get("server", ""), query.get("after", ""), "after")
    return _feed(asked.parts, asked.access, wanted)


def _feed(parts: StreamParts, access: Access, wanted: Wanted) -> EventFeed:
    # It is also how a handler shows that it asks; whoever may see nothing was refused before.
    assert access.selector  # noqa: S101
    return EventFeed(parts.ring, Sight(access, parts.heal_s), wanted)


def _wanted(types: Iterable[str], server: str, after: str, name: str) -> Wanted:
    """`name` is that of what `after` was given as."""
    place = parse_place(after, name) if after else None
    return Wanted(_checked(types), server, place, from_oldest=after == "0")


def _checked(types: Iterable[str]) -> frozenset[str]:
    named = frozenset(one for text in types for one in text.split(",") if one)
    if unknown := named - _KNOWN:
        said = f"must be types of events, as {', '.join(sorted(TYPES.values()))}"
        raise InvalidArgument("REQUEST_INVALID", f"type {said}; {min(unknown)[:40]!r} is none", type=said)
    return named
