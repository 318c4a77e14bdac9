"""Figures that are measured when somebody looks, and those of loops."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from prometheus_client import REGISTRY

from myx_kit import metrics
from myx_kit.errors import Unavailable
from myx_kit.loops import Loop, TaskOwner
from myx_kit.observe import observe
from myx_kit.settings import Settings
from myx_testkit.wait import until


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_measurements_are_made_only_when_somebody_looks_and_fail_alone():
    made = []

    async def good():
        made.append(1)

    async def away():
        raise Unavailable("DATABASE_UNAVAILABLE", "it is away")

    async def broken():
        raise ValueError

    ends = [metrics.before_scrape(one) for one in (away, broken, good)]
    assert made == []
    await metrics.measure()
    for end in ends:
        end()
        end()
    await metrics.measure()
    assert made == [1]


async def test_a_measurement_that_hangs_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(metrics, "_MEASURE_WITHIN_S", 0.01)
    end = metrics.before_scrape(asyncio.Event().wait)
    await metrics.measure()
    end()


def test_the_use_of_a_pool_is_that_of_the_moment():
    used = [3]
    metrics.watch_pool("of-a-test", 8, lambda: used[0])
    assert (value("myx_database_pool_size", pool="of-a-test")) == 8
    assert value("myx_database_pool_used_connections", pool="of-a-test") == 3
    used[0] = 5
    assert value("myx_database_pool_used_connections", pool="of-a-test") == 5


@pytest.mark.parametrize(
    ("error", "outcome"), [(None, "ok"), (Unavailable("AWAY", "away"), "unavailable"), (ValueError(), "failed")]
)
async def test_turns_of_loops_are_counted_by_their_end(error, outcome):
    name, turned = f"of-{outcome}", asyncio.Event()

    async def turn():
        turned.set()
        if error is not None:
            raise error

    async with TaskOwner("test") as owner:
        owner.start(Loop(name, 60, turn).run(), name="loop")
        await until(lambda: value("myx_loop_turns_total", loop=name, outcome=outcome) == 1)


async def test_a_service_that_is_watched_says_who_it_is_and_how_late_its_loop_is(monkeypatch):
    monkeypatch.setattr(metrics, "_LAG_EVERY_S", 0.01)
    before = value("myx_event_loop_lag_seconds_count")
    async with AsyncExitStack() as stack:
        observe(Settings(http_listen="127.0.0.1:0"), "kit", stack)
        await until(lambda: value("myx_event_loop_lag_seconds_count") >= before + 3)
    infos = [
        sample.labels for metric in REGISTRY.collect() if metric.name == "myx_build_info" for sample in metric.samples
    ]
    assert {"kit"} & {labels["service"] for labels in infos}


async def test_without_a_port_nothing_is_watched():
    before = len(asyncio.all_tasks())
    async with AsyncExitStack() as stack:
        observe(Settings(), "kit", stack)
        assert len(asyncio.all_tasks()) == before
