"""Limits that the control plane keeps by itself while an agent runs a command."""

import asyncio
from datetime import UTC, datetime, timedelta

from executor_samples import command

from myx_executor.domain.command import CommandSpec
from myx_executor.domain.states import Status
from myx_executor.usecases.vigil import Contact, Vigil
from myx_testkit.wait import until

NEVER_S = 0.3


def ago(seconds):
    return datetime.now(UTC) - timedelta(seconds=seconds)


def vigil(contact=None, *, timeout_s=0.0, no_output_s=None, started_s=0.0, left_s=3600.0, touched=None, **options):
    one = command(
        spec=CommandSpec("x", timeout_s=timeout_s, no_output_timeout_s=no_output_s),
        started_at=ago(started_s),
        deadline_at=datetime.now(UTC) + timedelta(seconds=left_s),
    )

    async def touch():
        if touched is not None:
            touched.append(datetime.now(UTC))

    return Vigil(one, contact or Contact(), touch, **{"margin_s": 0.05, "lost_after_s": 3600} | options)


async def never(waiting):
    task = asyncio.ensure_future(waiting)
    done, _ = await asyncio.wait({task}, timeout=NEVER_S)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return not done


async def test_a_limit_that_the_agent_let_pass_is_overdue_after_the_margin():
    assert await vigil(timeout_s=10, started_s=11).overdue() == "timeout"
    assert await never(vigil(timeout_s=10, started_s=9).overdue())
    assert await never(vigil(timeout_s=10, started_s=11, margin_s=60).overdue())


async def test_without_limits_nothing_is_ever_overdue():
    assert await never(vigil().overdue())


async def test_a_silent_command_is_overdue_only_when_its_agent_was_heard_of_since():
    contact = Contact()
    contact.output_at = ago(20)
    assert await never(vigil(contact, no_output_s=10).overdue())
    contact.heard()
    assert await vigil(contact, no_output_s=10).overdue() == "no_output_timeout"


async def test_output_moves_the_limit_on_silence():
    contact = Contact()
    contact.output_at = ago(20)
    contact.had_output()
    assert await never(vigil(contact, no_output_s=10).overdue())


async def test_an_open_stream_is_contact():
    contact = Contact()
    contact.output_at = ago(20)
    contact.is_open = True
    assert await vigil(contact, no_output_s=10).overdue() == "no_output_timeout"


async def test_an_agent_that_is_never_heard_of_is_gone_at_the_deadline():
    outcome = await vigil(timeout_s=10, left_s=0.1, lost_after_s=0.1).gone()
    assert (outcome.status, outcome.reason) == (Status.LOST, "agent_gone")
    assert "was not heard of any more" in outcome.message


async def test_contact_moves_the_deadline_of_a_command_without_a_limit_and_it_is_stored():
    contact, touched = Contact(), []
    contact.is_open = True
    watching = asyncio.ensure_future(vigil(contact, left_s=0.1, lost_after_s=0.5, touched=touched).gone())
    await until(lambda: len(touched) > 2)
    assert not watching.done()
    contact.is_open = False
    contact.heard()
    outcome = await watching
    assert outcome.reason == "agent_gone"
    assert "was last heard of at" in outcome.message


async def test_contact_does_not_move_the_deadline_of_one_that_has_a_limit():
    contact = Contact()
    contact.is_open = True
    assert (await vigil(contact, timeout_s=10, left_s=0.1, lost_after_s=0.1).gone()).status is Status.LOST


async def test_an_end_that_is_never_proved_is_lost_however_often_the_agent_is_heard_of():
    contact = Contact()
    contact.is_open = True
    one = vigil(contact, lost_after_s=0.2)
    watching = asyncio.ensure_future(one.gone())
    one.end_is_asked(0.1)
    one.end_is_asked(1000)
    outcome = await watching
    assert (outcome.status, outcome.reason) == (Status.LOST, "cancel_not_proved")


async def test_a_replica_that_was_away_too_long_itself_lets_the_agent_be_heard_of_first():
    assert await never(vigil(left_s=-1000, lost_after_s=3600).gone())
