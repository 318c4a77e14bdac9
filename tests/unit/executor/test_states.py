"""States, their changes and the rules of each."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from executor_samples import command
from hypothesis import given
from hypothesis import strategies as st

from myx_executor.domain.command import CommandSpec
from myx_executor.domain.next_step import AGENT_OFFLINE, LOCK_HELD, next_sentence
from myx_executor.domain.states import FINAL, OPEN, RULES, TRANSITIONS, Status, Who, sources_of

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_every_state_has_its_changes_and_a_rule():
    assert set(TRANSITIONS) == set(RULES) == set(Status)


@given(st.sampled_from(sorted(OPEN)))
def test_every_open_state_has_an_owner_a_deadline_and_what_happens_then(status):
    rule = RULES[status]
    assert rule.owner
    assert rule.deadline is not None
    assert rule.at_deadline
    assert "{deadline}" in rule.next
    for target, reason in rule.at_deadline.items():
        assert target in FINAL & TRANSITIONS[status]
        assert reason


@given(st.sampled_from(sorted(FINAL)))
def test_nothing_follows_a_final_state(status):
    assert not TRANSITIONS[status]
    assert RULES[status].deadline is None
    assert not RULES[status].owner
    assert not RULES[status].next
    assert all(status not in targets or source in OPEN for source, targets in TRANSITIONS.items())


@given(st.lists(st.integers(0, 99), max_size=30))
def test_whatever_happens_a_command_is_final_or_ends_at_its_deadline(choices):
    status = Status.PENDING
    for choice in choices:
        targets = sorted(TRANSITIONS[status])
        if not targets:
            break
        status = targets[choice % len(targets)]
    assert status in FINAL or set(RULES[status].at_deadline) <= FINAL


@given(st.sampled_from(sorted(Status)))
def test_only_the_owner_says_that_a_command_runs_or_how_it_ended(status):
    allowed = {
        Status.PENDING: {Who.REQUESTER, Who.OWNER},
        Status.CANCELLING: {Who.REQUESTER},
        Status.CANCELLED: {Who.OWNER, Who.REQUESTER},
        Status.SKIPPED: {Who.OWNER, Who.REQUESTER},
        Status.FAILED: {Who.OWNER, Who.ANY_REPLICA},
    }
    assert RULES[status].entered_by == allowed.get(status, {Who.OWNER})


def test_from_every_open_state_an_end_can_be_reached():
    for status in OPEN:
        reached, front = set(), {status}
        while front:
            reached |= front
            front = {target for source in front for target in TRANSITIONS[source]} - reached
        assert reached & FINAL


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Status.RUNNING, Status.PENDING),
        (Status.RUNNING, Status.QUEUED),
        (Status.CANCELLING, Status.RUNNING),
        (Status.CANCELLING, Status.QUEUED),
        (Status.RUNNING, Status.SKIPPED),
        (Status.QUEUED, Status.RUNNING),
        (Status.SUCCESS, Status.FAILED),
        (Status.LOST, Status.RUNNING),
        (Status.UNKNOWN, Status.PENDING),
    ],
)
def test_what_must_never_happen_is_not_allowed(source, target):
    assert target not in TRANSITIONS[source]
    assert source not in sources_of(target)


def test_a_cancelled_command_may_turn_out_to_have_ended_by_itself():
    assert Status.CANCELLING in sources_of(Status.SUCCESS)


def test_what_happens_next_is_said_until_the_end():
    one = command(status=Status.PENDING, started_at=None, deadline_at=AT)
    assert next_sentence(one) == "waits for a replica with room; at 2026-03-04 05:06:07 UTC it fails"
    assert next_sentence(replace(one, owner="a")).startswith("is handed to its agent; at 2026-03-04 05:06:07 UTC")
    queued = replace(one, status=Status.QUEUED, reason=AGENT_OFFLINE)
    assert (
        next_sentence(queued) == "waits for its agent to be back and goes on then; at 2026-03-04 05:06:07 UTC it fails"
    )
    assert "the lock of its server" in next_sentence(replace(queued, reason=LOCK_HELD))
    running = replace(one, status=Status.RUNNING, spec=CommandSpec("x", timeout_s=60), started_at=AT)
    assert "until 2026-03-04 05:07:07 UTC at the most" in next_sentence(running)
    assert "at the most" not in next_sentence(replace(running, spec=CommandSpec("x")))
    assert "until it has proved it" in next_sentence(replace(running, status=Status.CANCELLING))
    for status in FINAL:
        assert not next_sentence(replace(running, status=status, deadline_at=None, ended_at=AT + timedelta(1)))
