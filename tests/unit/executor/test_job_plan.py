"""Planning of jobs: the frozen list, and what is to be done now, under whatever happens to the targets."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myx_executor.domain import job_plan as plan
from myx_executor.domain.job_states import JOB_FINAL, TARGET_FINAL
from myx_executor.domain.jobs import JobOptions, JobStatus, Share, TargetStatus

T, J = TargetStatus, JobStatus
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def servers(count, labels=(None,)):
    return [plan.Candidate(f"id-{n:03}", f"host-{n:03}", "", labels[n % len(labels)]) for n in range(count)]


def batches(count, options, labels=(None,)):
    places = plan.freeze(servers(count, labels), options)
    sizes = {}
    for place in places:
        sizes[place.batch] = sizes.get(place.batch, 0) + 1
    return [sizes[batch] for batch in sorted(sizes)]


def test_the_hash_is_over_the_sorted_ids_each_with_a_newline():
    assert plan.targets_sha256(["b", "a"]) == hashlib.sha256(b"a\nb\n").hexdigest()


def test_without_batches_all_targets_are_one():
    assert batches(7, JobOptions()) == [7]


def test_sizes_follow_each_other_and_the_last_one_is_repeated():
    assert batches(12, JobOptions(batches=(Share(1), Share(percent=25.0)))) == [1, 3, 3, 3, 2]


def test_the_canary_comes_first():
    assert batches(10, JobOptions(canary=Share(2), batches=(Share(percent=50.0),))) == [2, 5, 3]


def test_label_groups_are_in_order_of_their_value_and_those_without_come_last():
    options = JobOptions(batch_label="rack")
    places = plan.freeze(servers(7, ("b", None, "a")), options)
    assert [(place.batch, place.candidate.label_value) for place in places] == [
        (1, "a"),
        (1, "a"),
        (2, "b"),
        (2, "b"),
        (2, "b"),
        (3, None),
        (3, None),
    ]


def test_a_server_that_is_named_twice_is_one_target():
    assert len(plan.freeze(servers(3) + servers(3), JobOptions())) == 3


@pytest.mark.parametrize(
    ("share", "total", "count"),
    [
        (Share(3), 100, 3),
        (Share(percent=10.0), 1000, 100),
        (Share(percent=10.0), 101, 11),
        (Share(percent=0.1), 5, 1),
        (Share(percent=100.0), 7, 7),
        (Share(percent=29.0), 100, 29),
    ],
)
def test_a_part_is_rounded_up(share, total, count):
    assert share.of(total) == count


shares = st.one_of(
    st.integers(1, 12).map(Share), st.floats(0.5, 100, allow_nan=False).map(lambda part: Share(percent=part))
)
limits = st.one_of(st.none(), st.integers(0, 8).map(Share), shares)
options_of_all_kinds = st.builds(
    JobOptions,
    concurrency=shares,
    batches=st.lists(shares, max_size=3).map(tuple),
    batch_pause_s=st.sampled_from([0.0, 30.0]),
    canary=st.one_of(st.none(), shares),
    max_failed=limits,
    max_unreachable=limits,
    deadline_s=st.sampled_from([60.0, 3600.0]),
) | st.builds(JobOptions, concurrency=shares, batch_label=st.just("rack"), max_failed=limits)


class Simulation:
    """A job whose targets end as they are told, with time that passes."""

    def __init__(self, options, places):
        self.options = options
        self.tally = plan.Tally((place.number, place.batch, T.WAITING) for place in places)
        self.status, self.reason = J.PENDING, ""
        self.batch, self.hold_until = 0, None
        self.now = NOW
        self.deadline_at = NOW + timedelta(seconds=options.deadline_s)
        self.started = []
        self.final = None

    def step(self, at_once=200):
        standing = plan.Standing(self.status, self.options, self.batch, self.hold_until, self.deadline_at, self.reason)
        step = plan.decide(standing, self.tally, self.now, at_once)
        match step:
            case plan.Begin():
                self.status = J.RUNNING
                self.batch = 1
            case plan.Advance(batch, hold_s):
                assert self.tally.open_in(self.batch) == 0
                self.batch, self.hold_until = batch, self.now + timedelta(seconds=hold_s)
            case plan.Start(numbers):
                self.start(numbers, at_once)
            case plan.Stop(reason, _):
                self.status, self.reason = J.STOPPING, reason
                self.drop_waiting()
                self.deadline_at = max(self.deadline_at, self.now + timedelta(seconds=900))
            case plan.CancelRest():
                self.cancel()
            case plan.GiveUp():
                for number in self.running():
                    self.tally.update(number, T.UNKNOWN)
            case plan.Finish(status, _, _):
                self.final = status
        self.check()
        return step

    def start(self, numbers, at_once):
        assert numbers
        assert len(numbers) <= at_once
        for number in numbers:
            assert number in self.tally
            assert self.tally.status(number) is T.WAITING
            assert number not in self.started
            self.started.append(number)
            self.tally.update(number, T.RUNNING)
        assert self.tally.running <= self.options.concurrency.of(len(self.tally))

    def cancel(self):
        self.status = J.CANCELLING
        self.drop_waiting()
        self.deadline_at = self.now + timedelta(days=2)

    def drop_waiting(self):
        for number in [n for n in range(1, len(self.tally) + 1) if self.tally.status(n) is T.WAITING]:
            self.tally.update(number, T.NOT_STARTED)

    def running(self):
        return [n for n in range(1, len(self.tally) + 1) if self.tally.status(n) is T.RUNNING]

    def check(self):
        assert sum(self.tally.counts.values()) == len(self.tally)


ends = st.sampled_from([T.SUCCESS, T.SUCCESS, T.FAILED, T.UNREACHABLE, T.TIMEOUT, T.LOST, T.UNKNOWN, T.SKIPPED])


@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(1, 25), options_of_all_kinds, st.integers(1, 5))
def test_a_job_always_ends_and_never_breaks_its_limits(data, count, options, at_once):
    world = Simulation(options, plan.freeze(servers(count, ("a", "b", None)), options))
    for _ in range(3000):
        step = world.step(at_once)
        if world.final is not None:
            break
        if not isinstance(step, plan.Wait):
            continue
        running = world.running()
        match data.draw(st.sampled_from(["end", "end", "end", "time", "pause", "cancel"])):
            case "end" if running:
                number = data.draw(st.sampled_from(running))
                world.tally.update(number, T.CANCELLED if world.status is J.CANCELLING else data.draw(ends))
            case "pause" if world.status is J.RUNNING:
                world.status = J.PAUSED
            case "pause" if world.status is J.PAUSED:
                world.status = J.RUNNING
            case "cancel" if data.draw(st.integers(0, 9)) == 0 and world.status is not J.CANCELLING:
                world.cancel()
            case _:
                world.now = step.until
    assert world.final in JOB_FINAL
    assert sum(world.tally.counts[status] for status in TARGET_FINAL) == count
    if world.final is J.SUCCESS:
        assert world.tally.counts[T.SUCCESS] == count
    if world.final in (J.STOPPED, J.CANCELLED, J.FAILED):
        assert world.tally.counts[T.SUCCESS] < count


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(2, 25), st.integers(0, 5), st.integers(0, 5), shares)
def test_past_a_threshold_nothing_is_started_and_each_kind_counts_for_itself(
    data, count, max_failed, max_unreachable, concurrency
):
    options = JobOptions(concurrency=concurrency, max_failed=Share(max_failed), max_unreachable=Share(max_unreachable))
    world = Simulation(options, plan.freeze(servers(count), options))
    while world.final is None:
        step = world.step()
        over = world.tally.failed > max_failed or world.tally.unreachable > max_unreachable
        assert not (over and isinstance(step, plan.Start))
        if isinstance(step, plan.Stop):
            assert over
            assert step.reason == ("max_failed" if world.tally.failed > max_failed else "max_unreachable")
        if isinstance(step, plan.Wait) and (running := world.running()):
            world.tally.update(data.draw(st.sampled_from(running)), data.draw(ends))
    if world.tally.counts[T.NOT_STARTED]:
        assert world.final is J.STOPPED


@pytest.mark.parametrize("unbegun", [0, 1])
def test_past_a_threshold_what_is_not_known_to_have_begun_is_not_started_either(unbegun):
    options = JobOptions(max_failed=Share(0))
    tally = plan.Tally([(1, 1, T.FAILED), (2, 1, T.RUNNING)])
    standing = plan.Standing(J.RUNNING, options, 1, None, NOW + timedelta(hours=1), unbegun=unbegun)
    assert isinstance(plan.decide(standing, tally, NOW, 10), plan.Stop if unbegun else plan.Wait)


def test_a_batch_ends_although_half_of_it_is_unreachable():
    options = JobOptions(batches=(Share(4),))
    world = Simulation(options, plan.freeze(servers(8), options))
    while world.final is None:
        if isinstance(world.step(), plan.Wait):
            for number in world.running():
                world.tally.update(number, T.UNREACHABLE if number % 2 else T.SUCCESS)
    assert world.final is J.PARTIAL
    assert world.tally.counts[T.SUCCESS] == world.tally.counts[T.UNREACHABLE] == 4


def test_what_never_ends_is_cancelled_after_the_deadline_and_unknown_when_that_is_never_proved():
    options = JobOptions(deadline_s=60)
    world = Simulation(options, plan.freeze(servers(3), options))
    seen = []
    while world.final is None:
        step = world.step()
        seen.append(type(step))
        if isinstance(step, plan.Wait):
            world.now = step.until
    assert [kind for kind in seen if kind is not plan.Wait] == [
        plan.Begin,
        plan.Start,
        plan.Stop,
        plan.CancelRest,
        plan.GiveUp,
        plan.Finish,
    ]
    assert world.tally.counts[T.UNKNOWN] == 3


def test_a_failed_canary_stops_at_once():
    options = JobOptions(canary=Share(2), batches=(Share(3),))
    world = Simulation(options, plan.freeze(servers(8), options))
    while not isinstance(world.step(), plan.Wait):
        pass
    assert world.running() == [1, 2]
    world.tally.update(1, T.UNREACHABLE)
    assert world.step() == plan.Stop("canary_failed", "1 of the canary's targets did not succeed")
    world.tally.update(2, T.SUCCESS)
    assert isinstance(world.step(), plan.Finish)
    assert world.final is J.STOPPED


def test_after_the_canary_it_waits_and_then_goes_on():
    options = JobOptions(canary=Share(1), canary_soak_s=60)
    world = Simulation(options, plan.freeze(servers(3), options))
    while not isinstance(world.step(), plan.Wait):
        pass
    world.tally.update(1, T.SUCCESS)
    assert world.step() == plan.Advance(2, 60)
    step = world.step()
    assert step == plan.Wait(NOW + timedelta(seconds=60))
    world.now = step.until
    assert world.step() == plan.Start([2, 3])


def test_concurrency_that_shrinks_stops_nothing_and_starts_nothing():
    options = JobOptions(concurrency=Share(3))
    world = Simulation(options, plan.freeze(servers(6), options))
    while not isinstance(world.step(), plan.Wait):
        pass
    world.options = JobOptions(concurrency=Share(1))
    world.tally.update(1, T.SUCCESS)
    assert isinstance(world.step(), plan.Wait)
    world.tally.update(2, T.SUCCESS)
    world.tally.update(3, T.SUCCESS)
    assert world.step() == plan.Start([4])
