"""`true` on many simulated agents by one job: wall time, and CPU by part; beside it ssh, asyncssh and Ansible.

The rivals go over 100 hosts on loopback, whose sshd runs real processes; the agents are simulated, and play theirs. So
wall times are not to be compared closely, CPU at the control side is.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from bench import stats
from bench.calls import run_everywhere, settled, until_all
from bench.cluster import Cluster, cluster
from bench.rivals import Rivals, rivals
from bench.seed import seed
from bench.simulator.fleet import SimulatedFleet
from myx_kit.ids import new_id

_LOOK_S = 0.1
_WITHIN_S = 300.0


async def by_calls(myx: Cluster, servers: Sequence[str]) -> float:
    """Seconds from the first RunCommand to the last final state, one call for each server."""
    mark = f"bench-{new_id()}"
    begin = time.perf_counter()
    await run_everywhere(myx, servers, ["true"], mark)
    await until_all(myx, mark, "success", len(servers))
    return time.perf_counter() - begin


async def by_job(myx: Cluster, count: int, concurrency: int) -> float:
    """Seconds from the request to the job's final state, as a client of the API sees it."""
    headers = {"Authorization": f"Bearer {myx.home.token}"}
    body = {
        "selector": "all",
        "work": {"command": {"command": "true"}},
        "options": {"concurrency": str(concurrency)},
    }
    async with aiohttp.ClientSession(headers=headers) as session:
        begin = time.perf_counter()
        async with session.post(f"{myx.url}/api/v1/jobs", json=body) as answer:
            job = await answer.json()
            if answer.status != 201:
                raise RuntimeError(f"the job was refused: {job}")
        async with asyncio.timeout(_WITHIN_S):
            while job["status"] in {"pending", "running"}:
                await asyncio.sleep(_LOOK_S)
                async with session.get(f"{myx.url}/api/v1/jobs/{job['id']}") as answer:
                    job = await answer.json()
        taken = time.perf_counter() - begin
        if job["status"] != "success":
            async with session.get(f"{myx.url}/api/v1/jobs/{job['id']}/targets?page_size=1000") as answer:
                targets = (await answer.json())["items"]
            why = Counter((one["status"], one["reason"]) for one in targets)
            print(f"the job ended {job['status']}: {why}", flush=True)
    return taken


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one run."""
    count, profile = options.agents, options.profile
    result: dict[str, Any] = {"agents": count, "load_before": os.getloadavg(), "rounds": [], "rivals": []}
    with SimulatedFleet(count) as fleet, rivals(options.rivals) as others:
        async with cluster(before_services=partial(seed, fleet=fleet.file)) as myx:
            result["idle"] = await settled(myx, fleet, count)
            print(idle_table(result["idle"]), flush=True)
            names = [one.name for one in fleet.file.agents] * options.each
            for number in range(options.rounds):
                before, sim = myx.costs(), fleet.counts()
                recording = await record(myx, profile) if profile and number == options.profile_round else None
                if options.calls:
                    wall_s = await by_calls(myx, names)
                else:
                    wall_s = await by_job(myx, count, options.concurrency)
                after = fleet.counts()
                if recording is not None:
                    await recording.wait()
                cost = stats.difference(before, myx.costs())
                cost["simulator"] = {"cpu_s": round(after["cpu_s"] - sim["cpu_s"], 3), "rss_mb": 0.0}
                result["rounds"].append({"wall_s": round(wall_s, 3), "cost": cost})
                print(table(result["rounds"][-1], len(names)), flush=True)
                if others is not None and options.rivals and number < options.rival_rounds:
                    result["rivals"].append(await rival_round(others, options.rivals))
            result["executions"] = fleet.executions()[0]
            assert not fleet.executions()[1], "something ran twice"
        if others is not None:
            await others.close()
    result["load_after"] = os.getloadavg()
    return result


async def rival_round(others: Rivals, count: int) -> dict[str, dict[str, float]]:
    """Each rival once."""
    found = {}
    for name, way in (("ssh", others.fresh_ssh), ("asyncssh", others.warm_asyncssh), ("ansible", others.ansible)):
        wall_s, cpu_s = await way()
        found[name] = {"wall_s": round(wall_s, 3), "cpu_s": round(cpu_s, 3), "hosts": count}
        scale = 1000 / count
        print(
            f"{name:9} {count} hosts: {wall_s:6.2f} s wall, {cpu_s / count * 1e3:7.2f} ms CPU a host, control side"
            f" (1,000 hosts: {wall_s * scale:.1f} s, {cpu_s * scale:.1f} s CPU)",
            flush=True,
        )
    return found


async def record(myx: Cluster, part: str) -> asyncio.subprocess.Process:
    """py-spy on one part, into /tmp/myx-<part>.txt (collapsed stacks)."""
    words = ["record", "-p", str(myx.pid(part)), "-d", "8", "-r", "200", "-n", "-f", "raw"]
    words += ["-o", f"/tmp/myx-{part}.txt"]
    spy = str(Path(sys.executable).with_name("py-spy"))
    process = await asyncio.create_subprocess_exec(spy, *words, stdout=asyncio.subprocess.DEVNULL)
    await asyncio.sleep(1.5)
    return process


def idle_table(idle: dict[str, dict[str, float]]) -> str:
    """What the heartbeats of the fleet cost by themselves, as text."""
    return "heartbeats alone, ms CPU a second: " + ", ".join(
        f"{part} {cost['cpu_s'] * 1e3:.0f}" for part, cost in idle.items()
    )


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
    parser.add_argument("--calls", action="store_true", help="by RunCommand calls instead of a job")
    parser.add_argument("--concurrency", type=int, default=500, help="of the job")
    parser.add_argument("--rivals", type=int, default=0, help="hosts for ssh, asyncssh and Ansible; 0: without them")
    parser.add_argument("--rival-rounds", type=int, default=2)
    parser.add_argument("--profile", default="", help="record this part with py-spy in one round")
    parser.add_argument("--profile-round", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    result = asyncio.run(measure(options))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
