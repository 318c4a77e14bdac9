"""What MyX costs while nothing happens: memory and CPU of each part, of a control plane of the bench's own.

PSS counts what several processes share once; RSS counts it for each. The limit that must hold is on the four services
together, by RSS: that is what a limit of a container sees.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from bench.cluster import Cluster, cluster

SERVICES = ("registry", "heartbeat", "executor-1", "gateway")
_SETTLE_S = 10.0


def memory_mb(cluster: Cluster) -> dict[str, dict[str, float]]:
    """PSS, RSS and what a part has for itself alone (USS), in MB, by part."""
    found: dict[str, dict[str, float]] = {}
    for part in cluster.children:
        main = psutil.Process(cluster.pid(part))
        sums = dict.fromkeys(("pss", "rss", "uss"), 0.0)
        for process in [main, *main.children(recursive=True)]:
            info = process.memory_full_info()
            for name in sums:
                sums[name] += getattr(info, name) / 2**20
        found[part] = {name: round(value, 1) for name, value in sums.items()}
    return found


def total(memory: Mapping[str, Mapping[str, float]], parts: tuple[str, ...], kind: str) -> float:
    """Of some parts together."""
    return round(sum(memory[part][kind] for part in parts), 1)


async def measure(seconds: float, settings: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Memory after a while of rest, and CPU (per cent of a core) during `seconds` of it."""
    async with cluster(1, settings=settings) as running:
        await asyncio.sleep(_SETTLE_S)
        before, began = running.costs(), time.monotonic()
        await asyncio.sleep(seconds)
        taken_s = time.monotonic() - began
        after = running.costs()
        memory = memory_mb(running)
        parts = tuple(memory)
        return {
            "seconds": round(taken_s),
            "load": os.getloadavg(),
            "memory_mb": memory,
            "services_mb": {kind: total(memory, SERVICES, kind) for kind in ("pss", "rss", "uss")},
            "everything_mb": {kind: total(memory, parts, kind) for kind in ("pss", "rss", "uss")},
            "cpu_percent": {part: round((after[part].cpu_s - before[part].cpu_s) / taken_s * 100, 2) for part in parts},
        }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--ports", action="store_true", help="with the port of /metrics open on each service")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    given = parser.parse_args()
    ports = (
        {f"MYX_{name.partition('-')[0].upper()}_HTTP_LISTEN": "127.0.0.1:0" for name in SERVICES} if given.ports else {}
    )
    result = asyncio.run(measure(given.seconds, ports))
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
