"""States of jobs and targets as data, and how ends are graded."""

import pytest

from myx_executor.domain.job_states import (
    JOB_FINAL,
    JOB_OPEN,
    JOB_RULES,
    JOB_TRANSITIONS,
    RETRIED,
    TARGET_FINAL,
    TARGET_OF,
    TARGET_OPEN,
    TARGET_RULES,
    TARGET_TRANSITIONS,
    UNREACHABLE_REASONS,
    grade,
    outcome_message,
)
from myx_executor.domain.jobs import JobOptions, JobStatus, Share, TargetStatus, check_options
from myx_executor.domain.states import FINAL
from myx_kit.agent_rpc.errors import AgentCallError, Cause
from myx_kit.errors import InvalidArgument

T, J = TargetStatus, JobStatus


def test_every_open_state_has_a_rule_with_owner_and_deadline_and_leads_to_an_end():
    assert set(JOB_RULES) == JOB_OPEN
    assert set(TARGET_RULES) == TARGET_OPEN
    assert set(JOB_TRANSITIONS) == set(JobStatus)
    assert set(TARGET_TRANSITIONS) == set(TargetStatus)
    for rule in (*JOB_RULES.values(), *TARGET_RULES.values()):
        assert rule.entered_by
        assert rule.owned_by
        assert rule.deadline
        assert rule.at_deadline
        assert rule.next
    assert all(JOB_TRANSITIONS[status] & JOB_FINAL for status in JOB_OPEN)
    assert all(TARGET_TRANSITIONS[status] & TARGET_FINAL for status in TARGET_OPEN)


def test_nothing_leaves_a_final_state():
    assert not any(JOB_TRANSITIONS[status] for status in JOB_FINAL)
    assert not any(TARGET_TRANSITIONS[status] for status in TARGET_FINAL)


def test_every_end_of_a_command_is_an_end_of_its_target():
    assert set(TARGET_OF) == FINAL
    assert set(TARGET_OF.values()) <= TARGET_FINAL


def test_what_may_have_run_twice_is_not_retried_by_itself():
    assert T.LOST not in RETRIED
    assert T.UNKNOWN not in RETRIED


@pytest.mark.parametrize(
    ("status", "counts", "end"),
    [
        (J.RUNNING, {T.SUCCESS: 3}, J.SUCCESS),
        (J.RUNNING, {T.SUCCESS: 2, T.UNREACHABLE: 1}, J.PARTIAL),
        (J.RUNNING, {T.SKIPPED: 1, T.FAILED: 2}, J.FAILED),
        (J.STOPPING, {T.SUCCESS: 1, T.FAILED: 1, T.NOT_STARTED: 1}, J.STOPPED),
        (J.STOPPING, {T.SUCCESS: 1, T.FAILED: 1}, J.PARTIAL),
        (J.CANCELLING, {T.SUCCESS: 2, T.CANCELLED: 1}, J.CANCELLED),
        (J.CANCELLING, {T.SUCCESS: 2, T.NOT_STARTED: 1}, J.CANCELLED),
        (J.CANCELLING, {T.SUCCESS: 2}, J.SUCCESS),
        (J.CANCELLING, {T.SUCCESS: 2, T.FAILED: 1}, J.PARTIAL),
    ],
)
def test_ends_are_graded(status, counts, end):
    assert grade(status, counts) is end


def test_the_end_is_told_in_numbers():
    counts = {T.SUCCESS: 7, T.FAILED: 2, T.UNREACHABLE: 1, T.NOT_STARTED: 0}
    assert outcome_message(counts) == "7 of 10 succeeded; 2 failed, 1 unreachable"
    assert outcome_message({T.SUCCESS: 7}) == ""


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("concurrency", {"concurrency": Share(0)}),
        ("concurrency", {"concurrency": Share(percent=101.0)}),
        ("concurrency", {"concurrency": Share(percent=float("nan"))}),
        ("batches", {"batches": (Share(0),)}),
        ("batches", {"batches": (Share(1),) * 101}),
        ("batch_label", {"batches": (Share(1),), "batch_label": "rack"}),
        ("batch_label", {"batch_label": "x" * 400}),
        ("canary", {"canary": Share(0)}),
        ("canary_soak", {"canary_soak_s": 5.0}),
        ("max_failed", {"max_failed": Share(-1)}),
        ("max_unreachable", {"max_unreachable": Share(percent=0.0)}),
        ("batch_pause", {"batch_pause_s": -1.0}),
        ("deadline", {"deadline_s": 0.0}),
        ("deadline", {"deadline_s": float("inf")}),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(field, options):
    with pytest.raises(InvalidArgument) as caught:
        check_options(JobOptions(**options))
    assert caught.value.reason == "JOB_OPTIONS_INVALID"
    assert caught.value.fields["field"] == field


def test_a_threshold_of_zero_is_the_first_failure():
    check_options(JobOptions(max_failed=Share(0), max_unreachable=Share(0)))


def test_every_cause_but_the_agents_own_answer_means_that_it_was_not_reached_by_commands_and_deployments():
    answers = {Cause.BAD_REQUEST, Cause.TOO_LARGE, Cause.RPC_ERROR}
    for cause in set(Cause) - answers:
        # As commands and as deployments end with it.
        assert {str(cause), AgentCallError(cause).reason.lower()} <= UNREACHABLE_REASONS
    assert not {name for cause in answers for name in (str(cause), f"agent_{cause}")} & UNREACHABLE_REASONS
