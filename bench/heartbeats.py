"""What watching a fleet costs, and how soon the registry knows what became of an agent.

Each size is a cluster of its own: a cold start, then the fleet is held for longer than the longest interval. With the
largest go on: a tenth of the agents die at once and come back; all are cut off for a while and come back. Another
cluster has two replicas of the heartbeat service, of which one is killed. Beside it: one check by ssh and by Ansible.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench import stats
from bench.cluster import Cluster, cluster
from bench.rivals import rivals
from bench.seed import seed
from bench.simulator.fleet import SimulatedFleet
from bench.watching import LOOK_S, Rate, States, replica_status, since, states
from myx_heartbeat.domain import holder

_AGENTS_A_PROCESS = 5000
_PARTS = ("heartbeat", "registry", "postgres", "nats")
_KILLED = "heartbeat-2"


@dataclass(frozen=True)
class Plan:
    """Sizes and times (seconds); `dead_share` is that of the fleet which dies at once."""

    sizes: tuple[int, ...] = (1000, 2000, 5000, 10_000)
    min_interval_s: float = 20
    max_interval_s: float = 60
    dead_share: float = 0.1
    outage_s: float = 75
    takeover_agents: int = 2000
    rival_hosts: int = 20
    # More settings of the heartbeat service (MYX_HEARTBEAT_…).
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        """Of the heartbeat service; the product's own where they are the defaults."""
        intervals = {"MIN_INTERVAL_S": self.min_interval_s, "MAX_INTERVAL_S": self.max_interval_s}
        return {f"MYX_HEARTBEAT_{name}": str(value) for name, value in intervals.items()} | dict(self.more)

    @property
    def within_s(self) -> float:
        """How long a phase may take at most."""
        return 4 * self.max_interval_s + self.outage_s + 120


def percentiles(values_s: list[float]) -> dict[str, float]:
    """p50, p99 and the longest."""
    found = {"p50": stats.percentile(values_s, 0.5), "p99": stats.percentile(values_s, 0.99), "max": max(values_s)}
    return {name: round(value, 2) for name, value in found.items()}


