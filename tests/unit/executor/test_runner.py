"""Leases: how often they must be renewed, and what a replica that stops does about them."""

import asyncio

import pytest
from executor_samples import OneRow, command
from pydantic import ValidationError

from myx_executor.settings import ExecutorSettings
from myx_executor.store.commands import Owned
from myx_executor.usecases.runner import Runner


class Play:
    """Work of `seconds` that nobody else can go on with."""

    dies_with_us = True

    def __init__(self, seconds):
        self.seconds = seconds
        self.is_through = False

    async def run(self):
        await asyncio.sleep(self.seconds)
        self.is_through = True


async def test_a_replica_that_stops_renews_its_leases_before_it_waits():
    store, play = OneRow(Owned(command(), None), renews=True), Play(0.3)
    runner = Runner("me", store, lambda _owned, _lease: play, max_active=2, lease_s=10)
    await runner.sweep_once()
    began = asyncio.get_running_loop().time()
    await runner.drain(5, renew_every_s=3)
    assert play.is_through
    assert len(store.renewed_at) == 1
    assert store.renewed_at[0] - began < 0.2
    await runner.close(1)


def settings(tmp_path, **given):
    paths = {name: tmp_path / name for name in ("tls_dir", "database_url_file", "master_key_file")}
    return ExecutorSettings(registry_target="127.0.0.1:1", **paths, **given)


@pytest.mark.parametrize("given", [{"lease_s": 4}, {"lease_renew_s": 8}, {"lease_s": 30, "lease_renew_s": 10.1}])
def test_a_lease_that_is_renewed_too_late_is_refused(tmp_path, given):
    with pytest.raises(ValidationError) as caught:
        settings(tmp_path, **given)
    (error,) = caught.value.errors()
    assert error["loc"] == ("lease_renew_s",)
    assert "MYX_EXECUTOR_LEASE_S" in error["msg"]


@pytest.mark.parametrize("given", [{}, {"lease_s": 1, "lease_renew_s": 0.3}, {"lease_s": 3, "lease_renew_s": 1}])
def test_a_lease_that_is_renewed_three_times_is_taken(tmp_path, given):
    assert settings(tmp_path, **given).lease_renew_s <= 10 / 3
