"""Anything is broken at any time; afterwards everything is as the hosts recorded it.

`--chaos-seed N` repeats what was broken when, `--chaos-seconds S` says for how long; `make test-long`: ten minutes.
"""

import asyncio
import json
import random
from pathlib import Path

import pytest

from myx_testkit.chaos.monkey import Monkey, faults_of, plan
from myx_testkit.chaos.viewer import Api
from myx_testkit.chaos.watch import Watcher
from myx_testkit.chaos.work import Work
from myx_testkit.chaos.world import World

WITHOUT_OWNER_S = 60.0
SETTLE_S = 180.0


def seed_of(request: pytest.FixtureRequest) -> int:
    given = request.config.getoption("--chaos-seed")
    return random.SystemRandom().randrange(10**6) if given is None else int(given)


async def chaos(world: World, api: Api, folder: Path, seed: int, seconds: float) -> None:
    print(f"--chaos-seed {seed} --chaos-seconds {seconds:g}")
    monkey = Monkey(world, plan(faults_of(world, seed), seed, seconds))
    watcher, work = Watcher(world), Work(world, api, folder / "records", seed)
    watching = asyncio.create_task(watcher.run())
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(monkey.run())
            group.create_task(work.give(seconds))
        await asyncio.to_thread(world.mend)
        await work.settle(SETTLE_S)
        wrong = monkey.found_dead + watcher.overdue + await work.verdict()
        if watcher.longest_s > WITHOUT_OWNER_S:
            wrong.append(f"without a live owner for {watcher.longest_s:.0f} s: {watcher.longest}")
    finally:
        watching.cancel()
        print("\n".join(monkey.diary))
    replays = sum((host.way.replays for host in world.hosts), start=type(world.hosts[0].way.replays)())
    print(json.dumps(dict(sorted(work.tally.items())), indent=1))
    print(
        f"{len(work.given)} commands, {len(work.jobs)} jobs; dropped replies {sum(h.way.dropped for h in world.hosts)},"
        f" repeated calls {dict(replays)}; longest without owner {watcher.longest_s:.0f} s; {api.retries} retries"
    )
    if set(replays) - {401}:
        wrong.append(f"repeated calls were answered {dict(replays)}")
    assert not wrong, f"--chaos-seed {seed}\n" + "\n".join(wrong)


@pytest.mark.timeout(900)
async def test_after_chaos_everything_is_as_the_hosts_recorded_it(
    world: World, api: Api, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await chaos(world, api, tmp_path, seed_of(request), request.config.getoption("--chaos-seconds"))


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_after_ten_minutes_of_chaos_too(
    world: World, api: Api, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await chaos(world, api, tmp_path, seed_of(request), max(600, request.config.getoption("--chaos-seconds")))
