"""Every service is restarted, one after the other, while commands run, are watched, and are given without a pause."""

import asyncio
import secrets
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from myx_testkit.chaos.parts import Part
from myx_testkit.chaos.talk import talking
from myx_testkit.chaos.viewer import Api
from myx_testkit.chaos.world import World, listens
from myx_testkit.wait import until

pytestmark = pytest.mark.timeout(400)

MARK = 'echo ran >> "$0/$1"'


class Givers:
    """On every host short commands, each as soon as the one before has ended."""

    def __init__(self, world: World, api: Api, folder: Path) -> None:
        self._world, self._api, self._folder = world, api, folder
        self.given: list[str] = []
        self.failed: list[dict] = []
        self._enough = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for host in self._world.hosts:
                group.create_task(self._on(host.name))

    def stop(self) -> None:
        self._enough.set()

    async def _on(self, host: str) -> None:
        while not self._enough.is_set():
            key = f"short-{secrets.token_hex(8)}"
            self.given.append(key)
            command_id = await self._api.run(key, host, "/bin/sh", "-c", MARK, str(self._folder), key)
            final = await self._api.final(command_id, 90)
            if final["status"] != "success" or final["log_completeness"] != "complete":
                self.failed.append(final)

    def ran_other_than_once(self) -> dict[str, int]:
        """Marks of each command where they are not one."""
        marks = {key: self._folder / key for key in self.given}
        counts = {key: mark.read_text().count("ran\n") if mark.exists() else 0 for key, mark in marks.items()}
        return {key: count for key, count in counts.items() if count != 1}


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
        givers = Givers(world, api, tmp_path)
        giving = asyncio.create_task(givers.run())
        for part in world.parts:
            await restart(world, part)
            await asyncio.gather(*(talk.grows() for talk in talks))
        givers.stop()
        await giving
        viewers = [viewer for talk in talks for viewer in await talk.ends_well()]
    assert all(viewer.reconnects for viewer in viewers), "each gateway was restarted once"
    assert max(viewer.longest_pause_s for viewer in viewers) < 20
    print(f"{len(givers.given)} short commands meanwhile")
    assert (givers.failed, givers.ran_other_than_once()) == ([], {})
