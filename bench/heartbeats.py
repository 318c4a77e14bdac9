"""What holding a fleet costs the heartbeat service, at growing sizes: CPU and bytes of a heartbeat, memory of an agent.

Each size is a cluster of its own, with the product's default intervals: first all agents are met, then they are held.
"""

import argparse
import asyncio
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from bench import stats
from bench.calls import settled
from bench.cluster import cluster
from bench.seed import seed
from bench.simulator.fleet import SimulatedFleet

_AGENTS_A_PROCESS = 5000
_PARTS = ("heartbeat", "registry", "postgres", "nats")


async def hold(count: int, seconds: float) -> dict[str, Any]:
    """The figures of one size."""
    processes = -(-count // _AGENTS_A_PROCESS)
    with SimulatedFleet(count, processes) as fleet:
        async with cluster(
            1, before_services=partial(seed, fleet=fleet.file), without=("executor-1", "gateway")
        ) as myx:
            begun = asyncio.get_running_loop().time()
            await settled(myx, fleet, count)
            met_s = asyncio.get_running_loop().time() - begun
            before, sim = myx.costs(), fleet.counts()
            await asyncio.sleep(seconds)
            after, cost = fleet.counts(), stats.difference(before, myx.costs())
    beats = after["heartbeats"] - sim["heartbeats"]
    return {
        "agents": count,
        "met_s": round(met_s, 1),
        "seconds": seconds,
        "heartbeats": beats,
        "mean_interval_s": round(count * seconds / beats, 1) if beats else None,
        "connections": after["connections"],
        "new_connections": after["handshakes"] - sim["handshakes"],
        "bytes_a_heartbeat": round(
            (after["bytes_in"] - sim["bytes_in"] + after["bytes_out"] - sim["bytes_out"]) / max(1, beats)
        ),
        "ms_a_heartbeat": {part: round(cost[part]["cpu_s"] / max(1, beats) * 1e3, 3) for part in _PARTS},
        "cores": {part: round(cost[part]["cpu_s"] / seconds, 3) for part in _PARTS},
        "rss_mb": {part: cost[part]["rss_mb"] for part in _PARTS},
        "simulator_ms_a_heartbeat": round((after["cpu_s"] - sim["cpu_s"]) / max(1, beats) * 1e3, 3),
    }


async def measure(sizes: list[int], seconds: float) -> dict[str, Any]:
    """All sizes, one after the other."""
    result: dict[str, Any] = {"load_before": os.getloadavg(), "sizes": []}
    for count in sizes:
        result["sizes"].append(await hold(count, seconds))
        print(json.dumps(result["sizes"][-1]), flush=True)
    result["load_after"] = os.getloadavg()
    return result


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, nargs="+", default=[1000, 2000, 5000, 10_000])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    result = asyncio.run(measure(options.agents, options.seconds))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
