"""What it costs to be observed: CPU of the services for one command, plain, scraped by Prometheus, and with spans.

All ways run side by side, each on a control plane of its own, and take turns: the ratios are the figures to trust. A
command goes the whole way: API, executor, simulated agent, its end.
"""

import argparse
import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp

from bench import stats
from bench.calls import settled, until_all
from bench.cluster import Cluster, cluster
from bench.seed import seed
from bench.simulator.fleet import SimulatedFleet
from myx_kit import tracing
from myx_kit.tracing import Kind

_SERVICES = ("registry", "heartbeat", "executor-1", "gateway")
_IN_FLIGHT = 16
_SCRAPE_EVERY_S = 5.0
_REQUESTER = "token:admin"


class _Sink(BaseHTTPRequestHandler):
    """Takes spans and forgets them."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@contextmanager
def sink() -> Iterator[str]:
    """The address of a collector."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ways(collector: str, first_port: int) -> dict[str, dict[str, str]]:
    """Settings of each way."""
    names = ("registry", "heartbeat", "executor", "gateway")
    ports = {f"MYX_{name.upper()}_HTTP_LISTEN": f"127.0.0.1:{first_port + number}" for number, name in enumerate(names)}
    spans = {f"MYX_{name.upper()}_OTLP_ENDPOINT": collector for name in names}
    return {
        "plain": {},
        "scraped": ports,
        "every trace": spans,
        "one trace in ten": spans | {"MYX_GATEWAY_OTLP_SHARE": "0.1"},
    }


async def run(myx: Cluster, servers: list[str], count: int, done: int) -> None:
    """So many commands, to their ends."""
    left = iter(range(count))
    headers = {"Authorization": f"Bearer {myx.home.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def caller() -> None:
            for number in left:
                body = {"server": servers[number % len(servers)], "command": "true"}
                async with session.post(f"{myx.url}/api/v1/commands", json=body) as answer:
                    answer.raise_for_status()
                    await answer.read()

        await asyncio.gather(*(caller() for _ in range(_IN_FLIGHT)))
    await until_all(myx, _REQUESTER, "success", done + count)


@asynccontextmanager
async def scraped(settings: Mapping[str, str]) -> AsyncIterator[None]:
    """Somebody asks for the figures all the time."""
    targets = [value for name, value in settings.items() if name.endswith("HTTP_LISTEN")]

    async def scrape() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                for target in targets:
                    async with session.get(f"http://{target}/metrics") as answer:
                        await answer.read()
                await asyncio.sleep(_SCRAPE_EVERY_S)

    task = asyncio.create_task(scrape(), name="scrape") if targets else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


def span_us(count: int = 4000) -> dict[str, float]:
    """Microseconds of CPU for one span with two attributes, sending included: without a recorder, and with one."""
    found = {}

    def spans() -> float:
        begin = time.process_time()
        for _ in range(count):
            with tracing.span("x", Kind.CLIENT, begins=True, myx__command_id="a", rpc__system="b"):
                pass
        return begin

    begin = spans()
    found["off"] = (time.process_time() - begin) / count * 1e6
    with sink() as collector:
        stop = tracing.start_otlp("bench", collector, 1.0)
        begin = spans()
        stop()
        found["on"] = (time.process_time() - begin) / count * 1e6
    return {name: round(value, 2) for name, value in found.items()}


async def measure(commands: int, rounds: int, agents: int, first_port: int, wanted: list[str]) -> dict[str, Any]:
    """Milliseconds of CPU for one command, by way; the least of the rounds, and its ratio to that of the plain way."""
    found: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    with sink() as collector, SimulatedFleet(agents) as fleet:
        servers = [one.name for one in fleet.file.agents]
        async with AsyncExitStack() as stack:
            running: dict[str, Cluster] = {}
            for name, settings in ways(collector, first_port).items():
                if name not in wanted:
                    continue
                before = partial(seed, fleet=fleet.file)
                running[name] = await stack.enter_async_context(cluster(1, settings=settings, before_services=before))
                await stack.enter_async_context(scraped(settings))
                await settled(running[name], fleet, agents)
                await run(running[name], servers, commands // 4, 0)
            done = commands // 4
            for _ in range(rounds):
                for name, myx in running.items():
                    begin = myx.costs()
                    await run(myx, servers, commands, done)
                    cost = stats.difference(begin, myx.costs())
                    ms = sum(cost[part]["cpu_s"] for part in _SERVICES) / commands * 1e3
                    found.setdefault(name, []).append(round(ms, 3))
                    memory[name] = round(sum(cost[part]["rss_mb"] for part in _SERVICES), 1)
                    print(f"{name:18} {ms:6.3f} ms CPU a command", flush=True)
                done += commands
    least = {name: min(values) for name, values in found.items()}
    return {
        "commands": commands,
        "load": os.getloadavg(),
        "ms_a_command": found,
        "ratio": {name: round(value / least["plain"], 3) for name, value in least.items()},
        "services_pss_mb": memory,
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=1000, help="of each round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--first-port", type=int, default=9190, help="of four, for the figures")
    names = list(ways("", 0))
    parser.add_argument("--ways", nargs="+", default=names, choices=names)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    given = parser.parse_args()
    print(json.dumps({"us_a_span": span_us()}), flush=True)
    result = asyncio.run(measure(given.commands, given.rounds, given.agents, given.first_port, given.ways))
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
