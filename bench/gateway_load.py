"""Many followers on one gateway process: what they cost, and whether its memory stays flat.

1,000 idle ones (half follow fleet events, half logs in which nothing happens), then beside them 200 busy ones on 20
commands that print, and clients that open a busy log and never read.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from bench import stats
from bench.calls import run_everywhere, settled, until_all
from bench.cluster import MANY_FOLLOWERS, Cluster, cluster
from bench.log_ingest import followers, percentile_ms
from bench.seed import seed
from bench.simulator.fleet import SimulatedFleet
from myx_kit.ids import new_id

_PER_LOG = 10


class Memory:
    """Resident memory of the gateway, second by second."""

    def __init__(self, myx: Cluster) -> None:
        self._process = psutil.Process(myx.pid("gateway"))
        self.samples: list[float] = []

    def now(self) -> float:
        """In MB."""
        return round(self._process.memory_info().rss / 2**20, 1)

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            self.samples.append(self.now())
            await asyncio.sleep(1)


class IdleProcess:
    """`bench.idle_followers` at work."""

    def __init__(self, myx: Cluster, paths: Sequence[str], deaf_paths: Sequence[str], folder: Path) -> None:
        wish = {"url": myx.url, "token": myx.home.token, "paths": list(paths), "deaf_paths": list(deaf_paths)}
        file = folder / f"idle-{new_id()}.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(wish))
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.idle_followers", str(file)], stdin=pipe, stdout=pipe
        )

    async def ready(self) -> None:
        """Until all are open."""
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        if line != b"READY\n":
            raise RuntimeError("the idle followers did not start")

    async def result(self) -> dict[str, Any]:
        """End them; what they heard."""
        out, _ = await asyncio.to_thread(self._process.communicate)
        found: dict[str, Any] = json.loads(out)
        return found


async def load(myx: Cluster, names: Sequence[str], options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The figures of idle, busy and deaf followers."""
    half = len(names) // 2
    quiet, loud = names[:half], names[half:]
    lead_s = 30.0
    marks = [f"bench-{new_id()}" for _ in range(2)]
    quiet_ids = await run_everywhere(myx, quiet, ["sh", "-c", "sleep 100000"], marks[0])
    await until_all(myx, marks[0], "running", len(quiet))
    memory = Memory(myx)
    result: dict[str, Any] = {"rss_mb": {"empty": memory.now()}}
    paths = ["events"] * (options.idle // 2)
    paths += [f"commands/{quiet_ids[n % len(quiet_ids)]}/log/stream" for n in range(options.idle // 2)]
    idle = IdleProcess(myx, paths, (), folder)
    await idle.ready()
    result["rss_mb"]["idle"] = memory.now()
    before = myx.costs()
    await asyncio.sleep(options.seconds)
    result["idle_cost"] = stats.difference(before, myx.costs())["gateway"]
    script = f"sleep {lead_s}; print {options.lines / len(loud)} {options.seconds} 100"
    loud_ids = await run_everywhere(myx, loud, ["sh", "-c", script], marks[1])
    deaf = IdleProcess(
        myx, (), [f"commands/{loud_ids[n % len(loud_ids)]}/log/stream" for n in range(options.deaf)], folder
    )
    await deaf.ready()
    with followers(myx, loud_ids * _PER_LOG, options.seconds + lead_s + 120) as process:
        await process.ready()
        result["rss_mb"]["busy_open"] = memory.now()
        watching = asyncio.create_task(memory.watch(), name="memory")
        before, begun = myx.costs(), time.monotonic()
        seen = await process.result()
        result["busy_cost"] = stats.difference(before, myx.costs())["gateway"]
        result["busy_took_s"] = round(time.monotonic() - begun, 1)
        watching.cancel()
    result["rss_mb"] |= {"busy_most": max(memory.samples), "busy_last": memory.samples[-1]}
    result["rss_mb"]["by_10_s"] = memory.samples[::10]
    result["busy"] = {
        "followers": len(loud_ids) * _PER_LOG,
        "lines": seen["lines"],
        "expected_lines": round(options.lines * options.seconds) * _PER_LOG,
        "ended": seen["ended"],
        "broken": seen["broken"],
        "lag_ms": {f"p{share * 100:g}": percentile_ms(seen["lags_ms"], share) for share in (0.5, 0.95, 0.99, 1.0)},
    }
    result["deaf"] = await deaf.result()
    result["idle"] = await idle.result()
    return result


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one run."""
    result: dict[str, Any] = {"load_before": os.getloadavg()}
    with SimulatedFleet(40) as fleet, tempfile.TemporaryDirectory(prefix="myx-bench-") as folder:
        async with cluster(before_services=partial(seed, fleet=fleet.file), settings=MANY_FOLLOWERS) as myx:
            await settled(myx, fleet, 40)
            result |= await load(myx, [one.name for one in fleet.file.agents], options, Path(folder))
    result["load_after"] = os.getloadavg()
    return result


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--deaf", type=int, default=20)
    parser.add_argument("--lines", type=float, default=1000, help="lines a second of the 20 printing commands together")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    result = asyncio.run(measure(options))
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
