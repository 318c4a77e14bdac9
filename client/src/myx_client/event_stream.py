"""What happens in the fleet (docs/streams.md)."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import Struct, convert

from myx_client.errors import AnswerError
from myx_client.sockets import Opening, Resumable
from myx_client.transport import Transport


class Event(Struct, frozen=True):
    """Something that happened; `data` is what docs/streams.md says of its `type`."""

    # Give it as `after` to go on behind this event.
    id: str
    time: datetime
    # `agent.online`, `job.finished` …
    type: str
    # The server that it is about; None: it is about none, or about many.
    server_id: str | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventGap:
    """Between two ids lie events that are not kept any more: look anew at what you have concluded from them."""

    start: str
    end: str
    reason: str


async def follow_events(
    transport: Transport, path: str, *, after: str, types: Sequence[str], server: str, reconnect_for_s: float
) -> AsyncGenerator[Event | EventGap]:
    """Events behind `after` (empty: from now on), each once, for ever."""
    place = after

    def opening() -> Opening:
        wanted = {"after": place, "server": server, "type": list(types)}
        return Opening({name: value for name, value in wanted.items() if value})

    stream = Resumable(transport, path, opening, reconnect_for_s)
    async with aclosing(stream.messages()) as messages:
        async for message in messages:
            place, frame = _read(message, place)
            if frame is not None:
                yield frame
                stream.progress()


def _read(message: bytes | dict[str, Any], place: str) -> tuple[str, Event | EventGap | None]:
    """The place behind a message, and what it tells."""
    try:
        if isinstance(message, bytes):
            raise TypeError
        kind = message["type"]
        if "." in kind:
            event = convert(message, Event)
            return event.id, event
        if kind == "gap":
            return message["to"], EventGap(message["from"], message["to"], message["reason"])
        # `start` and `ping` tell where the stream is.
        return str(message.get("id") or place), None
    except (KeyError, TypeError, ValueError):
        raise AnswerError("the stream of events holds what is not MyX's") from None
