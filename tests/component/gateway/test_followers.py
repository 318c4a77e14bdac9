"""A thousand idle and two hundred busy followers on one gateway, and some that do not read: nobody waits for them."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from myx.events.v1.events_pb2 import Event
from myx_kit.events.bus import Bus
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDLE, BUSY, LOGS, DEAF = 1000, 200, 20, 10
PIECE, PIECES = b"x" * 4095 + b"\n", 50
HEAD = 9


@pytest.fixture
def many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4000:
        pytest.skip(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Crowd:
    """Clients of one gateway; opens a bounded number at once."""

    def __init__(self, gateway: Any, session: aiohttp.ClientSession, stack: AsyncExitStack) -> None:
        self._gateway, self._session, self._stack = gateway, session, stack
        self._gate = asyncio.Semaphore(40)

    async def sockets(self, paths: list[str]) -> list[Any]:
        return await asyncio.gather(*(self._socket(path) for path in paths))

    async def deaf(self, paths: list[str]) -> None:
        """Clients that never read."""
        for path in paths:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._gateway.port, limit=1)
            self._stack.callback(writer.close)
            head = f"GET /api/v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._gateway.token}\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
            del reader

    async def _socket(self, path: str) -> Any:
        async with self._gate:
            socket = await self._session.ws_connect(f"/api/v1/{path}", compress=0, max_msg_size=1 << 20)
        self._stack.push_async_callback(socket.close)
        return socket


@asynccontextmanager
async def crowd(gateway: Any) -> AsyncIterator[Crowd]:
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {gateway.token}"}
    session = aiohttp.ClientSession(gateway.url, headers=headers, connector=connector)
    async with session, AsyncExitStack() as stack:
        yield Crowd(gateway, session, stack)


async def whole_log(socket: Any) -> int:
    """Bytes of a log that was followed to its end."""
    size = 0
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            size += len(message.data) - HEAD
    assert socket.close_code == 1000
    return size


async def next_event(socket: Any) -> str:
    """The version in the next event."""
    while True:
        told = await socket.receive_json(timeout=60)
        if "." in told["type"]:
            return str(told["data"]["version"])


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("many_files")
async def test_many_followers_cost_little_and_wait_for_nobody(start_gateway: Any, backend: Any, nats: Any) -> None:
    bus = await Bus.connect(nats.url, nats.tls_dir, "executor", wait_s=5)
    quiet = [backend.new_log() for _ in range(LOGS)]
    loud = [backend.new_log() for _ in range(LOGS)]
    big_id, big = backend.new_log()
    async with start_gateway(nats_url=nats.url, max_streams_per_principal=2000) as gateway, crowd(gateway) as clients:
        empty = gateway.rss_bytes()
        watching = await clients.sockets(["events?type=agent"] * (IDLE // 2))
        waiting = await clients.sockets([f"commands/{quiet[n % LOGS][0]}/log/stream" for n in range(IDLE // 2)])
        busy = await clients.sockets([f"commands/{loud[n % LOGS][0]}/log/stream" for n in range(BUSY)])
        opened = gateway.rss_bytes()
        assert (opened - empty) / (IDLE + BUSY) < 150 << 10

        await clients.deaf([f"commands/{big_id}/log/stream"] * DEAF)
        for _ in range(400):
            big.write(b"y" * 65_536)
        reading = [asyncio.create_task(whole_log(socket)) for socket in busy]
        for number in range(PIECES):
            for _, log in loud:
                log.write(PIECE)
            if number % 10 == 9:
                # What was written is seen while the rest is not there yet.
                given = BUSY // LOGS * number * len(PIECE)
                await until(lambda given=given: all(log.given_bytes >= given for _, log in loud), 60)
        for id_, log in loud:
            log.finish(id=id_)
        assert set(await asyncio.gather(*reading)) == {PIECES * len(PIECE)}
        grown = gateway.rss_bytes() - opened
        # The deaf ones hold what may wait in front of each, and no more of the 26 MB that each has to come.
        assert grown < (DEAF * 2 << 20) + (20 << 20), grown

        event = Event(id="woken")
        event.agent_online.version = "woken"
        await bus.publish_event("woken", "myx.events.agent.online.a1", event.SerializeToString())
        assert set(await asyncio.gather(*(next_event(socket) for socket in watching))) == {"woken"}
        for id_, log in quiet:
            log.write(b"one line\n")
            log.finish(id=id_)
        assert set(await asyncio.gather(*(whole_log(socket) for socket in waiting))) == {9}
    await bus.close()
