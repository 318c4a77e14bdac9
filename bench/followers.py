"""Followers of many logs through the gateway, in a process of their own: `python -m bench.followers FILE`.

FILE holds `{"url", "token", "commands", "limit_s"}`. Prints READY when all follow, and at the end, as JSON, the lags of
the lines (a histogram of milliseconds), their number, and how many logs ended as they should.
"""

import asyncio
import json
import resource
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

_OPENING = 50


class Followers:
    """Counts what comes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opening = asyncio.Semaphore(_OPENING)
        self.open = 0
        self.ended = 0
        self.lines = 0
        self.messages = 0
        self.lags_ms: Counter[int] = Counter()
        # Lines from before are not live.
        self.live_from = float("inf")
        self.broken: Counter[str] = Counter()

    async def follow(self, session: aiohttp.ClientSession, command_id: str) -> None:
        """One log from its beginning to its end."""
        address = f"{self._url}/api/v1/commands/{command_id}/log/stream?offset=0"
        rest = b""
        async with self._opening:
            socket = await session.ws_connect(address, max_msg_size=4 << 20, compress=0)
            self.open += 1
        async with socket:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    now = time.time()
                    self.messages += 1
                    *lines, rest = (rest + message.data[struct.calcsize("!BQ") :]).split(b"\n")
                    for line in lines:
                        if (at := float(line[:17])) >= self.live_from:
                            self.lags_ms[int((now - at) * 1e3)] += 1
                    self.lines += len(lines)
                elif message.type is aiohttp.WSMsgType.TEXT and json.loads(message.data)["type"] == "final":
                    self.ended += 1
                    return
        self.broken[str(socket.close_code)] += 1


async def run(wish: dict[str, Any]) -> dict[str, Any]:
    """Follow all of them."""
    followers = Followers(wish["url"])
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
    headers = {"Authorization": f"Bearer {wish['token']}"}
    async with aiohttp.ClientSession(
        headers=headers, timeout=timeout, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        tasks = [asyncio.create_task(followers.follow(session, one)) for one in wish["commands"]]
        while followers.open < len(tasks):
            await asyncio.sleep(0.05)
            for task in tasks:
                if task.done():
                    task.result()
        followers.live_from = time.time()
        print("READY", flush=True)
        async with asyncio.timeout(wish["limit_s"]):
            await asyncio.gather(*tasks)
    return {
        "lines": followers.lines,
        "messages": followers.messages,
        "ended": followers.ended,
        "broken": dict(followers.broken),
        "lags_ms": sorted(followers.lags_ms.items()),
        "cpu_s": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]),
    }


def main() -> None:
    """Entry point."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(uvloop.run(run(json.loads(Path(sys.argv[1]).read_text())))))


if __name__ == "__main__":
    main()
