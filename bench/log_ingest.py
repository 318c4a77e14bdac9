"""Logs of many commands at once: lines from agents' writes to followers at the gateway.

First 100 commands that print 10,000 lines a second together, each followed: the lag of each line. Then 1,000 commands
that print a line a second each, first unfollowed and then with a follower each: what the followers cost.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench import stats
from bench.calls import run_everywhere, settled, until_all
from bench.cluster import MANY_FOLLOWERS, Cluster, cluster
from bench.seed import seed
from bench.simulator.fleet import SimulatedFleet
from myx_kit.ids import new_id


def percentile_ms(histogram: Sequence[Sequence[int]], share: float) -> int:
    """Milliseconds below which this share of the lines stayed."""
    total, seen = sum(count for _, count in histogram), 0
    for value, count in histogram:
        seen += count
        if seen >= share * total:
            return value
    return -1


class FollowerProcess:
    """`bench.followers` at work."""

    def __init__(self, myx: Cluster, commands: Sequence[str], limit_s: float, folder: Path) -> None:
        wish = {"url": myx.url, "token": myx.home.token, "commands": list(commands), "limit_s": limit_s}
        file = folder / "wish.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(wish))
        self._process = subprocess.Popen([sys.executable, "-m", "bench.followers", str(file)], stdout=subprocess.PIPE)

    async def ready(self) -> None:
        """Until all logs are followed."""
        line = await asyncio.to_thread(self._output.readline)
        if line != b"READY\n":
            raise RuntimeError("the followers did not start")

    async def result(self) -> dict[str, Any]:
        """What they saw, when all logs have ended."""
        found: dict[str, Any] = json.loads(await asyncio.to_thread(self._output.read))
        self._process.wait()
        return found

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._output.close()

    @property
    def _output(self) -> Any:
        return self._process.stdout


@contextmanager
def followers(myx: Cluster, commands: Sequence[str], limit_s: float) -> Iterator[FollowerProcess]:
    """A process that follows these commands."""
    with tempfile.TemporaryDirectory(prefix="myx-bench-") as folder:
        process = FollowerProcess(myx, commands, limit_s, Path(folder))
        try:
            yield process
        finally:
            process.close()


async def ingest(
    myx: Cluster, fleet: SimulatedFleet, servers: Sequence[str], *, rate: float, seconds: float, lead_s: float = 5.0
) -> dict[str, Any]:
    """Each server prints `rate` lines a second for `seconds`, followed from the beginning."""
    mark = f"bench-{new_id()}"
    script = f"sleep {lead_s}; print {rate} {seconds} 100"
    ids = await run_everywhere(myx, servers, ["sh", "-c", script], mark)
    with followers(myx, ids, seconds + lead_s + 60) as process:
        await process.ready()
        await asyncio.sleep(max(0.0, lead_s - 2.0))
        before, sim = myx.costs(), fleet.counts()
        seen = await process.result()
        cost, after = stats.difference(before, myx.costs()), fleet.counts()
    cost["simulator"] = {"cpu_s": round(after["cpu_s"] - sim["cpu_s"], 3), "rss_mb": 0.0}
    cost["followers"] = {"cpu_s": round(seen["cpu_s"], 3), "rss_mb": 0.0}
    await until_all(myx, mark, "success", len(servers))
    return {
        "commands": len(servers),
        "lines": seen["lines"],
        "expected_lines": round(len(servers) * rate * seconds),
        "messages": seen["messages"],
        "ended": seen["ended"],
        "lag_ms": {f"p{share * 100:g}": percentile_ms(seen["lags_ms"], share) for share in (0.5, 0.95, 0.99, 1.0)},
        "seconds": seconds,
        "cost": cost,
    }


async def many_followers(myx: Cluster, fleet: SimulatedFleet, servers: Sequence[str], seconds: float) -> dict[str, Any]:
    """What a follower for each of many quiet commands costs: the same seconds without and with them."""
    mark = f"bench-{new_id()}"
    begun = asyncio.get_running_loop().time()
    ids = await run_everywhere(myx, servers, ["print", "1", str(3 * seconds + 60), "100"], mark)
    await until_all(myx, mark, "running", len(servers))
    result: dict[str, Any] = {"commands": len(servers), "seconds": seconds}
    before = myx.costs()
    await asyncio.sleep(seconds)
    result["alone"] = stats.difference(before, myx.costs())
    with followers(myx, ids, 600) as process:
        await process.ready()
        before, sim = myx.costs(), fleet.counts()
        await asyncio.sleep(seconds)
        result["followed"] = stats.difference(before, myx.costs())
        result["simulator_cpu_s"] = round(fleet.counts()["cpu_s"] - sim["cpu_s"], 3)
        seen = await process.result()
    result["took_s"] = round(asyncio.get_running_loop().time() - begun, 1)
    result |= {"ended": seen["ended"], "broken": seen["broken"]}
    result["lag_ms"] = {f"p{share * 100:g}": percentile_ms(seen["lags_ms"], share) for share in (0.5, 0.99, 1.0)}
    return result


def table(name: str, result: dict[str, Any]) -> str:
    """The figures of one work as text."""
    plain = {key: value for key, value in result.items() if key not in ("cost", "alone", "followed")}
    rows = [f"{name}: {plain}"]
    for key in ("cost", "alone", "followed"):
        for part, cost in result.get(key, {}).items():
            share = cost["cpu_s"] / result["seconds"]
            rows.append(f"  {key:9} {part:12} {share:6.3f} cores   {cost['rss_mb']:7.1f} MB")
    return "\n".join(rows)


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one run."""
    result: dict[str, Any] = {"load_before": os.getloadavg()}
    settings = MANY_FOLLOWERS | {name: value for name, value in os.environ.items() if name.startswith("MYX_EXECUTOR_")}
    count = max(options.commands, options.followers)
    with SimulatedFleet(count) as fleet:
        async with cluster(before_services=partial(seed, fleet=fleet.file), settings=settings) as myx:
            result["idle"] = await settled(myx, fleet, count)
            names = [one.name for one in fleet.file.agents]
            if options.commands:
                rate = options.lines / options.commands
                result["ingest"] = await ingest(
                    myx, fleet, names[: options.commands], rate=rate, seconds=options.seconds
                )
                print(table("ingest", result["ingest"]), flush=True)
            if options.followers:
                few = names[: options.followers]
                result["followers"] = await many_followers(myx, fleet, few, options.seconds)
                print(table("followers", result["followers"]), flush=True)
    result["load_after"] = os.getloadavg()
    return result


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=float, default=10_000, help="lines a second of all commands together")
    parser.add_argument("--commands", type=int, default=100)
    parser.add_argument("--followers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    result = asyncio.run(measure(options))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
