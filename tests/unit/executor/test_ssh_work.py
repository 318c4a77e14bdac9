"""Plays over SSH end with their lease; and what a database that is away does to plays."""

import asyncio
from types import SimpleNamespace
from uuid import uuid4

import pytest
from executor_samples import command

from myx_executor.domain.command import LeaseLost
from myx_executor.domain.deployment import DeploymentLost, StepFailed
from myx_executor.domain.ssh import PlayEnd, PlayText
from myx_executor.usecases.deliver import CancelWish
from myx_executor.usecases.deployments import ssh_work
from myx_executor.usecases.ledger import Lease


class Play:
    """A play that says `text`, then ends with `end`, or never."""

    def __init__(self, end=None, text=None):
        self.end, self.text = end, text
        self.closed_at = None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.closed_at = now()

    async def items(self):
        if self.text is not None:
            yield self.text
        if self.end is None:
            await asyncio.Event().wait()
        yield self.end


class Run:
    """As far as a play over SSH needs one; what it remembers is kept."""

    def __init__(self, play, lease):
        self.play, self.lease = play, lease
        self.wish = CancelWish()
        self.remembered = {}
        self.dies_with_us = False
        self.key = "deployment"
        self.deployment = SimpleNamespace(id=uuid4())
        self.tools = SimpleNamespace(store=self, hosts=SimpleNamespace(play=self._play))

    async def _play(self, session, spec):
        return self.play

    async def session(self):
        return None

    def check_wish(self):
        pass

    async def say(self, text):
        pass

    async def last_event(self, deployment_id):
        return 0

    async def write(self, data, stream):
        # As a statement whose server is silent: it is given up late.
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)

    async def remember(self, **values):
        self.remembered |= values

    async def set_recap(self, recap):
        pass

    async def prove_end(self, *, everything):
        assert everything
        raise DeploymentLost("CANCEL_NOT_PROVED", "it may still run")


def now():
    return asyncio.get_running_loop().time()


def lease(seconds, margin_s=0.0):
    return Lease(command(), now() + seconds, margin_s=margin_s)


async def run_play(run):
    return await ssh_work.run_play(run, SimpleNamespace(playbook="site.yml"), announce="")


async def test_a_play_is_over_before_another_replica_may_have_its_lease():
    play = Play()
    run = Run(play, lease(0.5, margin_s=0.4))
    with pytest.raises(LeaseLost):
        await run_play(run)
    assert play.closed_at < run.lease.valid_until
    # Whoever has it next says that it was lost.
    assert run.remembered == {"ssh_play": "site.yml"}
    assert not run.dies_with_us


@pytest.mark.parametrize("how", ["runs_out", "is_taken"])
async def test_a_play_does_not_outlive_its_lease_in_a_write_that_is_not_let_go(how):
    play = Play(text=PlayText("stdout", b"says"))
    run = Run(play, lease(0.5, margin_s=0.4) if how == "runs_out" else lease(60))
    running = asyncio.create_task(run_play(run))
    if how == "is_taken":
        await asyncio.sleep(0.1)
        running.cancel()
    began = now()
    with pytest.raises((LeaseLost, asyncio.CancelledError)):
        await running
    assert play.closed_at - began < 0.5
    # The write was let go all the same.
    assert now() - play.closed_at >= 1


async def test_a_play_that_ends_within_its_lease_has_its_own_end():
    end = PlayEnd(0, {}, None, False, 1.0)
    run = Run(Play(end), lease(60))
    assert await run_play(run) is end
    assert run.remembered == {"ssh_play": None}


@pytest.mark.parametrize("code", [0, 2, 4, ssh_work.TIMED_OUT])
@pytest.mark.parametrize("wished", [False, True])
async def test_a_play_that_was_ended_early_is_over_once_its_host_has_proved_it(code, wished):
    run = Run(Play(PlayEnd(code)), lease(60))
    if wished:
        run.wish.ask(0)
    if code == ssh_work.TIMED_OUT or (wished and code):
        with pytest.raises(DeploymentLost):
            await run_play(run)
    else:
        assert (await run_play(run)).code == code
    assert run.remembered == {"ssh_play": None}


async def test_a_lease_that_is_renewed_meanwhile_runs_out_later():
    one = lease(0.1, margin_s=0.05)
    waiting = asyncio.create_task(one.running_out())
    await asyncio.sleep(0)
    one.valid_until += 0.2
    await waiting
    assert now() >= one.valid_until - one.margin_s


@pytest.mark.parametrize(("silent", "reason"), [(True, "NO_OUTPUT_TIMEOUT"), (False, "TIMEOUT")])
async def test_which_limit_ended_a_play_is_said(silent, reason):
    with pytest.raises(StepFailed) as failed:
        await ssh_work.demand_success(None, PlayEnd(124, silent=silent), "site.yml failed", "")
    assert failed.value.reason == reason
