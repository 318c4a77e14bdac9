"""Bodies of requests: held whole up to a small size, or passed on piece by piece up to a large one."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.types import Message, Receive, Scope

from myx_kit.errors import InvalidArgument


@dataclass(frozen=True)
class BodyLimits:
    """What the door lets in.

    `streamed` names what is passed on as it comes: method and beginning of the path, with the limit in bytes.
    `timeout_s` is for the whole of a held body, and for each piece of a streamed one.
    """

    held_bytes: int
    timeout_s: float
    streamed: Mapping[tuple[str, str], int] = field(default_factory=dict)

    async def admit(self, scope: Scope, receive: Receive) -> Receive:
        """The body, as far as it is right. InvalidArgument `BODY_TOO_LARGE`, `BODY_TIMEOUT`, at once or while read."""
        if not _has_body(scope):
            return receive
        streamed = self._streamed_limit(scope)
        limit = self.held_bytes if streamed is None else streamed
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared) > limit:
            raise _too_large(limit)
        if streamed is None:
            return await self._hold(receive)
        return self._metered(receive, limit)

    def _streamed_limit(self, scope: Scope) -> int | None:
        for (method, path), limit in self.streamed.items():
            if scope["method"] == method and scope["path"].startswith(path):
                return limit
        return None

    async def _hold(self, receive: Receive) -> Receive:
        body = bytearray()
        try:
            async with asyncio.timeout(self.timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionResetError("the client left in the middle of its request")
                    body += message.get("body", b"")
                    if len(body) > self.held_bytes:
                        raise _too_large(self.held_bytes)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            text = f"the body did not arrive within {self.timeout_s:g} s"
            raise InvalidArgument("BODY_TIMEOUT", text) from None
        return _replay(bytes(body), receive)

    def _metered(self, receive: Receive, limit: int) -> Receive:
        seen = 0
        complete = False

        async def metered() -> Message:
            nonlocal seen, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout(self.timeout_s):
                    message = await receive()
            except TimeoutError:
                text = f"nothing of the body arrived for {self.timeout_s:g} s"
                raise InvalidArgument("BODY_TIMEOUT", text) from None
            seen += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if seen > limit:
                raise _too_large(limit)
            return message

        return metered


def _too_large(limit: int) -> InvalidArgument:
    return InvalidArgument("BODY_TOO_LARGE", f"the body is larger than {limit} bytes", limit_bytes=str(limit))


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
