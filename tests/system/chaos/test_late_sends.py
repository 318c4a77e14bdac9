"""What an executor had sent before it died may reach the agent long after another has taken over."""

import asyncio
import secrets
from pathlib import Path

import pytest

from myx_testkit.chaos.viewer import Api
from myx_testkit.chaos.world import World
from myx_testkit.wait import until

pytestmark = pytest.mark.timeout(300)

MARK = 'echo ran >> "$0"'
# Larger than all else that is on its way.
PADDING = 30_000


async def is_released(world: World, command_id: str) -> bool:
    row = await asyncio.to_thread(world.row, command_id)
    return bool(row["ended_at"]) and not row["release_pending"]


async def sent_and_held(world: World, api: Api, marks: Path, *, cancelled: bool) -> str:
    """A command that its executor has sent, that has not got to its agent, and whose executor is dead."""
    first, second, third = world.executors
    for other in (second, third):
        await asyncio.to_thread(other.kill9)
    # Now it has a connection, which is free when the agent was told of the end: the next call is sent on it.
    warm = await api.run(secrets.token_hex(8), "host-0", "true")
    await until(lambda: is_released(world, warm), 30, interval_s=0.1)
    way = world.hosts[0].way
    await asyncio.to_thread(way.hold)
    command_id = await api.run(secrets.token_hex(8), "host-0", "/bin/sh", "-c", MARK, str(marks), "x" * PADDING)
    await until(lambda: way.held_bytes > PADDING, 20, interval_s=0.05, what="it is on its way")
    if cancelled:
        assert (await api.cancel(command_id, 1.0))["status"] == "cancelling"
    await asyncio.to_thread(first.kill9)
    await asyncio.to_thread(world.do, second.start)
    return command_id


async def test_a_cancelled_command_is_not_started_by_what_was_still_on_its_way(
    world: World, api: Api, tmp_path: Path
) -> None:
    command_id = await sent_and_held(world, api, tmp_path / "marks", cancelled=True)
    final = await api.final(command_id)
    assert (final["status"], (tmp_path / "marks").exists()) == ("cancelled", False), final
    delivered = world.hosts[0].way.delivered
    await asyncio.to_thread(world.hosts[0].way.heal)
    await until(lambda: world.hosts[0].way.delivered > delivered, 20, interval_s=0.05, what="it has come through")
    # What comes later was read later: the agent has seen what was on its way when this one is over.
    await api.final(await api.run(secrets.token_hex(8), "host-0", "sleep", "1"))
    assert not (tmp_path / "marks").exists()


async def test_a_command_that_was_sent_twice_runs_once(world: World, api: Api, tmp_path: Path) -> None:
    command_id = await sent_and_held(world, api, tmp_path / "marks", cancelled=False)
    assert (await api.final(command_id))["status"] == "success"
    await asyncio.to_thread(world.hosts[0].way.heal)
    await api.final(await api.run(secrets.token_hex(8), "host-0", "sleep", "1"))
    assert (tmp_path / "marks").read_text() == "ran\n"
