"""A replica is killed, stopped, cut off: another goes on at the stored offset, and nobody who watches loses a byte."""

import asyncio
import time
from collections.abc import Callable

import pytest

from myx_testkit.chaos.parts import Replica
from myx_testkit.chaos.talk import talking
from myx_testkit.chaos.viewer import Api
from myx_testkit.chaos.world import World
from myx_testkit.wait import until

pytestmark = pytest.mark.timeout(300)

TAKEOVER_S = 15.0
# What was under way when a fault came may still be stored.
SETTLE_S = 0.3

FAULTS: dict[str, Callable[[Replica], None]] = {
    "killed": lambda replica: replica.kill9(),
    "stopped": lambda replica: replica.pause(),
    "cut from postgresql": lambda replica: replica.to_postgres.cut(),
    "away from postgresql": lambda replica: replica.to_postgres.freeze(),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_another_replica_goes_on_at_the_stored_offset_in_time(
    world: World, api: Api, tmp_path, fault: str
) -> None:
    async with talking(world, api, tmp_path) as talk:
        before, owner = await asyncio.to_thread(world.row, talk.command_id), await talk.owner()
        began = time.monotonic()
        await asyncio.to_thread(FAULTS[fault], owner)
        await asyncio.sleep(SETTLE_S)
        await talk.grows()
        took_s = time.monotonic() - began
        after = await asyncio.to_thread(world.row, talk.command_id)
        print(f"{fault}: {took_s:.1f} s")
        assert took_s < TAKEOVER_S
        assert after["owner"] != before["owner"]
        assert after["fence"] == before["fence"] + 1
        await talk.ends_well()


async def test_a_zombie_that_wakes_after_the_end_writes_no_byte_and_changes_no_state(
    world: World, api: Api, tmp_path
) -> None:
    async with talking(world, api, tmp_path) as talk:
        zombie = await talk.owner()
        await asyncio.to_thread(zombie.pause)
        await asyncio.sleep(SETTLE_S)
        await talk.grows()
        await talk.ends_well()
        await released(world, talk.command_id)
        final = await asyncio.to_thread(world.row, talk.command_id)
        await wakes(zombie)
        assert await asyncio.to_thread(world.row, talk.command_id) == final


async def test_a_zombie_that_wakes_while_another_works_writes_no_byte(world: World, api: Api, tmp_path) -> None:
    async with talking(world, api, tmp_path) as talk:
        zombie = await talk.owner()
        await asyncio.to_thread(zombie.pause)
        await asyncio.sleep(SETTLE_S)
        await talk.grows()
        taken = await asyncio.to_thread(world.row, talk.command_id)
        await wakes(zombie)
        await talk.grows()
        later = await asyncio.to_thread(world.row, talk.command_id)
        assert (later["owner"], later["fence"]) == (taken["owner"], taken["fence"])
        await talk.ends_well()


async def released(world: World, command_id: str) -> None:
    """The agent has forgotten it, which is the last change of a row."""

    async def told() -> bool:
        return not (await asyncio.to_thread(world.row, command_id))["release_pending"]

    await until(told, 30, interval_s=0.1)


async def wakes(zombie: Replica) -> None:
    """Until it has heard that another has its work."""
    said_before = len(zombie.program.log.read_text())
    await asyncio.to_thread(zombie.resume)

    def knows() -> bool:
        said = zombie.program.log.read_text()[said_before:]
        return "lease_lost" in said or "command_left_to_its_owner" in said

    await until(knows, 30, interval_s=0.1, what="the zombie knows that it lost its lease")


@pytest.mark.parametrize("how", ["cut", "freeze"])
async def test_a_replica_without_nats_goes_on_by_itself(world: World, api: Api, tmp_path, how: str) -> None:
    async with talking(world, api, tmp_path) as talk:
        owner = await talk.owner()
        began = time.monotonic()
        await asyncio.to_thread(getattr(owner.to_nats, how))
        await asyncio.sleep(SETTLE_S)
        await talk.grows()
        print(f"{how} from NATS: {time.monotonic() - began:.1f} s")
        assert time.monotonic() - began < TAKEOVER_S
        assert await talk.owner() is owner
        await talk.ends_well()


async def test_nats_away_for_all_delays_and_loses_nothing(
    world: World, api: Api, tmp_path, request: pytest.FixtureRequest
) -> None:
    async with talking(world, api, tmp_path) as talk:
        await asyncio.to_thread(world.nats.kill9)
        came_back = time.monotonic() + request.config.getoption("--chaos-away-seconds")
        async with talking(world, api, tmp_path, "host-1") as begun_without:
            while time.monotonic() < came_back:
                await asyncio.gather(talk.grows(), begun_without.grows())
            await begun_without.ends_well()
        await asyncio.to_thread(world.do, world.nats.restart)
        await talk.grows()
        await talk.ends_well()


async def test_postgresql_away_for_all_delays_and_loses_nothing(
    world: World, api: Api, tmp_path, request: pytest.FixtureRequest
) -> None:
    async with talking(world, api, tmp_path) as talk:
        await asyncio.to_thread(world.postgres.kill9)
        await asyncio.sleep(request.config.getoption("--chaos-away-seconds"))
        await asyncio.to_thread(world.do, world.postgres.restart)
        print(f"PostgreSQL is back: goes on after {await talk.grows(60):.1f} s")
        await talk.ends_well()
