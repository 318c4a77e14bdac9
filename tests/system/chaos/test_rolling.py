"""Every service is restarted, one after the other, while commands run and are watched."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from myx_testkit.chaos.parts import Part
from myx_testkit.chaos.talk import talking
from myx_testkit.chaos.viewer import Api
from myx_testkit.chaos.world import World, listens
from myx_testkit.wait import until

pytestmark = pytest.mark.timeout(400)


async def restart(world: World, part: Part) -> None:
    """As an orchestrator does: SIGTERM, the end, a new one that serves."""
    await asyncio.to_thread(part.terminate)
    await until(lambda: not part.program.is_running(), 40, interval_s=0.05, what=f"{part.name} ends")
    assert part.program.process is not None
    assert part.program.process.returncode == 0, part.name
    await asyncio.to_thread(world.do, part.start)
    await until(lambda: listens(part.port), 60, interval_s=0.05, what=f"{part.name} serves again")


async def test_no_run_fails_and_every_viewer_has_every_byte_once(world: World, api: Api, tmp_path) -> None:
    async with AsyncExitStack() as stack:
        talks = [
            await stack.enter_async_context(talking(world, api, tmp_path, host.name))
            for host in (*world.hosts, world.hosts[0])
        ]
        for part in world.parts:
            await restart(world, part)
            await asyncio.gather(*(talk.grows() for talk in talks))
        viewers = [viewer for talk in talks for viewer in await talk.ends_well()]
    assert all(viewer.reconnects for viewer in viewers), "each gateway was restarted once"
    assert max(viewer.longest_pause_s for viewer in viewers) < 20