class Phases:
    """What is done to one cluster and its fleet."""

    def __init__(self, plan: Plan, fleet: SimulatedFleet, myx: Cluster, seen: States, begin: float) -> None:
        self._plan = plan
        self._fleet = fleet
        self._myx = myx
        self._seen = seen
        self._begin = begin
        self._all = range(len(fleet.file.agents))

    async def cold_start(self, rate: Rate) -> dict[str, Any]:
        """From the start of the services on: all are checked and known."""
        checked = await since(self._fleet, self._begin, self._all, self._plan.within_s)
        first = min(checked)
        known_s = await self._until(lambda count: count["online"] == len(self._all), self._begin + first)
        return {"fresh_s": round(max(checked) - first, 1), "known_s": known_s, "checks_per_s": rate.shape()}

    async def hold(self) -> dict[str, Any]:
        """Nothing but heartbeats, for longer than the longest interval."""
        seconds = self._plan.max_interval_s * 1.1 + 1
        self._fleet.forget_gaps()
        before, sim = self._myx.costs(), self._fleet.counts()
        await asyncio.sleep(seconds)
        after, cost = self._fleet.counts(), stats.difference(before, self._myx.costs())
        beats = max(1, after["heartbeats"] - sim["heartbeats"])
        moved = sum(after[name] - sim[name] for name in ("bytes_in", "bytes_out"))
        return {
            "seconds": round(seconds),
            "heartbeats": beats,
            "longest_gap_s": self._longest_gap_s(self._all),
            "connections": after["connections"],
            "new_connections": after["handshakes"] - sim["handshakes"],
            "bytes_a_heartbeat": round(moved / beats),
            "ms_a_heartbeat": {part: round(cost[part]["cpu_s"] / beats * 1e3, 3) for part in _PARTS},
            "cores": {part: round(cost[part]["cpu_s"] / seconds, 3) for part in _PARTS},
            "rss_mb": {part: cost[part]["rss_mb"] for part in _PARTS},
            "simulator_ms_a_heartbeat": round((after["cpu_s"] - sim["cpu_s"]) / beats * 1e3, 3),
        }

    async def deaths(self) -> dict[str, Any]:
        """A part of the fleet dies at once; later it is back."""
        count = max(1, int(len(self._all) * self._plan.dead_share))
        dead = {one.name for one in self._fleet.file.agents[:count]}
        self._fleet.forget_gaps()
        begin = time.monotonic()
        self._fleet.behave((0, count), dead=True)
        detected, wrong = await self._first_seen("offline", dead, begin)
        doubted = await self._seen.by_status("unknown")
        gap_s = self._longest_gap_s(self._all[count:])
        begin = time.monotonic()
        self._fleet.behave((0, count), dead=False)
        back, _ = await self._first_seen("online", dead, begin)
        return {
            "dead": count,
            "detected_s": percentiles(detected),
            "living_said_dead": len(wrong),
            "doubted": len(doubted),
            "longest_gap_of_the_living_s": gap_s,
            "back_s": percentiles(back),
        }

    async def outage(self) -> dict[str, Any]:
        """All are cut off for longer than the longest interval, as by a broken network of ours; then it is over."""
        count = len(self._all)
        self._fleet.behave("all", dead=True)
        offline = 0
        end = time.monotonic() + self._plan.outage_s
        while time.monotonic() < end:
            await asyncio.sleep(LOOK_S)
            offline = max(offline, (await self._seen.count())["offline"])
        at_end = await self._seen.count()
        async with Rate(self._fleet) as rate:
            begin = time.monotonic()
            self._fleet.behave("all", dead=False)
            checked = await since(self._fleet, begin, self._all, self._plan.within_s)
            known_s = await self._until(lambda now: now["online"] == count, begin)
        return {
            "seconds": self._plan.outage_s,
            "most_said_offline": offline,
            "at_the_end": dict(at_end),
            "fresh_s": percentiles(checked),
            "known_s": known_s,
            "checks_per_s": rate.shape(),
        }

    async def takeover(self) -> dict[str, Any]:
        """One of two replicas is killed: how long its agents are checked by nobody."""
        before = await self._shared()
        members = [one.id for one in before.members]
        victim = next(one.id for one in before.members if one.address == self._myx.target(_KILLED))
        ids = await self._seen.ids()
        orphans = [number for number, agent_id in enumerate(ids) if holder(agent_id, members) == victim]
        self._fleet.forget_gaps()
        await self._myx.children[_KILLED].kill()
        begin = time.monotonic()
        noticed = asyncio.create_task(self._noticed(begin), name="noticed")
        checked = await since(self._fleet, begin, orphans, self._plan.within_s)
        return {
            "agents": len(self._all),
            "orphans": len(orphans),
            "noticed_s": await noticed,
            "checked_again_s": percentiles(checked),
            "longest_gap_s": self._longest_gap_s(self._all),
        }

    async def _shared(self) -> Any:
        """The status of the first replica once each has its share and has checked it."""
        async with asyncio.timeout(self._plan.within_s):
            while True:
                both = [await replica_status(self._myx, part) for part in ("heartbeat", _KILLED)]
                known = [one for one in both if one is not None and one.agents and len(one.members) == len(both)]
                if len(known) == len(both) and sum(one.agents for one in known) == len(self._all):
                    return known[0]
                await asyncio.sleep(LOOK_S)

    async def _noticed(self, begin: float) -> float:
        async with asyncio.timeout(self._plan.within_s):
            while True:
                now = await replica_status(self._myx, "heartbeat")
                if now is not None and now.agents == len(self._all):
                    return round(time.monotonic() - begin, 1)
                await asyncio.sleep(LOOK_S)

    async def _until(self, reached: Callable[[Any], bool], begin: float) -> float:
        async with asyncio.timeout(self._plan.within_s):
            while not reached(await self._seen.count()):
                await asyncio.sleep(LOOK_S)
        return round(time.monotonic() - begin, 1)

    async def _first_seen(self, status: str, names: set[str], begin: float) -> tuple[list[float], set[str]]:
        """Seconds until the registry has each of these as `status`, and which others it has so by then."""
        found: dict[str, float] = {}
        others: set[str] = set()
        async with asyncio.timeout(self._plan.within_s):
            while len(found) < len(names):
                now = await self._seen.by_status(status)
                others |= now - names
                for name in now & names:
                    found.setdefault(name, time.monotonic() - begin)
                await asyncio.sleep(LOOK_S)
        return list(found.values()), others

    def _longest_gap_s(self, numbers: range) -> float:
        """The longest time between two checks of one agent, one that goes on still counting too."""
        now, checks = time.monotonic(), self._fleet.checks()
        return round(max(max(checks[n][1], now - checks[n][0]) for n in numbers), 2)


