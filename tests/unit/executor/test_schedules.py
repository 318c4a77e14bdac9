"""What a look at a schedule decides, whose turn it is, and what is kept of secrets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from executor_samples import NOON, schedule

from myx.executor.v1 import schedule_service_pb2 as pb
from myx_executor.convert.scheduled_work import request_of, work_of, work_to_proto
from myx_executor.domain.cron import Cron
from myx_executor.domain.schedules import (
    MAX_RECORDED,
    RULES,
    UNDECIDED,
    FireOutcome,
    Missed,
    Overlap,
    Schedule,
    Turn,
    look,
    next_after,
    turn,
)
from myx_executor.usecases.schedules.sealing import open_work, seal_work
from myx_kit.errors import Internal, InvalidArgument
from myx_kit.ids import new_id
from myx_kit.secretbox import SecretBox

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
GRACE_S = 60
PENDING, MISSED = FireOutcome.PENDING, FireOutcome.MISSED


def outcomes(of: Schedule, now: datetime) -> list[tuple[datetime, FireOutcome]]:
    return [(fire.slot_at, fire.outcome) for fire in look(of, now, GRACE_S).fires]


def test_a_time_that_has_come_is_to_be_started_and_the_next_one_is_set():
    due = look(schedule(), NOON + timedelta(seconds=1), GRACE_S)
    assert [(fire.slot_at, fire.outcome, fire.reason) for fire in due.fires] == [(NOON, PENDING, "")]
    assert (due.last_slot_at, due.next_at) == (NOON, NOON + HOUR)


def test_a_time_that_is_seen_too_late_is_missed():
    assert outcomes(schedule(), NOON + timedelta(seconds=GRACE_S)) == [(NOON, PENDING)]
    assert outcomes(schedule(), NOON + timedelta(seconds=GRACE_S + 1)) == [(NOON, MISSED)]


def test_run_once_starts_one_of_all_that_were_missed_if_it_is_not_too_old():
    late = schedule(missed=Missed.RUN_ONCE)
    now = NOON + 3 * HOUR + 10 * MINUTE
    assert outcomes(late, now) == [(NOON + n * HOUR, MISSED) for n in range(3)] + [(NOON + 3 * HOUR, PENDING)]
    assert outcomes(replace(late, missed_within_s=300), now) == [(NOON + n * HOUR, MISSED) for n in range(4)]
    assert look(late, now, GRACE_S).fires[-1].reason == "late"


def test_after_a_gap_a_time_that_is_on_time_is_started_whatever_the_policy():
    now = NOON + 2 * HOUR + timedelta(seconds=5)
    assert outcomes(schedule(), now)[-1] == (NOON + 2 * HOUR, PENDING)


def test_a_paused_schedule_starts_nothing_and_says_so():
    due = look(schedule(paused=True, missed=Missed.RUN_ONCE), NOON, GRACE_S)
    assert [(fire.outcome, fire.reason) for fire in due.fires] == [(MISSED, "paused")]
    assert due.next_at == NOON + HOUR


def test_a_long_gap_is_recorded_in_part():
    minutely = schedule(cron=Cron("* * * * *", "UTC"), next_at=NOON - timedelta(days=400))
    due = look(minutely, NOON, GRACE_S)
    assert [fire.outcome for fire in due.fires] == [MISSED] * MAX_RECORDED + [PENDING]
    assert due.fires[0].message == "this one and those before it"
    assert due.fires[-1].slot_at == NOON


def test_a_clock_that_goes_back_makes_no_time_again():
    cron = Cron("0 * * * *", "UTC")
    assert next_after(cron, NOON - 5 * HOUR, NOON) == NOON + HOUR
    assert next_after(cron, NOON, None) == NOON + HOUR


def test_the_stored_time_counts_even_if_the_expression_does_not_mean_it_any_more():
    odd = NOON + timedelta(seconds=7)
    assert outcomes(schedule(next_at=odd), odd) == [(odd, PENDING)]


def test_a_schedule_without_further_times_is_over():
    last = schedule(cron=Cron("0 0 29 2 *", "UTC"))
    assert look(last, NOON, GRACE_S).next_at == datetime(2028, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("overlap", "ahead", "running", "outcome"),
    [
        (Overlap.SKIP, 0, None, FireOutcome.STARTED),
        (Overlap.SKIP, 1, None, FireOutcome.SKIPPED),
        (Overlap.SKIP, 0, "command x", FireOutcome.SKIPPED),
        (Overlap.WAIT, 0, None, FireOutcome.STARTED),
        (Overlap.WAIT, 0, "command x", FireOutcome.WAITING),
        (Overlap.WAIT, 1, None, FireOutcome.WAITING),
        (Overlap.WAIT, 1, "command x", FireOutcome.SKIPPED),
        (Overlap.WAIT, 2, None, FireOutcome.SKIPPED),
        (Overlap.ALLOW, 3, "command x", FireOutcome.STARTED),
    ],
)
def test_whose_turn_it_is(overlap, ahead, running, outcome):
    decided = turn(overlap, ahead=ahead, running=running)
    assert decided.outcome is outcome
    assert decided == Turn(outcome) or (running or "the one before") in decided.message


def test_every_undecided_state_has_a_deadline_and_an_end():
    assert set(RULES) == UNDECIDED
    for rule in RULES.values():
        assert rule.deadline
        assert rule.at_deadline not in UNDECIDED


# ---- what is stored of work ---------------------------------------------------------------------------------


def command_work() -> pb.ScheduledWork:
    work = pb.ScheduledWork()
    work.command.server, work.command.command = "web-1", "/bin/true"
    work.command.env["A"] = "1"
    work.command.secret_env["TOKEN"] = "hush"
    work.command.stdin = b"\0secret"
    work.command.timeout.seconds = 5
    return work


def job_work() -> pb.ScheduledWork:
    work = pb.ScheduledWork()
    work.job.selector = "env=prod"
    work.job.work.deployment.kind = "caddy"
    work.job.work.deployment.extra_vars["port"] = 80
    work.job.work.deployment.secret_vars["key"] = "hush"
    work.job.options.concurrency.percent = 12.5
    return work


@pytest.mark.parametrize("message", [command_work(), job_work()])
def test_work_is_kept_without_its_secrets_and_comes_back_with_them(message):
    work = work_of(message)
    assert "hush" not in f"{work.document}{work!r}"
    whole = message.command if message.HasField("command") else message.job
    assert request_of(work) == whole
    shown = work_to_proto(work)
    assert "hush" not in str(shown)
    assert b"secret" not in shown.SerializeToString()
    assert "TOKEN" in str(shown) or "key" in str(shown)


def test_work_that_says_what_the_schedule_decides_is_refused():
    for name in ("request_id", "requested_by"):
        message = command_work()
        setattr(message.command, name, "x")
        with pytest.raises(InvalidArgument) as caught:
            work_of(message)
        assert caught.value.fields["field"] == f"work.command.{name}"
    with pytest.raises(InvalidArgument) as caught:
        work_of(pb.ScheduledWork())
    assert caught.value.fields["field"] == "work"


def test_work_that_has_no_stored_form_is_refused_with_its_field():
    long, odd, nan = command_work(), command_work(), job_work()
    long.command.timeout.seconds = 1 << 62
    odd.command.queue_timeout.seconds, odd.command.queue_timeout.nanos = 1, -1
    nan.job.work.deployment.extra_vars["ratio"] = float("nan")
    fields = {"work.command.timeout": long, "work.command.queue_timeout": odd}
    fields["work.job.work.deployment.extra_vars"] = nan
    for field, message in fields.items():
        with pytest.raises(InvalidArgument) as caught:
            work_of(message)
        assert (caught.value.reason, caught.value.fields["field"]) == ("SCHEDULE_INVALID", field)


def test_secrets_are_sealed_for_their_schedule():
    box, mine, other = SecretBox({"k1": b"1" * 32}, "k1"), new_id(), new_id()
    work = work_of(command_work())
    sealed = seal_work(box, mine, work)
    assert b"hush" not in sealed
    bare = replace(work, secrets={}, stdin=b"")
    assert open_work(box, mine, bare, sealed) == work
    with pytest.raises(Internal):
        open_work(box, other, bare, sealed)
    assert seal_work(box, mine, bare) is None
