"""Plays over SSH: they run beside us, so that nobody can go on with them when this replica dies."""

import asyncio
from dataclasses import replace

from myx_executor.domain.command import LeaseLost
from myx_executor.domain.deployment import DeploymentLost, StepCancelled, StepFailed, recap_from_wire
from myx_executor.domain.log import STDERR, STDOUT
from myx_executor.domain.ssh import PlayEnd, PlaySpec, PlayText
from myx_executor.usecases.deployments.play_log import PlayEvents, why_failed
from myx_executor.usecases.deployments.ports import HostPlay, PlayEvent
from myx_executor.usecases.deployments.run import Run
from myx_executor.usecases.patience import UNTIL_LOST, patiently
from myx_kit.logging import get_logger

log = get_logger()

_UNDER_WAY = "ssh_play"
TASK_FAILED, UNREACHABLE, NO_ANSIBLE, TIMED_OUT = 2, 4, 69, 124

RUN_AGAIN = "run it again; it continues where it stopped"


def check_not_left(run: Run) -> None:
    """DeploymentLost when an earlier owner left a play over SSH under way."""
    name = run.state(_UNDER_WAY)
    if name:
        message = f"the replica that ran {name} over SSH was stopped in its midst; what it was doing is not known"
        raise DeploymentLost("LOST", message, RUN_AGAIN)


async def run_play(run: Run, spec: PlaySpec, *, announce: str) -> PlayEnd:
    """The play's end. StepCancelled once it was ended on request, and DeploymentLost if the host has not proved that;
    LeaseLost once it was ended with the lease."""
    run.check_wish()
    session = await run.session()
    await run.say(announce)
    before = await patiently(lambda: run.tools.store.last_event(run.deployment.id), UNTIL_LOST)
    events = await PlayEvents.open(run, before)
    await run.remember(**{_UNDER_WAY: spec.playbook})
    run.dies_with_us = True
    try:
        end = await _while_leased(run, await run.tools.hosts.play(session, spec), events)
    finally:
        run.dies_with_us = False
    await run.remember(**{_UNDER_WAY: None})
    recap = recap_from_wire(dict(end.recap)) if end.recap else None
    await run.set_recap(recap and replace(recap, duration_s=recap.duration_s or end.duration_s))
    if end.code == TIMED_OUT or (run.wish.asked.is_set() and end.code != 0):
        await run.prove_end(everything=True)
    if run.wish.asked.is_set() and end.code != 0:
        raise StepCancelled
    return end


async def _while_leased(run: Run, play: HostPlay, events: PlayEvents) -> PlayEnd:
    """The play's end. LeaseLost shortly before another replica may say that the play is over; it is, then."""
    following = asyncio.create_task(_follow(run, play, events), name="follow")
    running_out = asyncio.create_task(run.lease.running_out(), name="lease")
    try:
        # The play ends first: whoever follows it may be in a write that a silent database does not let go for long.
        async with play:
            await asyncio.wait({following, running_out}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                log.warning("play_ended_with_its_lease", deployment_id=run.key)
                raise LeaseLost
            return following.result()
    finally:
        for task in (following, running_out):
            task.cancel()
        await asyncio.gather(following, running_out, return_exceptions=True)


async def demand_success(run: Run, end: PlayEnd, what: str, cure: str) -> None:
    """StepFailed unless the play went well."""
    if end.lost is not None:
        raise StepFailed(end.lost.reason, f"{what}: {end.lost.message}", end.lost.cure or RUN_AGAIN)
    if end.code == 0:
        return
    if end.code == UNREACHABLE:
        message = f"{what}: the host could not be reached any more"
        raise StepFailed("HOST_UNREACHABLE", message, f"see whether the host is up, then {RUN_AGAIN}")
    if end.code == NO_ANSIBLE:
        raise StepFailed("ANSIBLE_MISSING", "Ansible is not installed beside the executor", "install ansible-runner")
    if end.silent:
        message = f"{what}: there was no output for longer than allowed"
        raise StepFailed("NO_OUTPUT_TIMEOUT", message, "see in the log what it waited for, or give it more time")
    if end.code == TIMED_OUT:
        raise StepFailed("TIMEOUT", f"{what}: the time limit was reached", "give it more time")
    if end.code == TASK_FAILED:
        raise StepFailed("PLAY_FAILED", f"{what}: {await why_failed(run) or 'the log says why'}", cure)
    raise StepFailed("PLAY_FAILED", f"{what}: the play ended with exit code {end.code}; the log says why", cure)


async def _follow(run: Run, play: HostPlay, events: PlayEvents) -> PlayEnd:
    ending = asyncio.create_task(_cancel_when_wished(run, play), name="cancel")
    end: PlayEnd | None = None
    try:
        async for item in play.items():
            if isinstance(item, PlayText):
                await run.write(item.data, STDERR if item.stream == "stderr" else STDOUT)
            elif isinstance(item, PlayEnd):
                end = item
            else:
                await events.add([PlayEvent(_number(item.event.get("seq")) or events.taken + 1, item.event)])
    finally:
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
    if end is None:
        raise StepFailed("PLAY_FAILED", "the play ended without a word", RUN_AGAIN)
    return end


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


async def _cancel_when_wished(run: Run, play: HostPlay) -> None:
    await run.wish.asked.wait()
    await play.cancel(run.wish.grace_s)
