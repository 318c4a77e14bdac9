"""Recaps, wire values and the bell."""

import asyncio
from uuid import uuid4

import pytest

from myx_executor.convert.values import from_struct, to_struct
from myx_executor.domain.deployment import Recap, recap_from_wire
from myx_executor.usecases.deployments.bell import Bells


def test_a_recap_is_read_from_a_result_and_from_an_event():
    counts = {"ok": 3, "changed": 1, "failed": 0, "skipped": 2}
    assert recap_from_wire({"localhost": counts}) == Recap(ok=3, changed=1, skipped=2)
    event = {"type": "recap", "hosts": {"localhost": counts}, "duration_s": 1.5, "rc": 0}
    assert recap_from_wire(event) == Recap(ok=3, changed=1, skipped=2, duration_s=1.5)


@pytest.mark.parametrize("wrong", [None, 7, [], {}, {"hosts": 1}, {"localhost": 3}])
def test_what_is_no_recap_is_none(wrong):
    assert recap_from_wire(wrong) is None


def test_wrong_counts_are_nothing():
    assert recap_from_wire({"localhost": {"ok": -1, "changed": True, "failed": 1 << 40}}) == Recap()


def test_values_come_back_as_they_went():
    values = {"a": 1, "b": 1.5, "c": "x", "d": True, "e": None, "f": [1, {"g": []}]}
    assert from_struct(to_struct(values)) == values
    assert from_struct(to_struct({"n": 10**400, "m": -(10**400)})) == {"n": str(10**400), "m": str(-(10**400))}


async def test_a_bell_wakes_those_who_wait_for_it_and_nobody_else():
    bells, one, other = Bells(), uuid4(), uuid4()
    waiting = asyncio.create_task(bells.wait(one, 30))
    await asyncio.sleep(0)
    bells.ring(other)
    await asyncio.sleep(0)
    assert not waiting.done()
    bells.ring(one)
    await waiting
    await bells.wait(one, 0.001)
