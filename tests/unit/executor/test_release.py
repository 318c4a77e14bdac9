"""Letting agents forget what is stored: one that says nothing holds up nobody."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from uuid import uuid4

from myx_executor.adapters.agents import KitAgents
from myx_executor.usecases.ports import AgentFailed, ServerGone
from myx_executor.usecases.release import Releaser
from myx_kit.agent_rpc.client import AgentClient
from myx_kit.errors import Unavailable
from myx_testkit.wait import until


class Store:
    def __init__(self):
        self.released = []

    async def mark_released(self, command_ids):
        self.released += command_ids


class Agents:
    """Those of servers named `silent-…` say nothing until `told`; one of `script` raises what stands there."""

    def __init__(self, **script):
        self.script = script
        self.told = asyncio.Event()
        self.waiting = self.most = 0
        self.answered = []

    async def release(self, server_id, command_ids):
        if server_id in self.script:
            raise self.script[server_id]
        if server_id.startswith("silent"):
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            await self.told.wait()
            self.waiting -= 1
        self.answered.append(server_id)
        return command_ids


@asynccontextmanager
async def turn(releaser):
    task = asyncio.create_task(releaser.run_once())
    yield task
    await task


async def test_silent_agents_do_not_hold_up_the_others_and_are_waited_for_some_at_a_time():
    store, agents = Store(), Agents()
    releaser = Releaser(store, agents)
    for number in range(15):
        releaser.add(uuid4(), f"silent-{number}")
    for number in range(30):
        releaser.add(uuid4(), f"web-{number}")
    async with turn(releaser):
        await until(lambda: len(agents.answered) == 30)
        agents.told.set()
    assert len(store.released) == 45
    agents.told.clear()
    for number in range(50):
        releaser.add(uuid4(), f"silent-{number}")
    async with turn(releaser):
        await until(lambda: agents.waiting == 20)
        agents.told.set()
    assert agents.most == 20


async def test_what_an_agent_cannot_be_told_is_told_later():
    failed = AgentFailed("refused", "refused", retryable=True, maybe_delivered=False)
    store = Store()
    releaser = Releaser(store, Agents(away=failed, unknown=Unavailable("AWAY", "away"), gone=ServerGone("gone")))
    ids = {name: uuid4() for name in ("away", "unknown", "gone", "web")}
    for name, command_id in ids.items():
        releaser.add(command_id, name)
    assert await releaser.run_once() == 2
    assert store.released == [ids["gone"], ids["web"]]


class Client(AgentClient):
    def __init__(self):
        self.timeouts = []

    async def batch(self, target, calls, *, timeout_s=None, **_):
        self.timeouts.append(timeout_s)
        return [{} for _ in calls]


class Endpoints:
    async def endpoint(self, server):
        return SimpleNamespace(quarantined=False, target=None)


async def test_a_silent_agent_is_left_to_the_next_sweep_after_a_few_seconds():
    client = Client()
    assert len(await KitAgents(client, Endpoints()).release("s", [uuid4(), uuid4()])) == 2
    assert client.timeouts == [5.0]
