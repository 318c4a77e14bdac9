from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from myx_registry.domain.agents import AgentFacts, AgentHealth, AgentStatus, CallAttempt
from myx_registry.domain.heartbeats import (
    FLAP_CALM,
    FLAP_CHANGES,
    AgentRecord,
    Applied,
    Flapping,
    HeartbeatReport,
    Quarantined,
    Rebooted,
    Settled,
    Transition,
    VersionChange,
    fact_changes,
)
from myx_registry.domain.heartbeats import apply_reports as apply_all

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


def apply_reports(records, reports) -> tuple[list[AgentRecord], list[Transition]]:
    applied = apply_all(records, reports)
    return applied.changed, [one for one in applied.facts if isinstance(one, Transition)]


def apply_report(record, report) -> tuple[AgentRecord, Transition | None]:
    changed, transitions = apply_reports([record], [report])
    return (changed[0] if changed else record), (transitions[0] if transitions else None)


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
    assert all(one is not other for one, other in pairwise(announced))
    if record.health.status in (ONLINE, OFFLINE) and record.health.flapping_since is None:
        assert announced
        assert announced[-1] is record.health.status


def run(record: AgentRecord, *reports: HeartbeatReport) -> tuple[AgentRecord, Applied]:
    """Each report in a batch of its own; all that came of them."""
    total = Applied()
    for report in reports:
        applied = apply_all([record], [report])
        record = applied.changed[0] if applied.changed else record
        total.facts += applied.facts
        total.history += applied.history
        total.refreshed |= applied.refreshed
        total.quarantined |= applied.quarantined
    return record, total


def test_an_agent_that_was_only_doubted_makes_no_event_when_it_answers() -> None:
    _, applied = run(new_record(), online(1), unknown(2), unknown(3), online(4))
    assert [type(one) for one in applied.facts] == [Transition]
    _, applied = run(new_record(), online(1), unknown(2), offline(3), online(4))
    assert [one.status for one in applied.facts] == [ONLINE, OFFLINE, ONLINE]


def flap(times: int, start: float = 1) -> list[HeartbeatReport]:
    return [(online if n % 2 == 0 else offline)(start + 10 * n) for n in range(times)]


def test_what_was_checked_by_a_clock_that_ran_ahead_does_not_silence_what_is_checked_now() -> None:
    record = apply_report(apply_report(new_record(), online(0))[0], online(7200))[0]
    assert apply_all([record], [offline(60)]).changed == []
    applied = apply_all([record], [offline(60)], at(350))
    assert [(one.status, one.at) for one in applied.facts] == [(OFFLINE, at(60))]
    again = apply_all(applied.changed, [offline(60)], at(350))
    assert not again.facts
    assert not again.changed


def test_a_flapping_agent_is_told_once_and_its_changes_no_more() -> None:
    record, applied = run(new_record(), *flap(20))
    assert [type(one) for one in applied.facts] == [Transition] * (FLAP_CHANGES - 1) + [Flapping]
    assert record.health.flapping_since == at(1 + 10 * (FLAP_CHANGES - 1))
    assert len(applied.history) == 20


def test_a_flapping_agent_settles_after_a_calm_and_what_it_is_then_is_told() -> None:
    record, _ = run(new_record(), *flap(20))
    calm = FLAP_CALM.total_seconds()
    record, applied = run(record, offline(200), offline(199 + calm / 2))
    assert applied.facts == []
    record, applied = run(record, offline(192 + calm))
    assert [(type(one), one.status) for one in applied.facts] == [(Settled, OFFLINE), (Transition, OFFLINE)]
    assert record.health.flapping_since is None
    assert applied.facts[-1].revision == record.revision
    _, applied = run(record, online(300 + calm))
    assert [(type(one), one.status) for one in applied.facts] == [(Transition, ONLINE)]


def test_slow_changes_are_no_flapping() -> None:
    reports = [(online if n % 2 == 0 else offline)(1 + 600 * n) for n in range(30)]
    _, applied = run(new_record(), *reports)
    assert {type(one) for one in applied.facts} == {Transition}
    assert len(applied.facts) == 30


def on_machine(second: float, machine: str, boot: str = "b1") -> HeartbeatReport:
    return online(second, facts=AgentFacts(machine_id=machine, boot_id=boot), version="0.1.0")


def test_another_machine_is_quarantined_and_nothing_of_it_is_believed() -> None:
    record, applied = run(new_record(), on_machine(1, "m1"), on_machine(2, "m2"), on_machine(3, "m1"), online(4))
    assert [type(one) for one in applied.facts] == [Transition, Transition, Quarantined]
    health = record.health
    assert (health.status, health.status_reason) == (OFFLINE, "other_machine")
    assert (health.machine_id, health.found_machine_id, health.quarantined_at) == ("m1", "m2", at(2))
    assert health.facts is not None
    assert health.facts.machine_id == "m1"
    assert applied.quarantined == {AGENT}
    assert health.rpc_last_check == at(2)


def test_an_agent_that_does_not_say_which_machine_it_is_on_is_left_alone() -> None:
    record, applied = run(new_record(), on_machine(1, "m1"), on_machine(2, ""), online(3))
    assert record.health.quarantined_at is None
    assert [type(one) for one in applied.facts] == [Transition]


def test_a_reboot_is_known_by_the_boot_id() -> None:
    record, applied = run(new_record(), on_machine(1, "m", "b1"), on_machine(2, "m", "b2"), on_machine(3, "m", "b2"))
    assert [type(one) for one in applied.facts] == [Transition, Rebooted]
    assert (record.health.rebooted_at, record.health.boot_id) == (at(2), "b2")


def test_history_has_each_change_of_status_and_cause_with_its_tries() -> None:
    tries = (CallAttempt(at(2), "refused", "no"),)
    second = HeartbeatReport(AGENT, at(2), OFFLINE, "refused", "no answer", tries)
    _, applied = run(new_record(), online(1), second, offline(3), offline(4, "filtered"), online(5))
    seen = [(one.before, one.after, one.cause) for one in applied.history]
    assert seen == [
        (PENDING, ONLINE, ""),
        (ONLINE, OFFLINE, "refused"),
        (OFFLINE, OFFLINE, "filtered"),
        (OFFLINE, ONLINE, ""),
    ]
    assert applied.history[1].attempts == tries


def test_facts_are_compared_only_when_those_that_are_kept_are_others() -> None:
    busy = AgentFacts(hostname="h", load_1m=1)
    idle, bigger = AgentFacts(hostname="h", load_1m=0), AgentFacts(hostname="h", cpus=8)
    record, applied = run(new_record(), online(1, facts=busy))
    assert applied.refreshed == {AGENT: (at(1), busy)}
    record, applied = run(record, online(2, facts=idle))
    assert applied.refreshed == {}
    _, applied = run(record, online(3, facts=bigger))
    assert applied.refreshed == {AGENT: (at(3), bigger)}
    assert fact_changes(AGENT, at(1), None, busy) == []
    (change,) = fact_changes(AGENT, at(3), idle, bigger)
    assert (change.fact, change.before, change.after) == ("cpus", "0", "8")


def test_another_version_is_told_after_the_transition() -> None:
    _, applied = run(new_record(), online(1, version="1"), offline(2), online(3, version="2"))
    assert [type(one) for one in applied.facts] == [Transition] * 3 + [VersionChange]
    assert [one.revision for one in applied.facts] == [2, 3, 4, 5]
