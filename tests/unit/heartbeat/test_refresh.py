"""The fleet as the registry has it, read once for all who want to know it now."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from myx_heartbeat.usecases.doubt import Doubt
from myx_heartbeat.usecases.refresh import Refresh
from myx_heartbeat.usecases.reports import Reports
from myx_kit.errors import Unavailable

T = datetime(2026, 1, 1, tzinfo=UTC)


class FakeRegistry:
    """Its readings wait for `go`."""

    def __init__(self):
        self.endpoints = []
        self.readings = 0
        self.away = False
        self.go = asyncio.Event()
        self.go.set()

    async def list_endpoints(self):
        self.readings += 1
        found = list(self.endpoints)
        await self.go.wait()
        if self.away:
            raise Unavailable("SERVICE_UNAVAILABLE", "away")
        return found


class IdleChecks:
    def __init__(self):
        self.changed = asyncio.Event()

    def is_running(self, agent_id):
        return False


class Calendar:
    now = T

    def __call__(self):
        return self.now


@pytest.fixture
def registry():
    return FakeRegistry()


@pytest.fixture
def calendar():
    return Calendar()


@pytest.fixture
def refresh(registry, fleet, clock, calendar):
    doubt = Doubt(clock, max_s=300, calm_s=120, recent_s=60)
    return Refresh(registry, fleet, IdleChecks(), Reports(100), doubt, is_mine=lambda agent_id: True, now=calendar)


async def test_many_who_ask_at_once_share_a_reading_that_began_after_they_asked(refresh, registry, endpoint):
    registry.endpoints = [endpoint("a")]
    registry.go.clear()
    early = asyncio.ensure_future(refresh.run_once())
    await asyncio.sleep(0)
    registry.endpoints = [replace(endpoint("a"), agent_token="new")]
    asked = [asyncio.ensure_future(refresh.newest("id-a")) for _ in range(100)]
    await asyncio.sleep(0)
    registry.go.set()
    found = await asyncio.gather(*asked)
    await early

    assert {one.agent_token for one in found} == {"new"}
    assert registry.readings == 2


async def test_what_was_known_is_believed_while_the_registry_is_away(refresh, registry, endpoint):
    registry.endpoints = [endpoint("a")]
    await refresh.run_once()
    registry.away = True
    registry.go.clear()
    asked = [asyncio.ensure_future(refresh.newest("id-a")) for _ in range(100)]
    await asyncio.sleep(0)
    registry.go.set()

    assert set(await asyncio.gather(*asked)) == {endpoint("a")}
    assert registry.readings == 1 + 2, "the first one's, and one for all who asked while that ran"


async def test_a_pause_ends_in_time_though_the_registry_is_away(refresh, registry, endpoint, fleet, calendar):
    paused = replace(endpoint("a"), paused_until=T + timedelta(minutes=1))
    longer = replace(endpoint("b"), paused_until=T + timedelta(minutes=2))
    registry.endpoints = [paused, longer, endpoint("c")]
    await refresh.run_once()
    registry.away = True
    for minutes, ours in ((0.9, 1), (1, 2), (1.5, 2), (2, 3)):
        calendar.now = T + timedelta(minutes=minutes)
        await refresh.resume()
        assert len(fleet) == ours
