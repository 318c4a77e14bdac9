"""Breaks one thing after the other, as a seed says."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from myx_testkit.chaos.parts import Host, Part, Replica, Service
from myx_testkit.chaos.world import World

# Things that are broken at once, on average.
AT_ONCE = 2.0
Deed = Callable[[], None]


@dataclass(frozen=True)
class Fault:
    """One kind of damage to one thing; `begin` and `end` block, and `end` makes it whole again."""

    name: str
    target: str
    longest_s: float
    weight: float
    begin: Deed
    end: Deed


@dataclass(frozen=True)
class Act:
    """A fault at its time, in seconds from the start."""

    at_s: float
    until_s: float
    fault: Fault


def faults_of(world: World, seed: int) -> list[Fault]:
    """All that can be broken."""
    found: list[Fault] = []
    for part in world.parts:
        found += _of_part(part)
    for replica in world.executors:
        for name, way in (("postgresql", replica.to_postgres), ("nats", replica.to_nats)):
            place = f"{replica.name} to {name}"
            found += [
                Fault("cut", place, 15, 1, way.cut, way.heal),
                Fault("freeze", place, 15, 1, way.freeze, way.heal),
                Fault("slow", place, 15, 1, lambda way=way: way.slow(0.05), way.heal),  # type: ignore[misc]
            ]
    for host in world.hosts:
        found += _of_way(host, seed)
    found.append(Fault("crash", "postgresql", 8, 2, world.postgres.kill9, lambda: world.do(world.postgres.restart)))
    found.append(Fault("crash", "nats", 8, 2, world.nats.kill9, lambda: world.do(world.nats.restart)))
    return found


def _of_part(part: Part) -> list[Fault]:
    weight = 3.0 if isinstance(part, Replica) else 1.0
    found = [
        Fault("kill -9", part.name, 5, weight, part.kill9, part.start),
        Fault("stop", part.name, 20 if isinstance(part, Replica) else 8, weight, part.pause, part.resume),
    ]
    if isinstance(part, Service):
        found.append(Fault("terminate", part.name, 15, weight / 2, part.terminate, lambda: _again(part)))
    return found


def _again(part: Part) -> None:
    if part.program.is_running():
        part.kill9()
    part.start()


def _of_way(host: Host, seed: int) -> list[Fault]:
    place, way = f"way to {host.name}", host.way
    return [
        Fault("cut", place, 4, 1, way.cut, way.heal),
        Fault("freeze", place, 10, 1, way.freeze, way.heal),
        Fault("slow", place, 15, 1, lambda: way.slow(0.1), way.heal),
        Fault("drop and repeat", place, 30, 8, lambda: way.mistreat(seed, drop=0.25, replay=0.25), way.heal),
    ]


def plan(faults: Sequence[Fault], seed: int, seconds: float) -> list[Act]:
    """What is done when: the same for the same seed. A thing is broken in one way at a time."""
    dice = random.Random(seed)
    acts: list[Act] = []
    busy: dict[str, float] = {}
    at_s = 0.0
    while True:
        fault = dice.choices(faults, [one.weight for one in faults])[0]
        lasts_s = dice.uniform(0.2, fault.longest_s)
        at_s += dice.expovariate(AT_ONCE / 5)
        if at_s > seconds:
            return acts
        if busy.get(fault.target, 0.0) < at_s:
            acts.append(Act(at_s, at_s + lasts_s, fault))
            busy[fault.target] = at_s + lasts_s + 2


class Monkey:
    """Carries a plan out. `diary` holds what was done and when."""

    def __init__(self, world: World, acts: Sequence[Act]) -> None:
        self.world, self.acts = world, acts
        self.diary: list[str] = []
        self.found_dead: list[str] = []
        self._began = 0.0

    async def run(self) -> None:
        """Until everything that was broken is whole again."""
        self._began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for act in self.acts:
                group.create_task(self._act(act))

    async def _act(self, act: Act) -> None:
        await self._until(act.at_s)
        self._note(f"{act.fault.name}: {act.fault.target}, for {act.until_s - act.at_s:.1f} s")
        for part in self.world.parts:
            if part.name == act.fault.target and not part.program.is_running():
                self.found_dead.append(f"{self.diary[-1]}: it had died by itself, {part.program.output()}")
                await asyncio.to_thread(self.world.do, part.start)
        await asyncio.to_thread(self.world.do, act.fault.begin)
        await self._until(act.until_s)
        await asyncio.to_thread(self._end, act.fault)
        self._note(f"end of {act.fault.name}: {act.fault.target}")

    def _end(self, fault: Fault) -> None:
        if fault.target in ("postgresql", "nats"):
            fault.end()
        else:
            self.world.do(fault.end)

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, self._began + at_s - time.monotonic()))

    def _note(self, text: str) -> None:
        self.diary.append(f"{time.monotonic() - self._began:6.1f} {time.strftime('%H:%M:%S')} {text}")
