"""The log of one command as it comes from an agent's WebSocket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp

from myx_kit.agent_rpc.errors import AgentCallError, Cause, JsonRpcError
from myx_kit.agent_rpc.wire import LogFinal, LogItem, WireError, decode_frame, decode_text

# A silent command says nothing for hours, nor does a dead host. Asked only while we wait: a slow consumer is no sign.
PING_AFTER_S = 15.0
CLOSE_S = 0.5

_DATA = (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT)


class LogStream:
    """Iterates LogFrame, LogGap, LogEvent and at last LogFinal; ends without LogFinal when the connection is gone.

    Raises AgentCallError (`rpc_error`) when the agent refuses the command or offset, or sends what is no log stream.
    """

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self._websocket = websocket
        self._ended = False

    def __aiter__(self) -> AsyncIterator[LogItem]:
        return self

    async def __anext__(self) -> LogItem:
        while not self._ended:
            message = await self._receive()
            if message is None:
                break
            try:
                binary = message.type is aiohttp.WSMsgType.BINARY
                item = decode_frame(message.data) if binary else decode_text(message.data)
            except WireError as error:
                wrong = str(error)
            else:
                if isinstance(item, JsonRpcError):
                    self._ended = True
                    raise AgentCallError(Cause.RPC_ERROR, item.message[:200], rpc_error=item)
                if item is not None:
                    self._ended = isinstance(item, LogFinal)
                    return item
                continue
            self._ended = True
            raise AgentCallError(Cause.RPC_ERROR, wrong)
        self._ended = True
        raise StopAsyncIteration

    async def _receive(self) -> aiohttp.WSMessage | None:
        """The next data message; None when there will be none, also when a ping was not answered."""
        asked = False
        while True:
            try:
                message = await self._websocket.receive(timeout=PING_AFTER_S)
            except TimeoutError:
                if asked or not await self._ping():
                    return None
                asked = True
                continue
            if message.type is aiohttp.WSMsgType.PING:
                await self._pong(message.data)
            elif message.type is not aiohttp.WSMsgType.PONG:
                return message if message.type in _DATA else None
            asked = False

    async def _ping(self) -> bool:
        try:
            async with asyncio.timeout(PING_AFTER_S):
                await self._websocket.ping()
        except (TimeoutError, OSError, aiohttp.ClientError):
            return False
        return True

    async def _pong(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(PING_AFTER_S):
                await self._websocket.pong(data)
        except (TimeoutError, OSError, aiohttp.ClientError):
            return

    async def close(self) -> None:
        """Closes the connection, soon also when the agent does not answer any more or still sends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._websocket.close()
