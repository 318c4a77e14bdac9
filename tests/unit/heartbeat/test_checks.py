"""Checks with a probe that answers as the test says, on a clock that stands still."""

import asyncio
from dataclasses import replace

import pytest

from myx_heartbeat.domain import Outcome, Status
from myx_heartbeat.loops import Dispatcher
from myx_heartbeat.usecases.checks import Checks
from myx_heartbeat.usecases.doubt import CAUSE, Doubt
from myx_heartbeat.usecases.fleet import Agent
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


class Network:
    is_broken = False


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def doubt(clock, network):
    return Doubt(clock, max_s=300, calm_s=120, recent_s=60, is_cut_off=lambda: network.is_broken)


class FakeRegistry:
    """What it says of agents, and how often it was asked."""

    def __init__(self):
        self.endpoints = {}
        self.asked = []

    async def newest(self, agent_id):
        self.asked.append(agent_id)
        return self.endpoints.get(agent_id)


@pytest.fixture
def registry():
    return FakeRegistry()


@pytest.fixture
async def checks(fleet, schedule, reports, probe, watch, clock, calendar, doubt, registry):
    owner = TaskOwner("test")
    yield Checks(
        fleet,
        schedule,
        reports,
        probe,
        watch,
        newest=registry.newest,
        doubt=doubt,
        concurrency=8,
        slow_after_s=2,
        clock=clock,
        now=calendar,
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


def knows_its_new_token(asked):
    return Outcome(cause="" if asked.agent_token == "new" else "unauthorized")


@pytest.mark.parametrize("is_ours", [True, False])
async def test_an_agent_whose_identity_was_changed_before_we_heard_of_it_is_asked_again(
    checks, fleet, endpoint, probe, reports, registry, is_ours
):
    probe.outcomes["a"] = knows_its_new_token
    registry.endpoints["id-a"] = replace(endpoint("a"), agent_token="new")
    fleet.replace([endpoint("a")] if is_ours else [], checks.is_running)
    told = await checks.check_now(fleet.get("id-a") or Agent(endpoint("a"), Status.ONLINE))

    assert (told.status, probe.asked, registry.asked) == (Status.ONLINE, ["a", "a"], ["id-a"])
    assert reports.take() == [told]


@pytest.mark.parametrize("cause", ["unauthorized", "wrong_path", "pin_mismatch"])
@pytest.mark.parametrize("change", [None, {}, {"agent_token": "new", "quarantined": True}])
async def test_an_agent_that_refuses_us_and_is_called_as_before_is_offline_at_once(
    checks, fleet, endpoint, probe, registry, cause, change
):
    probe.outcomes["a"] = Outcome(cause=cause)
    if change is not None:
        registry.endpoints["id-a"] = replace(endpoint("a"), **change)
    fleet.replace([endpoint("a")], checks.is_running)
    told = await checks.check_now(fleet.get("id-a"))

    assert (told.status, told.outcome.cause) == (Status.OFFLINE, cause)
    assert (probe.asked, registry.asked) == (["a"], ["id-a"])


@pytest.mark.parametrize(("status", "cause"), [(Status.OFFLINE, "unauthorized"), (Status.ONLINE, "bad_request")])
async def test_the_registry_is_not_asked_about_who_was_offline_or_fails_otherwise(
    checks, fleet, endpoint, probe, registry, status, cause
):
    probe.outcomes["a"] = Outcome(cause=cause)
    fleet.replace([endpoint("a", status)], checks.is_running)
    await checks.check_now(fleet.get("id-a"))

    assert (probe.asked, registry.asked) == (["a"], [])


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


async def leaves_while_it_is_checked(checks, fleet, one, clock, probe):
    """Its check goes on until the event `probe.go` of its name is set."""
    probe.go[one.server_name] = asyncio.Event()
    fleet.replace([one], checks.is_running)
    clock.now += 1
    checks.start_due()
    await settled()
    fleet.replace([], checks.is_running)


async def test_an_agent_that_left_and_came_back_while_it_was_checked_is_checked_again(
    checks, fleet, endpoint, clock, probe, schedule
):
    await leaves_while_it_is_checked(checks, fleet, endpoint("a"), clock, probe)
    fleet.replace([endpoint("a")], checks.is_running)
    assert schedule.next_due(Lane.LIVING) is None
    probe.go["a"].set()
    await settled()

    assert schedule.next_due(Lane.LIVING) == clock.now + 40


async def test_an_agent_that_becomes_ours_while_somebody_asks_for_its_check_is_checked_again(
    checks, fleet, endpoint, clock, probe, schedule
):
    probe.go["a"] = asyncio.Event()
    asked = asyncio.ensure_future(checks.check_now(Agent(endpoint("a"), Status.ONLINE)))
    await settled()
    fleet.replace([endpoint("a")], checks.is_running)
    probe.go["a"].set()
    await asked
    await settled()

    assert schedule.next_due(Lane.LIVING) == clock.now + 40


async def test_a_new_agent_whose_check_broke_is_asked_again_soon(checks, fleet, endpoint, clock, probe, schedule):
    probe.outcomes["a"] = RuntimeError("a fault of ours")
    fleet.replace([endpoint("a", Status.PENDING)], checks.is_running)
    clock.now += 1
    checks.start_due()
    await settled()

    assert schedule.next_due(Lane.SUSPECT) == clock.now + 3


@pytest.mark.parametrize("comes_back", [False, True])
async def test_a_slow_check_of_an_agent_that_is_gone_is_no_sign(
    checks, fleet, endpoint, clock, probe, comes_back, doubt
):
    await leaves_while_it_is_checked(checks, fleet, endpoint("a"), clock, probe)
    fleet.replace([endpoint("a")] if comes_back else [], checks.is_running)
    clock.now += 2
    checks.start_due()

    assert not doubt.failing
    probe.go["a"].set()


async def test_a_slow_check_is_told_though_no_slot_is_free_and_nothing_else_is_due(
    checks, fleet, endpoint, clock, probe, doubt
):
    dead = [endpoint(f"dead-{number}", Status.OFFLINE) for number in range(10)]
    unsure = endpoint("unsure", Status.UNKNOWN)
    probe.go = {one.server_name: asyncio.Event() for one in (*dead, endpoint("dying"), unsure)}
    checks._free[Lane.SUSPECT] = 1
    fleet.replace([unsure], checks.is_running)
    clock.now += 1
    checks.start_due()
    fleet.replace([*dead, unsure, endpoint("dying")], checks.is_running)
    clock.now += 1
    assert checks.start_due() == 1
    clock.now += 1
    assert checks.start_due() == 1
    assert doubt.failing == ["id-unsure"]
    clock.now += 1
    checks.start_due()

    assert doubt.failing == ["id-unsure", "id-dying"]
    for event in probe.go.values():
        event.set()


async def test_others_are_asked_when_a_check_takes_long(checks, fleet, endpoint, clock, probe, schedule):
    names = [f"living-{number}" for number in range(8)]
    everyone = [endpoint(name) for name in ("dying", "dying-too", *names)]
    probe.go = {name: asyncio.Event() for name in ("dying", "dying-too")}
    checks._free[Lane.LIVING] = 100
    fleet.replace(everyone, checks.is_running)
    for name in names:
        schedule.put(f"id-{name}", clock.now + 60, Lane.LIVING)
    schedule.put("id-dying-too", clock.now + 2, Lane.LIVING)
    clock.now += 1
    checks.start_due()
    assert checks.start_due() == 1
    await settled()
    assert probe.asked == ["dying"]
    clock.now += 2
    checks.start_due()
    await settled()
    assert probe.asked[:2] == ["dying", "dying-too"]
    assert len(probe.asked) == 1 + 5
    clock.now += 2
    checks.start_due()
    await settled()
    assert len(probe.asked) == 1 + 5, "not again so soon"
    assert checks.start_due() == 3
    clock.now += 3
    checks.start_due()
    await settled()
    assert len(probe.asked) == 1 + 5 + 5, "the second one is still slow"
    clock.now += 5
    checks.start_due()
    await settled()
    assert len(probe.asked) == 1 + 5 + 5, "once for each"
    for event in probe.go.values():
        event.set()


@pytest.mark.parametrize("why", ["it answers", "a suspicion"])
async def test_others_are_not_asked_later_for_a_slow_check(checks, fleet, endpoint, clock, probe, doubt, report, why):
    probe.go = {name: asyncio.Event() for name in ("dying", "late")}
    fleet.replace([endpoint(name) for name in ("dying", "late")], checks.is_running)
    clock.now += 1
    for _ in range(2):
        await settled()
        checks.start_due()
    checks._witnesses_at = clock.now
    clock.now += 2
    assert checks.start_due() == 3
    if why == "a suspicion":
        for number in range(3):
            doubt.consider(report(f"other-{number}", "filtered"), before=Status.ONLINE)
    else:
        for event in probe.go.values():
            event.set()
        await settled()
    assert checks.start_due() == (None if why == "a suspicion" else 40)
    for event in probe.go.values():
        event.set()


class Timers:
    """The dispatcher's waits on the fake clock."""

    def __init__(self, clock):
        self.clock = clock
        self.ends = []

    async def wait(self, event, timeout_s):
        end = asyncio.Event()
        self.ends.append((self.clock.now + timeout_s, end))
        waits = [asyncio.ensure_future(one.wait()) for one in (event, end)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def advance(self, seconds):
        await settled(100)
        self.clock.now += seconds
        for at, end in self.ends:
            if at <= self.clock.now:
                end.set()
        await settled(100)


async def test_others_are_asked_when_a_check_that_somebody_asked_for_takes_long(
    checks, fleet, endpoint, clock, probe, schedule, monkeypatch
):
    timers = Timers(clock)
    checks._free[Lane.LIVING] = 100
    monkeypatch.setattr("myx_heartbeat.loops._wait", timers.wait)
    monkeypatch.setattr("myx_heartbeat.loops._GAP_S", 0)
    names = [f"host-{number}" for number in range(5)]
    probe.go = {name: asyncio.Event() for name in names}
    probe.outcomes = dict.fromkeys(names, Outcome(cause="filtered"))
    fleet.replace([endpoint(name) for name in names], checks.is_running)
    for name in names:
        schedule.put(f"id-{name}", clock.now + 40, Lane.LIVING)
    async with TaskOwner("test") as owner:
        owner.start(Dispatcher(checks).run(), name="dispatch")
        await settled()
        asked = asyncio.ensure_future(checks.check_now(fleet.get("id-host-0")))
        await timers.advance(2)
        assert probe.asked[0] == "host-0"
        assert sorted(probe.asked) == names
        await timers.advance(2)
        for name in names:
            probe.go[name].set()
        assert (await asked).status is Status.UNKNOWN
        await settled()

    assert {fleet.get(f"id-{name}").status for name in names} == {Status.UNKNOWN}


@pytest.mark.parametrize("why", ["cut off", "suspicious", "healthy"])
async def test_an_agent_of_another_replica_is_said_to_be_offline_by_a_replica_without_doubt_only(
    checks, fleet, endpoint, probe, reports, network, doubt, report, why
):
    if why == "suspicious":
        for number in range(3):
            doubt.consider(report(f"ours-{number}", "filtered"), before=Status.ONLINE)
    network.is_broken = why == "cut off"
    probe.outcomes["a"] = Outcome(cause="filtered", message="no answer")
    told = await checks.check_now(Agent(endpoint("a"), Status.ONLINE))

    if why == "healthy":
        assert (told.status, told.outcome.cause, told.is_transition) == (Status.OFFLINE, "filtered", True)
        assert reports.take() == [told]
    else:
        assert (told.status, told.outcome.cause, told.is_transition) == (Status.UNKNOWN, CAUSE, False)
        assert "no answer" in told.outcome.message
        assert len(reports) == 0


async def test_a_replica_in_doubt_still_tells_that_an_agent_of_another_one_answers(checks, endpoint, reports, network):
    network.is_broken = True
    told = await checks.check_now(Agent(endpoint("a"), Status.OFFLINE))

    assert (told.status, reports.take()) == (Status.ONLINE, [told])
