import datetime as dt

import pytest

from myx_heartbeat.domain import Outcome, Status, first_delay_s, judge, merge, next_delay_s, stamp, verdict

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        ("", Status.ONLINE),
        ("unauthorized", Status.OFFLINE),
        ("bad_request", Status.OFFLINE),
        ("refused", Status.OFFLINE),
        ("pin_mismatch", Status.OFFLINE),
        ("clock_skew", Status.UNKNOWN),
    ],
)
def test_a_cause_decides_the_status(cause, status):
    assert verdict(Outcome(cause=cause)) is status


@pytest.mark.parametrize(
    ("known", "cause", "is_transition"),
    [
        ((Status.ONLINE, ""), "", False),
        ((Status.PENDING, ""), "", True),
        ((Status.OFFLINE, "refused"), "", True),
        ((Status.ONLINE, ""), "refused", True),
        ((Status.OFFLINE, "refused"), "refused", False),
        ((Status.OFFLINE, "refused"), "unauthorized", True),
    ],
)
def test_a_report_that_says_something_new_is_a_transition(known, cause, is_transition):
    assert judge("a", Outcome(cause=cause), NOW, known).is_transition is is_transition


def test_a_transition_that_nobody_has_seen_stays_one(report):
    merged = merge(report("a", "refused", second=1), report("a", second=2))

    assert (merged.status, merged.is_transition, merged.checked_at.second) == (Status.ONLINE, True, 2)


@pytest.mark.parametrize(("share", "delay_s"), [(0.0, 20), (0.5, 40), (0.999, 59.96)])
def test_the_interval_is_drawn_between_its_bounds(intervals, share, delay_s):
    assert next_delay_s(intervals, share, is_starting=False) == pytest.approx(delay_s)


def test_a_starting_agent_is_asked_in_short_steps(intervals):
    assert next_delay_s(intervals, 0.9, is_starting=True) == 3


@pytest.mark.parametrize(("count", "longest_s"), [(1, 0.01), (1000, 10), (100_000, 60)])
def test_first_checks_are_spread_over_what_the_fleet_needs(intervals, count, longest_s):
    assert first_delay_s(intervals, count, 0.0) == 0
    assert first_delay_s(intervals, count, 1.0) == pytest.approx(longest_s)


def test_stamps_grow_also_when_the_clock_is_set_back_a_little():
    back = NOW - dt.timedelta(minutes=3)

    assert stamp(back, NOW) == NOW + dt.timedelta(microseconds=1)


def test_a_clock_that_was_far_ahead_is_not_followed():
    back = NOW - dt.timedelta(hours=3)

    assert stamp(back, NOW) == back
