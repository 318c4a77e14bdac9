from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from myx_registry.domain.agents import (
    AgentFacts,
    AgentHealth,
    AgentRecord,
    AgentStatus,
    CallAttempt,
    HeartbeatReport,
    apply_report,
    apply_reports,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
AGENT = UUID("01936d2e-0000-7000-8000-000000000001")
ONLINE, OFFLINE, UNKNOWN, PENDING = AgentStatus.ONLINE, AgentStatus.OFFLINE, AgentStatus.UNKNOWN, AgentStatus.PENDING


def at(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def new_record() -> AgentRecord:
    return AgentRecord(id=AGENT, server_id=uuid4(), health=AgentHealth(status=PENDING, status_since=T0), revision=1)


def online(second: float, **values: object) -> HeartbeatReport:
    return HeartbeatReport(agent_id=AGENT, checked_at=at(second), status=ONLINE, **values)


def offline(second: float, cause: str = "refused") -> HeartbeatReport:
    return HeartbeatReport(agent_id=AGENT, checked_at=at(second), status=OFFLINE, cause=cause, message="no answer")


def unknown(second: float) -> HeartbeatReport:
    return HeartbeatReport(agent_id=AGENT, checked_at=at(second), status=UNKNOWN, cause="no_route")


def test_the_first_answer_puts_an_agent_online() -> None:
    facts = AgentFacts(hostname="web-1")
    record, transition = apply_report(new_record(), online(1, latency_s=0.02, version="0.1.0", facts=facts))
    health = record.health
    assert (health.status, health.status_since, health.version, health.latency_s) == (ONLINE, at(1), "0.1.0", 0.02)
    assert health.rpc_supported
    assert health.rpc_last_check == health.rpc_last_success == health.last_heartbeat == at(1)
    assert health.facts == facts
    assert record.revision == 2
    assert transition is not None
    assert (transition.status, transition.version, transition.revision, transition.at) == (ONLINE, "0.1.0", 2, at(1))


def test_failures_are_counted_and_keep_what_was_known() -> None:
    record, _ = apply_report(new_record(), online(1, latency_s=0.02, version="0.1.0", facts=AgentFacts(hostname="h")))
    record, transition = apply_report(record, offline(2))
    assert transition is not None
    assert (transition.status, transition.cause, transition.revision) == (OFFLINE, "refused", 3)
    record, transition = apply_report(record, offline(3, "filtered"))
    assert transition is None
    health = record.health
    assert (health.status, health.status_since, health.status_reason, health.failure_streak) == (
        OFFLINE,
        at(2),
        "filtered",
        2,
    )
    assert (health.rpc_last_check, health.rpc_last_success, health.last_heartbeat) == (at(3), at(1), at(1))
    assert (health.version, health.latency_s, health.facts) == ("0.1.0", 0.02, AgentFacts(hostname="h"))
    assert record.revision == 3


def test_an_answer_ends_the_streak_and_clears_the_reason() -> None:
    record, _ = apply_report(new_record(), offline(1))
    record, transition = apply_report(record, online(2))
    assert transition is not None
    assert (record.health.failure_streak, record.health.status_reason, record.health.status_message) == (0, "", "")


def test_doubt_is_no_failure_and_no_transition_but_a_new_revision() -> None:
    record, _ = apply_report(new_record(), online(1))
    record, transition = apply_report(record, unknown(2))
    assert transition is None
    assert (record.health.status, record.health.failure_streak, record.revision) == (UNKNOWN, 0, 3)


def test_a_report_that_is_not_newer_changes_nothing() -> None:
    record, _ = apply_report(new_record(), online(5))
    for report in (offline(5), offline(4), online(5)):
        assert apply_report(record, report) == (record, None)


def test_attempts_are_those_of_the_last_check() -> None:
    attempts = (CallAttempt(at(1), "refused", "no", 1.0), CallAttempt(at(2)))
    record, _ = apply_report(new_record(), online(2, attempts=attempts))
    assert record.health.last_attempts == attempts
    record, _ = apply_report(record, online(3))
    assert record.health.last_attempts == ()


def test_reports_of_one_agent_in_one_batch_apply_oldest_first() -> None:
    for batch in permutations([online(1), offline(2), offline(3), online(4)]):
        changed, transitions = apply_reports([new_record()], batch)
        assert [t.status for t in transitions] == [ONLINE, OFFLINE, ONLINE]
        assert [t.revision for t in transitions] == [2, 3, 4]
        assert changed[0].health.rpc_last_check == at(4)


def test_records_without_news_are_not_changed() -> None:
    seen, _ = apply_report(new_record(), online(5))
    assert apply_reports([seen], [online(5), offline(1)]) == ([], [])


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from([ONLINE, OFFLINE, UNKNOWN])), max_size=40), st.data())
def test_repeats_and_splits_of_batches_never_invent_a_transition(
    checks: list[tuple[int, AgentStatus]], data: st.DataObject
) -> None:
    reports = [HeartbeatReport(agent_id=AGENT, checked_at=at(second), status=status) for second, status in checks]
    record = new_record()
    statuses: list[AgentStatus] = [PENDING]
    for _ in range(3):
        batch = data.draw(st.lists(st.sampled_from(reports), max_size=10)) if reports else []
        for _ in range(2):
            changed, transitions = apply_reports([record], batch)
            record = changed[0] if changed else record
            statuses += [t.status for t in transitions]
    announced = [status for status in statuses if status is not PENDING]
    assert record.revision >= 1 + len(announced)
    if record.health.status in (ONLINE, OFFLINE):
        assert announced
        assert announced[-1] is record.health.status
