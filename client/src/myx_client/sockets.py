"""A WebSocket that is opened again where it broke off."""

from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple

import aiohttp
from msgspec import DecodeError, json

from myx_client.errors import AnswerError, ApiError, Unreachable
from myx_client.retries import Patience
from myx_client.transport import Transport

_POLICY_VIOLATION = 1008


class Opening(NamedTuple):
    """How to ask for what comes next: the query, and a first message where one is due."""

    query: dict[str, Any]
    first: dict[str, Any] | None = None


class Resumable:
    """The messages of a stream: bytes, or decoded JSON objects.

    `opening` is asked before each connection. `progress` is to be called when a message brought something new: the
    time to try again begins anew then, as with each sign of life. The stream ends only by whoever reads it.
    """

    def __init__(self, transport: Transport, path: str, opening: Callable[[], Opening], reconnect_for_s: float) -> None:
        self._transport = transport
        self._path = path
        self._opening = opening
        self._patience = Patience(reconnect_for_s)

    def progress(self) -> None:
        """Something new came."""
        self._patience.progress()

    async def messages(self) -> AsyncGenerator[bytes | dict[str, Any]]:
        """Until it is closed. ApiError when MyX declines, Unreachable when it stays away."""
        while True:
            pause_s = 0.0
            try:
                opening = self._opening()
                async with self._transport.socket(self._path, opening.query) as socket:
                    if opening.first is not None:
                        await socket.send_str(json.encode(opening.first).decode())
                    async for message in socket:
                        content = _content(message)
                        if isinstance(content, dict) and content.get("type") == "ping":
                            self.progress()
                        yield content
                cause = Unreachable(f"MyX closed the stream ({socket.close_code})", maybe_sent=False)
                cause.permanent = socket.close_code == _POLICY_VIOLATION
            except ApiError as error:
                if not error.is_temporary:
                    raise
                cause, pause_s = Unreachable(str(error), maybe_sent=False), error.retry_after_s or 0.0
            except Unreachable as error:
                cause = error
            if cause.permanent or not await self._patience.pause(pause_s):
                raise cause


def _content(message: aiohttp.WSMessage) -> bytes | dict[str, Any]:
    if message.type is aiohttp.WSMsgType.BINARY:
        return bytes(message.data)
    if message.type is aiohttp.WSMsgType.ERROR:
        raise Unreachable("the stream broke off", maybe_sent=False)
    try:
        return json.decode(message.data, type=dict[str, Any])
    except DecodeError:
        raise AnswerError("the stream holds what is not MyX's") from None
