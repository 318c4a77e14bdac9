import asyncio

import pytest

from myx_kit import loops
from myx_kit.errors import Unavailable
from myx_kit.loops import Loop, TaskOwner
from myx_testkit.wait import until


class Turns:
    def __init__(self, *failures):
        self.count = 0
        self.failures = list(failures)

    async def __call__(self):
        self.count += 1
        if self.failures:
            raise self.failures.pop(0)


async def test_a_loop_turns_by_its_interval():
    turns = Turns()
    async with TaskOwner("test") as owner:
        owner.start(Loop("l", 0.005, turns).run(), name="l")
        await until(lambda: turns.count >= 3, timeout_s=5)


async def test_a_loop_turns_at_once_when_it_is_woken():
    turns, wake = Turns(), asyncio.Event()
    async with TaskOwner("test") as owner:
        owner.start(Loop("l", 3600, turns, wake=wake).run(), name="l")
        await until(lambda: turns.count == 1, timeout_s=5)
        wake.set()
        await until(lambda: turns.count == 2, timeout_s=5)


async def test_a_wake_during_a_turn_leads_to_another_turn():
    wake = asyncio.Event()
    count = 0

    async def turn():
        nonlocal count
        count += 1
        if count == 1:
            wake.set()

    async with TaskOwner("test") as owner:
        owner.start(Loop("l", 3600, turn, wake=wake).run(), name="l")
        await until(lambda: count == 2, timeout_s=5)


@pytest.mark.parametrize("failure", [ValueError(), Unavailable("R", "m")])
async def test_a_loop_survives_its_bad_turns(failure):
    turns = Turns(failure, failure)
    async with TaskOwner("test") as owner:
        owner.start(Loop("l", 0.005, turns, max_backoff_s=0.01).run(), name="l")
        await until(lambda: turns.count >= 4, timeout_s=5)


async def test_pauses_grow_while_turns_fail_and_shrink_after_a_good_one(monkeypatch):
    pauses, pause = [], asyncio.sleep

    async def sleep(seconds):
        pauses.append(seconds)
        await pause(0)

    turns = Turns(*[ValueError()] * 6)
    with monkeypatch.context() as patched:
        patched.setattr(loops.asyncio, "sleep", sleep)
        async with TaskOwner("test") as owner:
            owner.start(Loop("l", 1, turns, jitter=0, max_backoff_s=10).run(), name="l")
            while turns.count < 7:
                await pause(0)
    assert pauses == [1, 2, 4, 8, 10, 10]


async def test_closing_cancels_what_runs_and_forbids_more():
    owner = TaskOwner("test")
    task = owner.start(asyncio.Event().wait(), name="waiter")
    assert len(owner) == 1
    assert task.get_name() == "test/waiter"
    await owner.close()
    assert task.cancelled()
    assert len(owner) == 0
    with pytest.raises(RuntimeError):
        owner.start(asyncio.Event().wait(), name="late")


async def test_a_task_that_loses_a_cancellation_is_cancelled_again():
    lost = 0

    async def forgetful():
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost > 2:
                    raise

    owner = TaskOwner("test")
    task = owner.start(forgetful(), name="forgetful")
    await asyncio.wait([task], timeout=0.01)
    await owner.close(5)
    assert task.cancelled()
    assert lost == 3


async def test_closing_does_not_wait_for_ever(capfd):
    release = asyncio.Event()

    async def stubborn():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    owner = TaskOwner("test")
    task = owner.start(stubborn(), name="stubborn")
    await asyncio.wait([task], timeout=0.01)
    async with asyncio.timeout(2):
        await owner.close(timeout_s=0.05)
    release.set()
    await task


async def test_only_a_critical_task_that_fails_stops_the_process(monkeypatch):
    stops = []
    monkeypatch.setattr(loops, "request_stop", stops.append)

    async def fail():
        raise ValueError

    async with TaskOwner("test") as owner:
        owner.start(fail(), name="optional")
        await until(lambda: len(owner) == 0, timeout_s=5)
        assert stops == []
        owner.start(fail(), name="vital", critical=True)
        await until(lambda: stops == [1], timeout_s=5)
