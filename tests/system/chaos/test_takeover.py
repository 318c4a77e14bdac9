"""A replica is killed, stopped, cut off: another goes on at the stored offset, and nobody who watches loses a byte."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from myx_testkit.chaos.parts import Replica
from myx_testkit.chaos.viewer import Api, Viewer
from myx_testkit.chaos.world import World
from myx_testkit.wait import until

pytestmark = pytest.mark.timeout(300)

TAKEOVER_S = 15.0
EXIT = 5
# Lines with their numbers on both streams until a file appears, then an exit code of its own.
TALKER = """
import os, sys, time
n = 0
while not os.path.exists(sys.argv[1]) and n < 10000:
    os.write(1, b"%d\\n" % n)
    if n % 10 == 0:
        os.write(2, b"e%d\\n" % n)
    n += 1
    time.sleep(0.05)
os.write(1, b"end %d\\n" % n)
sys.exit(5)
"""


@dataclass
class Talk:
    """A command that talks until `enough`, its owner, and two who watch it."""

    world: World
    api: Api
    command_id: str
    owner: Replica
    watching: Sequence["asyncio.Task[Viewer]"]
    until_file: str

    async def grows(self, within_s: float = 30) -> float:
        """Seconds until another byte was stored; read beside all ways."""
        began, size = time.monotonic(), await self.size()

        async def more() -> bool:
            return await self.size() > size

        await until(more, within_s, interval_s=0.05, what="the stored log grows")
        return time.monotonic() - began

    async def size(self) -> int:
        return int((await asyncio.to_thread(self.world.row, self.command_id))["log_size"])

    async def ends_well(self) -> list[Viewer]:
        """Let it end; everybody saw every byte once, and so it is stored."""
        await asyncio.to_thread(lambda: open(self.until_file, "w").close())
        viewers = [await task for task in self.watching]
        final = await self.api.final(self.command_id)
        assert (final["status"], final["exit_code"]) == ("failed", EXIT), final
        assert final["log_completeness"] == "complete", final
        count = int(viewers[0].output[1].splitlines()[-1].split()[1])
        out = b"".join(b"%d\n" % n for n in range(count)) + b"end %d\n" % count
        err = b"".join(b"e%d\n" % n for n in range(0, count, 10))
        for viewer in viewers:
            assert (bytes(viewer.output[1]), bytes(viewer.output[2]), viewer.gaps) == (out, err, [])
        assert final["log_size_bytes"] == len(out) + len(err)
        print("pauses", [f"{one.longest_pause_s:.1f} s" for one in viewers], [one.why for one in viewers])
        return viewers


@pytest.fixture
def talk(world: World, api: Api, tmp_path):
    @asynccontextmanager
    async def talking() -> AsyncIterator[Talk]:
        key = f"talk-{time.monotonic_ns()}"
        until_file = str(tmp_path / key)
        command_id = await api.run(key, "host-0", sys.executable, "-Sc", TALKER, until_file)
        watching = [asyncio.create_task(Viewer(api, command_id).watch()) for _ in range(2)]
        try:
            owner = await asyncio.to_thread(world.owner_of, command_id)
            talk = Talk(world, api, command_id, owner, watching, until_file)
            await talk.grows()
            yield talk
        finally:
            await asyncio.to_thread(lambda: open(until_file, "w").close())
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    return talking


FAULTS: dict[str, Callable[[Replica], None]] = {
    "killed": lambda replica: replica.kill9(),
    "stopped": lambda replica: replica.pause(),
    "cut from postgresql": lambda replica: replica.to_postgres.cut(),
    "away from postgresql": lambda replica: replica.to_postgres.freeze(),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_another_replica_goes_on_at_the_stored_offset_in_time(world: World, talk, fault: str) -> None:
    async with talk() as running:
        before = await asyncio.to_thread(world.row, running.command_id)
        await asyncio.to_thread(FAULTS[fault], running.owner)
        # What was under way when the fault came does not count.
        await asyncio.sleep(0.2)
        took_s = await running.grows() + 0.2
        print(f"{fault}: {took_s:.1f} s")
        assert took_s < TAKEOVER_S
        after = await asyncio.to_thread(world.row, running.command_id)
        assert after["owner"] != before["owner"]
        assert after["fence"] == before["fence"] + 1
        await running.ends_well()


async def test_a_zombie_writes_no_byte_and_changes_no_state(world: World, talk) -> None:
    async with talk() as running:
        zombie = running.owner
        await asyncio.to_thread(zombie.pause)
        await asyncio.sleep(0.2)
        await running.grows()
        await running.ends_well()
        final = await asyncio.to_thread(world.row, running.command_id)
        await asyncio.to_thread(zombie.resume)

        def knows() -> bool:
            said = zombie.program.log.read_text()
            return "lease_lost" in said or "command_left_to_its_owner" in said

        await until(knows, 30, interval_s=0.1, what="the zombie knows that it lost its lease")
        assert await asyncio.to_thread(world.row, running.command_id) == final


async def test_a_zombie_that_wakes_while_another_works_writes_no_byte(world: World, talk) -> None:
    async with talk() as running:
        zombie = running.owner
        await asyncio.to_thread(zombie.pause)
        await asyncio.sleep(0.2)
        await running.grows()
        taken = await asyncio.to_thread(world.row, running.command_id)
        await asyncio.to_thread(zombie.resume)
        await running.grows()
        await running.grows()
        later = await asyncio.to_thread(world.row, running.command_id)
        assert (later["owner"], later["fence"]) == (taken["owner"], taken["fence"])
        await running.ends_well()


@pytest.mark.parametrize("how", ["cut", "freeze"])
async def test_a_replica_without_nats_goes_on_itself(world: World, talk, how: str) -> None:
    async with talk() as running:
        await asyncio.to_thread(getattr(running.owner.to_nats, how))
        await asyncio.sleep(0.2)
        took_s = await running.grows() + 0.2
        print(f"{how} from NATS: {took_s:.1f} s")
        assert took_s < TAKEOVER_S
        await running.ends_well()


async def test_all_replicas_without_nats_lose_nothing(world: World, talk) -> None:
    async with talk() as running:
        await asyncio.to_thread(world.nats.kill9)
        for _ in range(5):
            await running.grows()
        await asyncio.to_thread(world.do, world.nats.restart)
        await running.grows()
        await running.ends_well()


async def test_postgresql_away_delays_and_loses_nothing(world: World, talk, request: pytest.FixtureRequest) -> None:
    async with talk() as running:
        await asyncio.to_thread(world.postgres.kill9)
        await asyncio.sleep(request.config.getoption("--chaos-away-seconds"))
        await asyncio.to_thread(world.do, world.postgres.restart)
        print(f"postgresql back: {await running.grows(60):.1f} s")
        await running.ends_well()
