"""Checks with a probe that answers as the test says, on a clock that stands still."""

import asyncio

import pytest

from myx_heartbeat.domain import Outcome, Status
from myx_heartbeat.usecases.checks import Checks
from myx_heartbeat.usecases.doubt import Doubt
from myx_heartbeat.usecases.pauses import PauseWatch
from myx_heartbeat.usecases.reports import Reports
from myx_heartbeat.usecases.schedule import Lane
from myx_kit.loops import TaskOwner


class FakeProbe:
    """Waits for `go` of an agent where there is one, then answers what `outcomes` says (nothing: alive)."""

    def __init__(self):
        self.asked = []
        self.retries = []
        self.go = {}
        self.outcomes = {}

    async def __call__(self, endpoint, *, retry):
        self.asked.append(endpoint.server_name)
        self.retries.append(retry)
        if endpoint.server_name in self.go:
            await self.go[endpoint.server_name].wait()
        outcome = self.outcomes.get(endpoint.server_name, Outcome())
        if isinstance(outcome, Exception):
            raise outcome
        return outcome(endpoint) if callable(outcome) else outcome


@pytest.fixture
def probe():
    return FakeProbe()


@pytest.fixture
def reports():
    return Reports(100)


@pytest.fixture
def watch(clock):
    return PauseWatch(clock)


@pytest.fixture
async def checks(fleet, schedule, reports, probe, watch, clock):
    owner = TaskOwner("test")
    yield Checks(
        fleet,
        schedule,
        reports,
        probe,
        watch,
        doubt=Doubt(clock, max_s=300, calm_s=120),
        concurrency=8,
        slow_after_s=2,
        clock=clock,
        owner=owner,
    )
    await owner.close()


async def settled(turns=20):
    for _ in range(turns):
        await asyncio.sleep(0)


async def test_due_agents_are_checked_and_reported(checks, fleet, endpoint, clock, reports, probe):
    fleet.replace([endpoint("a"), endpoint("b")], checks.is_running)
    clock.now += 1

    assert checks.start_due() == 2
    await settled()

    assert sorted(probe.asked) == ["a", "b"]
    assert {one.agent_id: one.status for one in reports.take()} == {"id-a": "online", "id-b": "online"}
    assert checks.start_due() == 40


async def test_dead_agents_leave_slots_to_the_living(checks, fleet, endpoint, clock, probe):
    dead = [endpoint(f"dead-{number}", Status.OFFLINE) for number in range(50)]
    probe.go = {one.server_name: asyncio.Event() for one in dead}
    fleet.replace([*dead, endpoint("living")], checks.is_running)
    clock.now += 1

    checks.start_due()
    await settled()

    assert "living" in probe.asked
    assert len(probe.asked) == 6 + 1
    for event in probe.go.values():
        event.set()


async def test_checks_that_are_all_due_are_not_started_in_one_turn(checks, fleet, endpoint, clock, probe, monkeypatch):
    monkeypatch.setattr("myx_heartbeat.usecases.checks._STARTS_AT_ONCE", 1)
    for lane in Lane:
        checks._free[lane] = 8
    fleet.replace([endpoint(f"living-{number}") for number in range(3)], checks.is_running)
    clock.now += 1

    assert checks.start_due() == 0
    await settled()
    assert len(probe.asked) == 1

    checks.start_due()
    checks.start_due()
    await settled()
    assert len(probe.asked) == 3


async def test_a_free_slot_is_used_at_once(checks, fleet, endpoint, clock, probe):
    dead = [endpoint(f"dead-{number}", Status.OFFLINE) for number in range(7)]
    probe.go = {one.server_name: asyncio.Event() for one in dead}
    fleet.replace(dead, checks.is_running)
    clock.now += 1
    checks.start_due()
    await settled()
    checks.changed.clear()

    probe.go[probe.asked[0]].set()
    await asyncio.wait_for(checks.changed.wait(), 1)
    checks.start_due()
    await settled()

    assert len(probe.asked) == 7
    for event in probe.go.values():
        event.set()


async def test_a_check_that_takes_long_gives_its_slot_to_the_next_living_agent(checks, fleet, endpoint, clock, probe):
    dying = [endpoint(f"dying-{number}") for number in range(2)]
    probe.go = {one.server_name: asyncio.Event() for one in dying}
    fleet.replace(dying, checks.is_running)
    clock.now += 1
    assert checks.start_due() == 2
    fleet.replace([*dying, endpoint("living")], checks.is_running)
    clock.now += 1
    assert checks.start_due() == 1
    await settled()
    assert len(probe.asked) == 2

    clock.now += 1
    checks.start_due()
    await settled()

    assert probe.asked[2] == "living"
    for event in probe.go.values():
        event.set()


