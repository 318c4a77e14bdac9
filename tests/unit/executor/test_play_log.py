"""A database that is away delays a play and neither ends it nor loses an event of it."""

import asyncio
from types import SimpleNamespace
from uuid import uuid4

import pytest

from myx_executor.domain.command import LeaseLost
from myx_executor.usecases import patience
from myx_executor.usecases.deployments import agent_work, play_log
from myx_executor.usecases.deployments.ports import PlayEvent
from myx_kit.errors import Unavailable

AN_HOUR = 3600.0


class Clock:
    """Stands in for `asyncio` where a database is waited for: pauses cost nothing."""

    def __init__(self):
        self.now = 0.0

    def get_running_loop(self):
        return SimpleNamespace(time=lambda: self.now)

    async def sleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)


class Run:
    """As far as the events of a play need one; the database is away for the first hour."""

    def __init__(self, clock, *, is_ours=True):
        self._clock, self._is_ours = clock, is_ours
        self.stored = []
        self.server_id = "server"
        self.deployment = SimpleNamespace(id=uuid4(), state={})
        self.lease = SimpleNamespace(command=SimpleNamespace(fence=1))
        base = SimpleNamespace(logs=self)
        self.tools = SimpleNamespace(store=self, base=base, bells=SimpleNamespace(ring=lambda _: None), fleet=self)

    def _ask(self):
        if self._clock.now < AN_HOUR:
            raise Unavailable("DATABASE_UNAVAILABLE", "away")

    async def last_event(self, deployment_id):
        self._ask()
        return len(self.stored)

    async def last_failure(self, deployment_id):
        self._ask()
        return {"task": "Sleep", "message": "tired"}

    async def add_events(self, deployment_id, fence, events):
        self._ask()
        self.stored += [number for number, _ in events]
        return self._is_ours

    async def page(self, command_id, offset, span):
        self._ask()
        return []


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(patience, "asyncio", clock)
    return clock


def event(number):
    return PlayEvent(number, {"type": "task"})


async def test_events_are_stored_when_the_database_is_back(clock):
    run = Run(clock)
    events = await play_log.PlayEvents.open(run, 0)
    assert clock.now >= AN_HOUR
    clock.now = 0.0
    await events.add([event(1)])
    assert (run.stored, events.taken) == ([1], 1)


async def test_a_play_that_another_replica_has_by_then_is_left(clock):
    events = play_log.PlayEvents(Run(clock, is_ours=False), 0, 0)
    with pytest.raises(LeaseLost):
        await events.add([event(1)])


async def test_why_a_play_failed_and_what_is_stored_of_its_log_are_waited_for(clock):
    assert await play_log.why_failed(Run(clock)) == "Sleep: tired"
    clock.now = 0.0
    run = Run(clock)
    run.sink = SimpleNamespace(received=10)
    await agent_work._Feed(run, 0).hash_stored()
    assert clock.now >= AN_HOUR


async def test_storing_the_last_events_takes_none_of_the_agents_time(monkeypatch):
    monkeypatch.setattr(agent_work, "_LAST_EVENTS_S", 0.2)
    monkeypatch.setattr(agent_work, "_STORE_S", 0.0)
    run = Run(SimpleNamespace(now=AN_HOUR))
    left = [[event(1)], [event(2)], []]
    back = asyncio.Event()

    async def add_events(deployment_id, fence, events):
        if not run.stored:
            asyncio.get_running_loop().call_later(0.4, back.set)
            await back.wait()
        run.stored += [number for number, _ in events]
        return True

    async def play_events(server_id, command_id, after, *, wait_s):
        events = left.pop(0)
        return events, not events

    run.add_events, run.play_events = add_events, play_events
    await agent_work._last_events(run, uuid4(), {"events_at": 0})
    assert run.stored == [1, 2]
