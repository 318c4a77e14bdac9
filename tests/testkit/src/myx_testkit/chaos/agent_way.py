"""The way to an agent: raw TCP, or opened (with the agent's own key) to lose its replies and to repeat its requests."""

import asyncio
import random
import ssl
from collections import Counter
from contextlib import suppress
from pathlib import Path

from myx_testkit.chaos.ways import CHUNK, Way, WayLoop, together

REPLAY_ANSWER_S = 10.0


class AgentWay(Way):
    """A way that can also drop a share of the replies to calls (the agent got the call, its answer nobody), and send a
    share of the calls to the agent a second time. `replays` counts the HTTP statuses that the second times got."""

    def __init__(self, ways: WayLoop, target: tuple[str, int], listen: tuple[str, int], certificate_in: Path) -> None:
        super().__init__(ways, target, listen)
        self._certificate_in = certificate_in
        # Raw connections end there while calls are mistreated.
        self._inner: asyncio.Server | None = None
        self._opened: set[asyncio.StreamWriter] = set()
        self._random = random.Random(0)
        self.drop_share = 0.0
        self.replay_share = 0.0
        self.dropped = 0
        self.calls = 0
        self.replays: Counter[int] = Counter()

    def mistreat(self, seed: int, *, drop: float = 0.0, replay: float = 0.0) -> None:
        """Drop and repeat these shares of the calls of connections from now on, until `heal`."""

        def begin() -> None:
            self._random = random.Random(seed)
            self.drop_share, self.replay_share = drop, replay
            self._reset()

        self.ways.call(begin)

    def _heal(self) -> None:
        super()._heal()
        if self.drop_share or self.replay_share:
            self.drop_share = self.replay_share = 0.0
            # What is opened stays so: the next connections are raw again.
            self._reset()

    async def _open(self) -> None:
        await super()._open()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate_in / "agent.crt", self._certificate_in / "agent.key")
        self._inner = await asyncio.start_server(self._carry, "127.0.0.1", 0, ssl=context)

    async def _close(self) -> None:
        await super()._close()
        if self._inner is not None:
            self._inner.close()
        for writer in self._opened:
            writer.transport.abort()

    async def link(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, writers: list[asyncio.StreamWriter]
    ) -> None:
        """Carry one connection, opened if there is something to do inside."""
        target = self.target
        if self._inner is not None and (self.drop_share or self.replay_share):
            target = self._inner.sockets[0].getsockname()
        await self.carry(reader, writer, writers, target)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        self._opened.add(writer)
        try:
            with suppress(OSError, EOFError):
                there, back = await asyncio.open_connection(*self.target, ssl=_client_side())
                writers.append(back)
                self._opened.add(back)
                call = _Call()
                await together(self._requests(reader, back, call), self._replies(there, writer, call))
        finally:
            for one in writers:
                one.transport.abort()
                self._opened.discard(one)

    async def _requests(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, call: "_Call") -> None:
        while chunk := await reader.read(CHUNK):
            if chunk.startswith(b"POST "):
                self.calls += 1
                call.begin(
                    swallowed=self._random.random() < self.drop_share,
                    repeated=self._random.random() < self.replay_share,
                )
            call.request += chunk if call.repeated else b""
            back.write(chunk)
            await back.drain()
        raise EOFError

    async def _replies(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, call: "_Call") -> None:
        while chunk := await there.read(CHUNK):
            if call.repeated:
                await self._replay(call.take())
            if call.swallowed:
                self.dropped += 1
                raise EOFError
            writer.write(chunk)
            await writer.drain()
        raise EOFError

    async def _replay(self, request: bytes) -> None:
        """The same bytes once more, on a connection of their own."""
        with suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(REPLAY_ANSWER_S):
                there, back = await asyncio.open_connection(*self.target, ssl=_client_side())
                try:
                    back.write(request)
                    await back.drain()
                    self.replays[int((await there.readline()).split()[1])] += 1
                finally:
                    back.transport.abort()


class _Call:
    """The call that a connection carries now."""

    def __init__(self) -> None:
        self.begin(swallowed=False, repeated=False)

    def begin(self, *, swallowed: bool, repeated: bool) -> None:
        self.swallowed, self.repeated, self.request = swallowed, repeated, b""

    def take(self) -> bytes:
        self.repeated = False
        return self.request


def _client_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
