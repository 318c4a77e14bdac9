"""`true` on many simulated agents at once: wall time, and CPU by part; beside it ssh, asyncssh and Ansible."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench import stats
from bench.calls import run_everywhere, settled, until_all
from bench.cluster import Cluster, cluster
from bench.seed import seed
from bench.simulator.fleet import SimulatedFleet
from myx_kit.ids import new_id


async def by_calls(myx: Cluster, servers: Sequence[str]) -> float:
    """Seconds from the first RunCommand to the last final state, one call for each server."""
    mark = f"bench-{new_id()}"
    begin = time.perf_counter()
    await run_everywhere(myx, servers, ["true"], mark)
    await until_all(myx, mark, "success", len(servers))
    return time.perf_counter() - begin


async def measure(count: int, rounds: int, profile: str, each: int) -> dict[str, Any]:
    """All figures of one run."""
    result: dict[str, Any] = {"agents": count, "load_before": os.getloadavg(), "rounds": []}
    with SimulatedFleet(count) as fleet:
        async with cluster(before_services=partial(seed, fleet=fleet.file)) as myx:
            await settled(fleet, count)
            names = [one.name for one in fleet.file.agents] * each
            for number in range(rounds):
                before, sim = myx.costs(), fleet.counts()
                recording = await record(myx, profile) if profile and number == rounds - 1 else None
                wall_s = await by_calls(myx, names)
                after = fleet.counts()
                if recording is not None:
                    await recording.wait()
                cost = stats.difference(before, myx.costs())
                cost["simulator"] = {"cpu_s": round(after["cpu_s"] - sim["cpu_s"], 3), "rss_mb": 0.0}
                result["rounds"].append({"wall_s": round(wall_s, 3), "cost": cost})
                print(table(result["rounds"][-1], len(names)), flush=True)
            result["executions"] = fleet.executions()[0]
            assert not fleet.executions()[1], "something ran twice"
    result["load_after"] = os.getloadavg()
    return result


async def record(myx: Cluster, part: str) -> asyncio.subprocess.Process:
    """py-spy on one part, into /tmp/myx-<part>.txt (collapsed stacks)."""
    words = ["record", "-p", str(myx.pid(part)), "-d", "8", "-r", "200", "-n", "-f", "raw"]
    words += ["-o", f"/tmp/myx-{part}.txt"]
    spy = str(Path(sys.executable).with_name("py-spy"))
    process = await asyncio.create_subprocess_exec(spy, *words, stdout=asyncio.subprocess.DEVNULL)
    await asyncio.sleep(1.5)
    return process


def table(one: dict[str, Any], count: int) -> str:
    """The figures of one round as text."""
    total = sum(cost["cpu_s"] for part, cost in one["cost"].items() if part != "simulator")
    rows = [f"{count} commands: {one['wall_s']:.2f} s wall, {total / count * 1e3:.2f} ms CPU a command"]
    for part, cost in one["cost"].items():
        rows.append(f"  {part:12} {cost['cpu_s'] / count * 1e3:7.3f} ms a command   {cost['rss_mb']:7.1f} MB")
    return "\n".join(rows)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--each", type=int, default=1, help="commands for each agent")
    parser.add_argument("--profile", default="", help="record this part with py-spy in the last round")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    result = asyncio.run(measure(options.agents, options.rounds, options.profile, options.each))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
