"""Samples, steps and what is kept for how long."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from myx_kit.errors import InvalidArgument
from myx_registry.domain.agents import AgentFacts, AgentStatus, Disk
from myx_registry.domain.heartbeats import HeartbeatReport
from myx_registry.domain.pauses import checked_pause
from myx_registry.domain.series import RESOLUTIONS, checked_range, merged, sample_of

NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
AGENT = UUID("01936d2e-0000-7000-8000-000000000001")
MINUTE, FIVE, HOUR = RESOLUTIONS


def test_a_sample_holds_parts_of_memory_and_of_the_fullest_disk():
    disks = (Disk("/", 100, 75), Disk("/data", 1000, 100), Disk("/proc", 0, 0))
    facts = AgentFacts(load_1m=2.5, memory_total_bytes=8, memory_available_bytes=6, disks=disks)
    one = sample_of(HeartbeatReport(AGENT, NOW, AgentStatus.ONLINE, latency_s=0.02, facts=facts, checks=3, answered=2))
    assert (one.at, one.checks, one.answered) == (NOW.replace(second=0), 3, 2)
    assert (one.latency, one.load_1m, one.memory, one.disk) == (0.02, 2.5, 0.25, 0.9)


def test_what_was_not_measured_is_none():
    one = sample_of(HeartbeatReport(AGENT, NOW, AgentStatus.OFFLINE, facts=AgentFacts()))
    assert (one.latency, one.memory, one.disk) == (None, None, None)
    assert sample_of(HeartbeatReport(AGENT, NOW, AgentStatus.OFFLINE)).load_1m is None


def test_one_sample_for_each_agent_and_minute():
    report = HeartbeatReport(AGENT, NOW, AgentStatus.ONLINE)
    (one,) = merged([sample_of(report), sample_of(report)])
    assert one.checks == 2


@pytest.mark.parametrize(
    ("back", "step_s", "source", "step"),
    [
        (timedelta(hours=1), 0, MINUTE, timedelta(minutes=1)),
        (timedelta(hours=1), 60, MINUTE, timedelta(minutes=1)),
        (timedelta(hours=1), 61, MINUTE, timedelta(minutes=2)),
        (timedelta(hours=24), 0, FIVE, timedelta(minutes=5)),
        (timedelta(hours=24), 1800, FIVE, timedelta(minutes=30)),
        (timedelta(hours=24), 7200, HOUR, timedelta(hours=2)),
        (timedelta(days=30), 0, HOUR, timedelta(hours=2)),
        (timedelta(days=300), 0, HOUR, timedelta(hours=2)),
    ],
)
def test_a_question_is_answered_from_what_is_kept_for_its_age(back, step_s, source, step):
    asked = checked_range(NOW - back, None, step_s, NOW)
    assert (asked.source, asked.step, asked.end) == (source, step, NOW)
    assert asked.start.timestamp() % step.total_seconds() == 0
    assert (asked.end - asked.start) / asked.step <= 2000


def test_the_last_hour_is_the_default():
    asked = checked_range(None, None, 0, NOW)
    assert NOW - asked.start < timedelta(hours=1, minutes=1)


@pytest.mark.parametrize(
    ("start", "end", "step_s", "field"),
    [
        (NOW, NOW - timedelta(hours=1), 0, "start"),
        (NOW + timedelta(hours=1), None, 0, "start"),
        (NOW - timedelta(hours=2), None, 1, "step"),
    ],
)
def test_a_range_that_cannot_be_is_refused_with_its_field(start, end, step_s, field):
    with pytest.raises(InvalidArgument, match=field) as caught:
        checked_range(start, end, step_s, NOW)
    assert caught.value.fields["field"] == field


@pytest.mark.parametrize("until", [None, NOW, NOW - timedelta(seconds=1), NOW + timedelta(days=91)])
def test_a_pause_ends_within_bounds(until):
    with pytest.raises(InvalidArgument, match="until"):
        checked_pause(until, "", "token:admin", NOW)


def test_a_pause_says_why_and_who():
    pause = checked_pause(NOW + timedelta(hours=1), "new disks", "token:admin", NOW)
    assert (pause.since, pause.reason, pause.actor) == (NOW, "new disks", "token:admin")
    with pytest.raises(InvalidArgument, match="reason"):
        checked_pause(NOW + timedelta(hours=1), "x" * 501, "token:admin", NOW)
