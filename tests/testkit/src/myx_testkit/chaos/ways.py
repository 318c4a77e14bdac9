"""TCP ways between processes that a test can cut, freeze and slow, on a thread of their own."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

CHUNK = 1 << 16
CALL_S = 30.0
CLOSE_S = 5.0


class WayLoop:
    """The event loop of all ways of a world: a test that blocks must not stop what flows. `close()` ends it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="ways", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of a coroutine on the loop, from any other thread."""
        future: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(CALL_S)

    def call(self, function: Callable[[], T]) -> T:
        """The outcome of a plain function on the loop."""

        async def called() -> T:
            return function()

        return self.run(called())

    def close(self) -> None:
        """Stop the loop; ways are closed before."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CALL_S)
        self.loop.close()


class Way:
    """`listen` (port 0: a free one, then in `port`) leads to `target`. Its methods may be called from any thread.

    Connections are reset by `cut`, stand still in `freeze` (what was sent arrives after `heal`, as after a partition),
    and are late after `slow`; `hold` stops those of now, and new ones flow.
    """

    def __init__(self, ways: WayLoop, target: tuple[str, int], listen: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.ways, self.target = ways, target
        self.host, self.port = listen
        self.accepted = 0
        # Bytes that came while their connection was held, and pieces of them that went on afterwards.
        self.held_bytes = 0
        self.delivered = 0
        self.is_cut = False
        self.delay_s = 0.0
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._gates: set[asyncio.Event] = set()

    def open(self) -> None:
        """Listen."""
        self.ways.run(self._open())

    def close(self) -> None:
        """Reset all connections and listen no more."""
        self.ways.run(self._close())

    def cut(self) -> None:
        """Reset all connections, and each new one at once, until `heal`."""
        self.ways.call(self._cut)

    def freeze(self) -> None:
        """Let nothing through in either direction until `heal`; nobody is told."""
        self.ways.call(self._flows.clear)

    def hold(self) -> None:
        """Let nothing through on the connections of now until `heal`."""
        self.ways.call(self._hold)

    def slow(self, delay_s: float) -> None:
        """Make every piece of up to 64 KiB that long later than the one before it, until `heal`."""
        self.ways.call(lambda: setattr(self, "delay_s", delay_s))

    def break_connections(self) -> None:
        """Reset all connections of now."""
        self.ways.call(self._reset)

    def heal(self) -> None:
        """Everything flows."""
        self.ways.call(self._heal)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._heal()
        self._cut()
        if self._links:
            await asyncio.wait(list(self._links), timeout=CLOSE_S)

    def _cut(self) -> None:
        self.is_cut = True
        self._reset()

    def _heal(self) -> None:
        self.is_cut, self.delay_s = False, 0.0
        self._flows.set()
        for gate in self._gates:
            gate.set()

    def _hold(self) -> None:
        self.held_bytes = 0
        for gate in self._gates:
            gate.clear()

    def _reset(self) -> None:
        for writers in self._links.values():
            for writer in writers:
                writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers = self._links[task] = [writer]
        self.accepted += 1
        try:
            await self._flows.wait()
            if not self.is_cut:
                with suppress(OSError, asyncio.IncompleteReadError, EOFError):
                    await self.link(reader, writer, writers)
        finally:
            del self._links[task]
            for one in writers:
                one.transport.abort()

    async def link(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, writers: list[asyncio.StreamWriter]
    ) -> None:
        """Carry one connection to its end; `writers` are reset with it."""
        await self.carry(reader, writer, writers, self.target)

    async def carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        writers: list[asyncio.StreamWriter],
        target: tuple[str, int],
    ) -> None:
        """Carry bytes between a connection and a new one to `target`."""
        there, back = await asyncio.open_connection(*target)
        writers.append(back)
        gate = asyncio.Event()
        gate.set()
        self._gates.add(gate)
        try:
            await together(self._pump(reader, back, gate), self._pump(there, writer, gate))
        finally:
            self._gates.discard(gate)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        """Carry one direction to its end, which is passed on."""
        while chunk := await reader.read(CHUNK):
            held = not gate.is_set()
            self.held_bytes += len(chunk) if held else 0
            await self._passage(gate)
            writer.write(chunk)
            await writer.drain()
            self.delivered += held
        await self._passage(gate)
        if writer.can_write_eof():
            writer.write_eof()

    async def _passage(self, gate: asyncio.Event) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        await self._flows.wait()
        await gate.wait()


async def together(*directions: Coroutine[Any, Any, None]) -> None:
    """Both directions of a connection to their ends; one that breaks ends the other."""
    tasks = [asyncio.ensure_future(direction) for direction in directions]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