async def test_a_clock_skew_is_not_offline(checks, fleet, endpoint, clock, probe, reports):
    probe.outcomes["a"] = Outcome(cause="clock_skew")
    fleet.replace([endpoint("a")], checks.is_running)
    clock.now += 1
    checks.start_due()
    await settled()

    (report,) = reports.take()
    assert report.status is Status.UNKNOWN


async def test_checks_asked_for_at_the_same_time_share_one(checks, fleet, endpoint, probe):
    probe.go["a"] = asyncio.Event()
    fleet.replace([endpoint("a")], checks.is_running)
    asked = [asyncio.ensure_future(checks.check_now(fleet.get("id-a"))) for _ in range(3)]
    await settled()
    probe.go["a"].set()

    first, *others = await asyncio.gather(*asked)

    assert probe.asked == ["a"]
    assert all(other is first for other in others)


async def test_a_check_goes_on_when_who_asked_for_it_leaves(checks, fleet, endpoint, probe, reports):
    probe.go["a"] = asyncio.Event()
    fleet.replace([endpoint("a")], checks.is_running)
    asked = asyncio.ensure_future(checks.check_now(fleet.get("id-a")))
    await settled()
    asked.cancel()
    await settled()
    probe.go["a"].set()
    await settled()

    assert len(reports) == 1


async def test_a_check_that_is_asked_for_runs_once_though_it_is_due(checks, fleet, endpoint, clock, probe):
    probe.go["a"] = asyncio.Event()
    fleet.replace([endpoint("a")], checks.is_running)
    asked = asyncio.ensure_future(checks.check_now(fleet.get("id-a")))
    await settled()
    clock.now += 100
    checks.start_due()
    await settled()
    probe.go["a"].set()
    await asked

    assert probe.asked == ["a"]


async def test_a_failure_across_a_pause_of_ours_is_asked_again(checks, fleet, endpoint, clock, probe, reports, watch):
    def paused(_):
        probe.outcomes["a"] = Outcome()
        clock.now += 120
        return Outcome(cause="hung")

    probe.outcomes["a"] = paused
    fleet.replace([endpoint("a")], checks.is_running)
    clock.now += 1
    checks.start_due()
    await settled()

    assert probe.asked == ["a", "a"]
    (report,) = reports.take()
    assert report.status is Status.ONLINE


async def test_an_outcome_of_an_old_address_is_asked_again(checks, fleet, endpoint, clock, probe, reports):
    def moved(_):
        probe.outcomes["a"] = Outcome()
        fleet.replace([endpoint("a", port=2)], checks.is_running)
        return Outcome(cause="refused")

    probe.outcomes["a"] = moved
    fleet.replace([endpoint("a")], checks.is_running)
    clock.now += 1
    checks.start_due()
    await settled()

    assert probe.asked == ["a", "a"]
    (report,) = reports.take()
    assert report.status is Status.ONLINE


async def test_an_outcome_counts_though_the_registry_has_another_status_meanwhile(
    checks, fleet, endpoint, clock, probe, reports
):
    def noted(_):
        fleet.replace([endpoint("a", Status.OFFLINE, revision=2)], checks.is_running)
        return Outcome(cause="refused")

    probe.outcomes["a"] = noted
    fleet.replace([endpoint("a")], checks.is_running)
    clock.now += 1
    checks.start_due()
    await settled()

    assert probe.asked == ["a"]
    (report,) = reports.take()
    assert report.outcome.cause == "refused"


async def test_a_new_agent_is_asked_without_retries_until_it_answers(checks, fleet, endpoint, clock, probe, reports):
    probe.outcomes["a"] = Outcome(cause="refused")
    fleet.replace([endpoint("a", Status.PENDING)], checks.is_running)
    clock.now += 1
    checks.start_due()
    await settled()
    assert (probe.retries, len(reports), checks.start_due()) == ([False], 0, 3)

    probe.outcomes["a"] = Outcome()
    clock.now += 3
    checks.start_due()
    await settled()

    (report,) = reports.take()
    assert (report.status, report.is_transition) == (Status.ONLINE, True)


async def test_a_check_that_breaks_does_not_lose_its_agent(checks, fleet, endpoint, clock, probe, schedule):
    probe.outcomes["a"] = RuntimeError("a fault of ours")
    fleet.replace([endpoint("a")], checks.is_running)
    clock.now += 1
    checks.start_due()
    await settled()

    assert not checks.is_running("id-a")
    assert len(schedule) == 1
