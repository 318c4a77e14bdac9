"""Followers to whom nothing happens, and some who do not read: `python -m bench.idle_followers FILE`.

FILE holds `{"url", "token", "paths", "deaf_paths"}`: what is followed below /api/v1, and what is opened and never read.
Prints READY when all are open; at the end of its input, as JSON, how many are open still and what they heard.
"""

import asyncio
import json
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

_OPENING = 50


class Idlers:
    """Counts what is heard."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._gate = asyncio.Semaphore(_OPENING)
        self.open = 0
        self.heard: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()

    async def follow(self, session: aiohttp.ClientSession, path: str) -> None:
        """One stream for ever."""
        async with self._gate:
            socket = await session.ws_connect(f"{self._url}/api/v1/{path}", compress=0)
            self.open += 1
        async with socket:
            async for message in socket:
                kind = json.loads(message.data)["type"] if message.type is aiohttp.WSMsgType.TEXT else "bytes"
                self.heard[kind] += 1
        self.closed[str(socket.close_code)] += 1

    async def hold(self, session: aiohttp.ClientSession, path: str) -> None:
        """One stream that is opened and not read."""
        async with self._gate:
            answer = await session.get(f"{self._url}/api/v1/{path}", headers={"Accept": "text/event-stream"})
            self.open += 1
        await asyncio.Event().wait()
        answer.close()


async def run(wish: dict[str, Any]) -> dict[str, Any]:
    """Open all, and wait for the end of the input."""
    idlers = Idlers(wish["url"])
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
    headers = {"Authorization": f"Bearer {wish['token']}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector, read_bufsize=1) as session:
        tasks = [asyncio.create_task(idlers.follow(session, path)) for path in wish["paths"]]
        tasks += [asyncio.create_task(idlers.hold(session, path)) for path in wish["deaf_paths"]]
        while idlers.open < len(tasks):
            await asyncio.sleep(0.05)
            for task in tasks:
                if task.done():
                    task.result()
        print("READY", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return {"heard": dict(idlers.heard), "closed": dict(idlers.closed)}


def main() -> None:
    """Entry point."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(uvloop.run(run(json.loads(Path(sys.argv[1]).read_text())))))


if __name__ == "__main__":
    main()
