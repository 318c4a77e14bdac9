"""What Prometheus sees of checks: how late they are, how long they take, what they come to."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from myx_heartbeat.domain import Outcome, Status
from myx_heartbeat.usecases.checks import OVERDUE, Checks
from myx_heartbeat.usecases.doubt import Doubt
from myx_heartbeat.usecases.pauses import PauseWatch
from myx_heartbeat.usecases.reports import Reports
from myx_kit.loops import TaskOwner


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def run(fleet, schedule, clock, calendar):
    """Checks whose probe answers what the dictionary says, a second late each."""
    outcomes: dict[str, Outcome] = {}

    async def probe(endpoint, *, retry):
        clock.now += 1
        return outcomes.get(endpoint.server_name, Outcome())

    async def newest(agent_id):
        return None

    async with TaskOwner("test") as owner:
        checks = Checks(
            fleet,
            schedule,
            Reports(100),
            probe,
            PauseWatch(clock),
            newest=newest,
            doubt=Doubt(clock, max_s=300, calm_s=120, recent_s=60),
            concurrency=100,
            slow_after_s=2,
            clock=clock,
            now=calendar,
            owner=owner,
        )

        async def run(endpoints, later_s):
            fleet.replace(endpoints, checks.is_running)
            clock.now += later_s
            checks.start_due()
            while len(owner):
                await asyncio.sleep(0)

        run.outcomes = outcomes
        yield run


async def test_a_check_shows_how_late_it_began_how_long_it_took_and_why_it_failed(run, endpoint):
    names = ("myx_heartbeat_schedule_lag_seconds", "myx_heartbeat_check_seconds")
    before = {name: (value(f"{name}_count"), value(f"{name}_sum")) for name in names}
    failed, offline = (
        value("myx_heartbeat_failed_checks_total", cause="refused"),
        value("myx_heartbeat_checks_total", status="offline"),
    )
    run.outcomes["dead"] = Outcome(cause="refused")
    await run([endpoint("alive"), endpoint("dead")], later_s=100)
    late, took = [(value(f"{name}_count") - before[name][0], value(f"{name}_sum") - before[name][1]) for name in names]
    assert late[0] == 2
    assert 190 < late[1] <= 200
    assert took[0] == 2
    assert took[1] >= 2
    assert value("myx_heartbeat_failed_checks_total", cause="refused") == failed + 1
    assert value("myx_heartbeat_checks_total", status="offline") == offline + 1


def test_what_is_due_and_has_not_begun_is_counted_when_somebody_looks(schedule, fleet, endpoint, clock):
    OVERDUE.set_function(lambda: len(schedule.overdue(clock())))
    fleet.replace([endpoint("a"), endpoint("b")], lambda _: False)
    assert value("myx_heartbeat_overdue_checks") == 0
    clock.now += 100
    assert value("myx_heartbeat_overdue_checks") == 2


def test_a_replica_that_suspects_itself_shows_it(clock, report):
    doubt = Doubt(clock, max_s=300, calm_s=120, recent_s=60)
    for name in "abcd":
        doubt.slow(f"id-{name}")
    doubt.consider(report("a", "filtered"), before=Status.ONLINE)
    assert value("myx_heartbeat_doubting") == 1
    doubt.believe("test")
    assert value("myx_heartbeat_doubting") == 0
