"""Bodies that are passed on as they come: never whole in memory, no faster than the service behind takes them."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

from fastapi import Request
from grpc.aio import AioRpcError, InternalError, StreamUnaryCall
from starlette.requests import ClientDisconnect

from myx_kit.errors import Internal, InvalidArgument, Unavailable
from myx_kit.rpc.client import stream_metadata, translate_errors

_Message = TypeVar("_Message")

# Of one message; well below what a message may hold, and large enough to be few.
_PIECE_BYTES: Final = 256 << 10
# For the whole of an upload and what the service does with it.
_DEADLINE_S: Final = 3600.0


async def forward(
    request: Request, method: Callable[..., Any], head: _Message, piece: Callable[[bytes, bool], _Message]
) -> Any:
    """Send `head` and then the body in pieces to a client-streaming `method` of `Clients.uploads`; its answer.

    `piece` makes a message of data and whether it is the last; without a last one the service stores nothing.

    InvalidArgument `BODY_INCOMPLETE` when the client leaves before the end, and whatever the service says, which may
    come before the end of the body.
    """
    entry: Callable[[str], AbstractContextManager[None]] = request.app.state.upload_entry
    with entry(request.state.principal.name):
        call: StreamUnaryCall[Any, Any] = method(timeout=_DEADLINE_S, metadata=stream_metadata())
        sent = False
        try:
            with translate_errors("executor"):
                sent = await _send_all(request, call, head, piece)
                return await call
        except (ClientDisconnect, ConnectionError):
            raise InvalidArgument("BODY_INCOMPLETE", "the body ended early; nothing was stored") from None
        except Internal:
            if sent:
                raise
            # A write that fails says no more than that; the service has gone away.
            raise Unavailable("SERVICE_UNAVAILABLE", "executor ended the upload early; try again") from None
        finally:
            call.cancel()


async def _send_all(
    request: Request, call: "StreamUnaryCall[Any, Any]", head: _Message, piece: Callable[[bytes, bool], _Message]
) -> bool:
    """Write everything; false when the service took no more, and the call's result says why."""
    try:
        await call.write(head)
        held = bytearray()
        async for data in request.stream():
            held += data
            if len(held) >= _PIECE_BYTES:
                await call.write(piece(bytes(held), False))
                held.clear()
        await call.write(piece(bytes(held), True))
        await call.done_writing()
    except (AioRpcError, InternalError, asyncio.InvalidStateError):
        return False
    return True


def require_media_type(request: Request, *allowed: str) -> None:
    """InvalidArgument `MEDIA_TYPE_UNSUPPORTED` (415) for a body of another type."""
    if _media_type(request) not in allowed:
        raise InvalidArgument("MEDIA_TYPE_UNSUPPORTED", f"the body must be {allowed[0]}", accept=allowed[0])


def refuse_forms(request: Request) -> None:
    """InvalidArgument `MEDIA_TYPE_UNSUPPORTED` (415) for a form, whose wrapping would be taken for the content."""
    if _media_type(request) == "multipart/form-data":
        text = "send the file itself as the body, not a form (curl: --data-binary @FILE or -T FILE, not -F)"
        raise InvalidArgument("MEDIA_TYPE_UNSUPPORTED", text, accept="application/octet-stream")


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