@asynccontextmanager
async def phases_of(plan: Plan, fleet: SimulatedFleet, replicas: int) -> AsyncIterator[Phases]:
    """A cluster with so many replicas of the heartbeat service, just started, that watches the fleet."""
    begin = time.monotonic()
    async with (
        cluster(
            1,
            heartbeats=replicas,
            settings=plan.settings,
            before_services=partial(seed, fleet=fleet.file),
            without=("executor-1", "gateway"),
        ) as myx,
        states(myx) as seen,
    ):
        yield Phases(plan, fleet, myx, seen, begin)


async def size(plan: Plan, count: int, *, is_largest: bool) -> dict[str, Any]:
    """The figures of one size."""
    with SimulatedFleet(count, -(-count // _AGENTS_A_PROCESS)) as fleet:
        rate = Rate(fleet)
        async with rate, phases_of(plan, fleet, 1) as phases:
            result: dict[str, Any] = {"agents": count, "cold_start": await phases.cold_start(rate)}
            steps: list[tuple[str, Callable[[], Awaitable[dict[str, Any]]]]] = [("held", phases.hold)]
            if is_largest and plan.dead_share:
                steps.append(("deaths", phases.deaths))
            if is_largest and plan.outage_s:
                steps.append(("outage", phases.outage))
            for name, step in steps:
                result[name] = await step()
                result["load"] = os.getloadavg()
                _tell({"agents": count, name: result[name], "load": result["load"]})
    return result


async def takeover(plan: Plan) -> dict[str, Any]:
    """The figures of two replicas, one of which is killed."""
    with SimulatedFleet(plan.takeover_agents) as fleet:
        async with Rate(fleet) as rate, phases_of(plan, fleet, 2) as phases:
            await phases.cold_start(rate)
            return await phases.takeover()


async def one_check(hosts: int) -> dict[str, dict[str, float]] | None:
    """What one look at a host costs by other means; None where there is no sshd."""
    with rivals(hosts) as others:
        if others is None:
            return None
        ways = (("ssh host true", others.fresh_ssh), ("ansible -m ping", others.ansible_ping))
        found = {}
        for name, way in ways:
            taken_s, cpu_s = await way()
            found[name] = {"ms": round(taken_s / hosts * 1e3, 1), "cpu_ms": round(cpu_s / hosts * 1e3, 1)}
        return found


async def measure(plan: Plan) -> dict[str, Any]:
    """Everything, one after the other."""
    result: dict[str, Any] = {"load_before": os.getloadavg(), "sizes": []}
    for count in plan.sizes:
        result["sizes"].append(await size(plan, count, is_largest=count == max(plan.sizes)))
        _tell(result["sizes"][-1])
    if plan.takeover_agents:
        result["takeover"] = await takeover(plan)
        _tell(result["takeover"])
    if plan.rival_hosts:
        result["one_check"] = await one_check(plan.rival_hosts)
        _tell(result["one_check"])
    return result | {"load_after": os.getloadavg()}


def _tell(figures: object) -> None:
    print(json.dumps(figures), flush=True)


def main() -> None:
    """Entry point."""
    plan = Plan()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, nargs="+", default=plan.sizes)
    parser.add_argument("--min-interval", type=float, default=plan.min_interval_s, help="seconds")
    parser.add_argument("--max-interval", type=float, default=plan.max_interval_s, help="seconds")
    parser.add_argument("--dead-share", type=float, default=plan.dead_share, help="0: without deaths")
    parser.add_argument("--outage", type=float, default=plan.outage_s, help="seconds; 0: without it")
    parser.add_argument("--takeover-agents", type=int, default=plan.takeover_agents, help="0: without it")
    parser.add_argument("--rivals", type=int, default=plan.rival_hosts, help="hosts; 0: without ssh and Ansible")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    given = parser.parse_args()
    plan = Plan(
        tuple(given.agents),
        given.min_interval,
        given.max_interval,
        given.dead_share,
        given.outage,
        given.takeover_agents,
        given.rivals,
    )
    result = asyncio.run(measure(plan))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
