"""A command that talks until it is told to end, whoever owns it, and viewers of what it says."""

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from myx_testkit.chaos.parts import Replica
from myx_testkit.chaos.viewer import Api, Viewer
from myx_testkit.chaos.world import World
from myx_testkit.wait import until

EXIT = 5
# Numbered lines on both streams until a file appears, then an exit code of its own.
TALKER = """
import os, sys, time
n = 0
while not os.path.exists(sys.argv[1]) and n < 20000:
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
    """One talking command. `watching` ends with the command."""

    world: World
    api: Api
    command_id: str
    watching: Sequence["asyncio.Task[Viewer]"]
    until_file: Path

    async def owner(self) -> Replica:
        """The replica that works on it now."""
        return await asyncio.to_thread(self.world.owner_of, self.command_id)

    async def size(self) -> int:
        """Bytes that are stored; read beside all ways."""
        return int((await asyncio.to_thread(self.world.row, self.command_id))["log_size"])

    async def grows(self, within_s: float = 30) -> float:
        """Seconds until another byte was stored."""
        began, size = time.monotonic(), await self.size()

        async def more() -> bool:
            return await self.size() > size

        grown: bool = await until(more, within_s, interval_s=0.05, what="the stored log grows")
        assert grown
        return time.monotonic() - began

    async def ends_well(self) -> list[Viewer]:
        """Let it end: everybody has seen every byte once, and so it is stored."""
        self.until_file.touch()
        viewers = [await task for task in self.watching]
        final = await self.api.final(self.command_id)
        assert (final["status"], final["exit_code"], final["log_completeness"]) == ("failed", EXIT, "complete"), final
        count = int(viewers[0].output[1].splitlines()[-1].split()[1])
        out = b"".join(b"%d\n" % n for n in range(count)) + b"end %d\n" % count
        err = b"".join(b"e%d\n" % n for n in range(0, count, 10))
        for viewer in viewers:
            assert (bytes(viewer.output[1]), bytes(viewer.output[2]), viewer.gaps) == (out, err, [])
        assert final["log_size_bytes"] == len(out) + len(err)
        print("pauses", [f"{one.longest_pause_s:.1f} s" for one in viewers], [one.why[:-1] for one in viewers])
        return viewers


@asynccontextmanager
async def talking(
    world: World, api: Api, folder: Path, server: str = "host-0", viewers: int = 2
) -> AsyncIterator[Talk]:
    """A talking command and its viewers, once its first bytes are stored."""
    key = f"talk-{secrets.token_hex(6)}"
    until_file = folder / key
    command_id = await api.run(key, server, sys.executable, "-Sc", TALKER, str(until_file))
    watching = [asyncio.create_task(Viewer(api, command_id).watch()) for _ in range(viewers)]
    talk = Talk(world, api, command_id, watching, until_file)
    try:
        await talk.grows()
        yield talk
    finally:
        until_file.touch()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
