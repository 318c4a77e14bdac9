"""What Prometheus sees of output on its way, of schedules, and of what is open."""

import asyncio
from datetime import timedelta

import pytest
from executor_samples import NOON, OneRow, command, schedule
from prometheus_client import REGISTRY

from myx_executor.domain.log import LogBytes
from myx_executor.store.commands import Owned
from myx_executor.usecases import origins
from myx_executor.usecases.census import Census
from myx_executor.usecases.runner import Runner
from myx_executor.usecases.schedules.slots import Slots
from myx_executor.usecases.sink import LogSink, Pressure
from myx_kit import correlation
from myx_kit.ids import new_id
from myx_testkit.wait import until

HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Ledger:
    size = 0

    def __init__(self) -> None:
        self.written = asyncio.Event()

    async def append(self, pieces):
        self.written.set()


async def test_how_long_output_waits_and_how_much_of_it_is_shown():
    pressure, ledger = Pressure(), Ledger()
    Census(object(), pressure)
    before = value("myx_executor_log_store_lag_seconds_count")
    sink = LogSink(ledger, pressure)
    await sink.feed(LogBytes(1, 0, b"x" * 1000))
    assert value("myx_executor_log_buffered_bytes") >= 1000
    task = asyncio.create_task(sink.run())
    await ledger.written.wait()
    sink.end()
    await task
    assert value("myx_executor_log_store_lag_seconds_count") == before + 1
    assert value("myx_executor_log_buffered_bytes") == 0


class Rows:
    """A pool that answers what is open."""

    async def rows(self, _statement):
        return [("running", 5, 1), ("queued", 2, 0)]


async def test_what_is_open_is_counted_by_status_and_what_nobody_works_on():
    await Census(Rows(), Pressure()).measure()
    assert value("myx_executor_open_commands", status="running") == 5
    assert value("myx_executor_open_commands", status="cancelling") == 0
    assert value("myx_executor_unowned_commands") == 1


class Fires:
    def __init__(self, schedule, now):
        self.due_once = [(schedule, now)]

    async def due(self, _limit):
        due, self.due_once = self.due_once, []
        return due

    async def advance(self, schedule, due, decided):
        return len(due.fires) - len(decided)


async def look_at(schedule, now):
    slots = Slots(Fires(schedule, now), grace_s=60, on_made=lambda: None, on_event=lambda: None)
    await slots.run_once()


async def test_how_late_schedules_fire_and_what_they_miss():
    late, missed = value("myx_executor_schedule_lateness_seconds_sum"), value("myx_executor_missed_fires_total")
    await look_at(schedule(), NOON + timedelta(seconds=7))
    assert value("myx_executor_schedule_lateness_seconds_sum") == late + 7
    assert value("myx_executor_missed_fires_total") == missed
    await look_at(schedule(paused=True), NOON + timedelta(seconds=7))
    assert value("myx_executor_missed_fires_total") == missed + 1


async def test_work_that_waited_belongs_to_the_request_that_it_came_from():
    work_id, other = new_id(), new_id()
    correlation.enter("run-1", HEADER)
    origins.remember(work_id)
    correlation.enter("", "")
    origins.remember(other)
    origins.recall(other, None)
    assert correlation.outgoing() == ()
    origins.recall(None, work_id)
    assert correlation.outgoing() == (("myx-request-id", "run-1"), ("traceparent", HEADER))
    correlation.enter("run-2", "")
    origins.recall(work_id)
    assert correlation.outgoing() == (("myx-request-id", "run-2"),)
    correlation.enter("", "")


class Endless:
    dies_with_us = False

    async def run(self):
        await asyncio.Event().wait()


@pytest.mark.parametrize("taken_by_another", [True, False])
async def test_commands_that_are_taken_and_lost_are_counted(taken_by_another):
    store = OneRow(Owned(command(), None), renews=False, taken_by_another=taken_by_another)
    runner = Runner("me", store, lambda _owned, _lease: Endless(), max_active=2, lease_s=10)
    taken, lost = value("myx_executor_claimed_commands_total"), value("myx_executor_lost_leases_total")
    await runner.sweep_once()
    assert value("myx_executor_claimed_commands_total") == taken + 1
    assert value("myx_executor_active_commands") == 1
    await asyncio.sleep(0)
    await runner.renew_once()
    # What a cancel ended before it was sent is not lost to anyone.
    assert value("myx_executor_lost_leases_total") == lost + taken_by_another
    await until(lambda: value("myx_executor_active_commands") == 0)
    await runner.close(1)
