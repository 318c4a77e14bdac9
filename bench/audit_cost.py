"""What the audit trail adds to a command: the same gateway with and without it, by turns, on one control plane."""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import psutil

from bench.calls import settled
from bench.cluster import Cluster, cluster
from bench.seed import seed
from bench.simulator.fleet import SimulatedFleet
from myx_testkit.ports import free_port

# The gateway as it is started, but for the trail: entries go nowhere.
_WITHOUT = """
import sys
from myx_gateway import loops
from myx_gateway.__main__ import main
from myx_testkit.auditor import NullAuditor

class Nothing(NullAuditor):
    def __init__(self, *_): pass
    async def close(self, _): pass

loops.Trail = Nothing
sys.exit(main(["serve"]))
"""


@asynccontextmanager
async def unaudited(myx: Cluster) -> AsyncIterator[tuple[str, int]]:
    """Address and pid of a second gateway, which keeps no trail."""
    port = free_port()
    environment = dict(myx.children["gateway"].service.environment)
    environment.pop("MYX_GATEWAY_LISTEN_FD")
    environment |= {"MYX_GATEWAY_LISTEN": f"127.0.0.1:{port}", "MYX_GATEWAY_RPC_LISTEN": "127.0.0.1:0"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _WITHOUT, env=environment, cwd="/")
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession(url) as session, asyncio.timeout(60):
            while True:
                try:
                    async with session.get("/healthz"):
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        await process.wait()


class Caller:
    """Gives commands to one gateway."""

    def __init__(self, myx: Cluster, url: str, pid: int, servers: list[str]) -> None:
        self._headers = {"Authorization": f"Bearer {myx.home.token}"}
        self._url = url
        self._servers = servers
        self._process = psutil.Process(pid)
        self.alone_ms: list[float] = []
        self.together_ms: list[float] = []
        self.cpu_ms: list[float] = []

    async def round(self, count: int, width: int) -> None:
        """`count` commands one after the other, then as many with `width` under way."""
        async with aiohttp.ClientSession(self._url, headers=self._headers) as session:
            cpu = self._cpu_s()
            for number in range(count):
                self.alone_ms.append(await self._one(session, number))
            begun, left = time.monotonic(), iter(range(count))

            async def worker() -> None:
                for number in left:
                    await self._one(session, number)

            await asyncio.gather(*(worker() for _ in range(width)))
            self.together_ms.append((time.monotonic() - begun) / count * 1e3)
            self.cpu_ms.append((self._cpu_s() - cpu) / (2 * count) * 1e3)

    def figures(self) -> dict[str, float]:
        """Milliseconds of a command: alone, in a crowd, and of the gateway's CPU."""
        return {
            "alone_ms": round(statistics.median(self.alone_ms), 2),
            "together_ms": round(statistics.median(self.together_ms), 2),
            "cpu_ms": round(statistics.median(self.cpu_ms), 2),
        }

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    async def _one(self, session: aiohttp.ClientSession, number: int) -> float:
        body = {"server": self._servers[number % len(self._servers)], "command": "true"}
        begun = time.monotonic()
        async with session.post("/api/v1/commands", json=body) as answer:
            await answer.read()
            answer.raise_for_status()
        return (time.monotonic() - begun) * 1e3


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The figures with, without, and their ratios."""
    with SimulatedFleet(20) as fleet:
        async with cluster(before_services=partial(seed, fleet=fleet.file)) as myx, unaudited(myx) as (url, pid):
            await settled(myx, fleet, 20)
            names = [one.name for one in fleet.file.agents]
            audited = Caller(myx, myx.url, myx.pid("gateway"), names)
            plain = Caller(myx, url, pid, names)
            for _ in range(options.rounds):
                for caller in (plain, audited):
                    await caller.round(options.commands, options.width)
    with_it, without = audited.figures(), plain.figures()
    ratios = {name: round(with_it[name] / without[name], 2) for name in with_it}
    return {"load": os.getloadavg(), "with": with_it, "without": without, "ratio": ratios}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=150, help="of each half of a round")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=4)
    print(json.dumps(asyncio.run(measure(parser.parse_args())), indent=1))


if __name__ == "__main__":
    main()
