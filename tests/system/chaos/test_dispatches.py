"""Many commands while replies are dropped and executors killed: each runs once, and what became of it is known."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from myx_testkit.chaos.viewer import Api
from myx_testkit.chaos.world import World

AT_ONCE = 100
DROPPED = 0.1
KILL_EVERY_S = (3.0, 6.0)
# No fork: the shell's own words.
MARK = 'echo ran >> "$0/$1"; echo "said by $1"; exit $2'


async def kill_executors(world: World, dice: random.Random) -> None:
    """One after the other, for ever; each is started again at once."""
    while True:
        await asyncio.sleep(dice.uniform(*KILL_EVERY_S))
        victim = dice.choice(world.executors)
        await asyncio.to_thread(world.do, victim.kill9)
        await asyncio.to_thread(world.do, victim.start)
        world.kills += 1


async def dispatches(world: World, api: Api, folder: Path, count: int) -> None:
    dice = random.Random(count)
    world.kills = 0
    for host in world.hosts:
        (folder / host.name).mkdir()
        host.way.mistreat(count, drop=DROPPED)
    given: dict[str, tuple[str, int, str]] = {}
    finals: dict[str, dict] = {}
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(key: str, host: str, code: int) -> None:
        async with slots:
            place = str(folder / host)
            command_id = await api.run(key, host, "/bin/sh", "-c", MARK, place, key, str(code), connect_timeout_s=900)
            given[key] = (host, code, command_id)
            finals[key] = await api.final(command_id, 300)

    began = time.monotonic()
    killing = asyncio.create_task(kill_executors(world, dice))
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(one(f"d{number:05}", dice.choice(world.hosts).name, dice.choice((0, 0, 1, 42))))
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
    dropped, calls = sum(h.way.dropped for h in world.hosts), sum(h.way.calls for h in world.hosts)
    took_s = time.monotonic() - began
    print(f"{count} dispatches in {took_s:.0f} s; {dropped} of {calls} replies dropped, {world.kills} kills")
    wrong = []
    for key, (host, code, command_id) in given.items():
        final, marks = finals[key], folder / host / key
        ran = marks.read_text().count("ran\n") if marks.exists() else 0
        expected = ("success" if code == 0 else "failed", code, "complete")
        shown = (final["status"], final["exit_code"], final["log_completeness"])
        if ran != 1 or shown != expected:
            wrong.append(f"{key} ({command_id}) ran {ran} times, is {shown} ({final['reason']}), expected {expected}")
    print(Counter(final["status"] for final in finals.values()))
    assert len(given) == count
    assert not wrong, "\n".join(wrong)
    assert dropped > count * DROPPED / 3
    assert world.kills > 3
    with world.sql() as connection:
        stored = connection.execute("select count(*) from executor.command where args[4] like 'd%'").fetchone()
    assert stored == (count,)


@pytest.mark.timeout(900)
async def test_each_runs_once_though_replies_are_dropped_and_executors_killed(
    world: World, api: Api, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await dispatches(world, api, tmp_path, request.config.getoption("--chaos-dispatches"))


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_each_of_ten_thousand_runs_once_too(world: World, api: Api, tmp_path: Path) -> None:
    await dispatches(world, api, tmp_path, 10_000)
