"""A replica that sees most of its share fail suspects itself."""

from dataclasses import replace

import pytest

from myx_heartbeat.domain import Member, Outcome, Sighting, Status
from myx_heartbeat.usecases.doubt import CAUSE, Doubt
from myx_heartbeat.usecases.second_opinion import SecondOpinion
from myx_kit.errors import Unavailable


@pytest.fixture
def doubt(clock):
    return Doubt(clock, max_s=300, calm_s=120, recent_s=60)


def fail(doubt, report, name, cause="filtered"):
    return doubt.consider(report(name, cause), before=Status.ONLINE)


def answer(doubt, report, name):
    return doubt.consider(report(name), before=Status.ONLINE)


def names(count, start=0):
    return [f"host-{number}" for number in range(start, start + count)]


def test_a_few_dead_among_many_living_are_believed(doubt, report):
    for round_ in range(20):
        for name in names(9):
            answer(doubt, report, name)
        assert fail(doubt, report, f"dead-{round_}").status is Status.OFFLINE
    assert doubt.suspicion is None


def test_an_agent_that_answers_often_counts_once(doubt, report):
    for name in names(3):
        doubt.slow(f"id-{name}")
    for _ in range(20):
        answer(doubt, report, "living")
    assert {fail(doubt, report, name).status for name in names(3)} == {Status.UNKNOWN}
    for _ in range(20):
        answer(doubt, report, "living")
    assert doubt.suspicion is not None


def test_who_answered_before_the_failures_began_does_not_count(doubt, report):
    doubt.slow("id-host-0")
    for name in names(30, start=10):
        answer(doubt, report, name)
    assert fail(doubt, report, "host-0").status is Status.OFFLINE
    for name in names(4):
        doubt.slow(f"id-{name}")
    assert fail(doubt, report, "host-1").status is Status.UNKNOWN


def test_who_fails_again_during_a_suspicion_is_no_change(doubt, report):
    for name in names(5):
        doubt.slow(f"id-{name}")
    assert fail(doubt, report, "host-0").is_transition
    again = doubt.consider(report("host-0", "filtered"), before=Status.UNKNOWN)
    assert (again.status, again.is_transition) == (Status.UNKNOWN, False)


def test_two_failures_prove_nothing_about_us(doubt, report):
    assert [fail(doubt, report, name).status for name in names(2)] == [Status.OFFLINE] * 2


def test_nobody_is_marked_while_most_fail_slowly(doubt, report):
    for name in names(30):
        doubt.slow(f"id-{name}")
    reports = [fail(doubt, report, name) for name in names(30)]
    assert {one.status for one in reports} == {Status.UNKNOWN}
    assert {one.outcome.cause for one in reports} == {CAUSE}
    assert all(one.is_transition for one in reports)
    assert doubt.suspicion is not None


def test_answers_end_the_suspicion_and_the_rest_is_judged_at_its_next_check(doubt, report):
    for name in names(10):
        doubt.slow(f"id-{name}")
    assert fail(doubt, report, "host-0").status is Status.UNKNOWN
    for name in names(6, start=4):
        assert answer(doubt, report, name).status is Status.ONLINE
    assert doubt.suspicion is None
    assert doubt.consider(report("host-0", "filtered"), before=Status.UNKNOWN).status is Status.OFFLINE


def test_what_was_held_back_comes_with_the_confirmation_and_more_is_believed_for_a_while(doubt, report, clock):
    for name in names(10):
        doubt.slow(f"id-{name}")
    for name in names(4):
        fail(doubt, report, name, "no_route")
    held = doubt.believe("seen by another")
    assert sorted(one.agent_id for one in held) == [f"id-{name}" for name in names(4)]
    assert {(one.status, one.outcome.cause) for one in held} == {(Status.OFFLINE, "no_route")}
    assert {fail(doubt, report, name).status for name in names(6, start=4)} == {Status.OFFLINE}
    clock.now += 121
    for name in names(5, start=20):
        doubt.slow(f"id-{name}")
    assert fail(doubt, report, "host-20").status is Status.UNKNOWN


def test_agents_that_were_offline_before_are_no_sign(doubt, report):
    for name in names(50):
        assert doubt.consider(report(name, "filtered"), before=Status.OFFLINE).status is Status.OFFLINE
    assert doubt.suspicion is None


def test_a_skewed_clock_is_no_failure(doubt, report):
    for name in names(50):
        assert doubt.consider(report(name, "clock_skew"), before=Status.ONLINE).status is Status.UNKNOWN
    assert doubt.suspicion is None


def test_a_share_that_went_to_others_takes_the_suspicion_along(doubt, report):
    for name in names(5):
        doubt.slow(f"id-{name}")
    fail(doubt, report, "host-0")
    doubt.forget([f"id-{name}" for name in names(5)])
    assert doubt.suspicion is None


@pytest.mark.parametrize("old", [1, 3, 10])
def test_those_that_hang_since_long_do_not_speak_for_us(doubt, report, old):
    for name in names(old, start=1000):
        doubt.slow(f"id-{name}")
    for name in names(500):
        answer(doubt, report, name)
    for name in names(old + 3):
        doubt.slow(f"id-{name}")
    assert fail(doubt, report, "host-0").status is Status.UNKNOWN
    assert "id-host-1000" not in doubt.failing


def test_a_run_of_failures_among_many_that_die_is_no_sign(doubt, report):
    for number in range(40):
        doubt.slow(f"id-dead-{number}")
        for name in names(9, start=9 * number):
            answer(doubt, report, name)
    for number in range(40, 43):
        doubt.slow(f"id-dead-{number}")
    assert fail(doubt, report, "dead-0").status is Status.OFFLINE


def test_agents_that_are_unknown_are_doubted_as_those_that_were_online(doubt, report):
    for name in names(5):
        doubt.slow(f"id-{name}")
    for name in names(5):
        told = doubt.consider(report(name, "filtered"), before=Status.UNKNOWN)
        assert (told.status, told.is_transition) == (Status.UNKNOWN, False)
    assert doubt.suspicion is not None
    # One that another replica doubted, and that is ours now.
    assert doubt.consider(report("host-9", "filtered"), before=Status.UNKNOWN).status is Status.UNKNOWN
    assert len(doubt.believe("seen by another")) == 6


def test_one_that_is_unknown_and_dead_is_offline(doubt, report):
    for name in names(9):
        answer(doubt, report, name)
    assert doubt.consider(report("host-9", "filtered"), before=Status.UNKNOWN).status is Status.OFFLINE


def test_the_third_that_fails_with_no_answer_in_between_is_doubted_however_quickly_they_fail(doubt, report, clock):
    for name in names(30):
        answer(doubt, report, name)
    told = []
    for name in names(3):
        told.append(fail(doubt, report, name).status)
        clock.now += 25
    assert told == [Status.OFFLINE, Status.OFFLINE, Status.UNKNOWN]
    again = doubt.consider(report("host-0", "filtered"), before=Status.OFFLINE)
    assert (again.status, doubt.suspicion is None) == (Status.OFFLINE, False)


def test_failures_that_are_far_apart_or_have_answers_between_them_are_believed(doubt, report, clock):
    for name in names(4):
        assert fail(doubt, report, name).status is Status.OFFLINE
        clock.now += 31
    clock.now += 60
    for name in names(4, start=10):
        assert fail(doubt, report, name).status is Status.OFFLINE
        for number in range(2):
            answer(doubt, report, f"living-{number}-{name}")


def test_an_agent_that_was_offline_before_stays_so_through_doubt_and_recovery(suspicious, report, clock):
    began = clock.now
    clock.now += 10
    for name in names(5):
        answer(suspicious, report, name)
    dead = report("dead", "filtered", known=(Status.OFFLINE, "filtered"))
    told = suspicious.consider(dead, before=Status.OFFLINE, started=began)
    assert (told.status, told.is_transition) == (Status.OFFLINE, False)


def test_what_an_agent_of_another_replica_was_said_to_be_while_our_network_was_broken_is_doubted(
    suspicious, report, clock
):
    began = clock.now
    clock.now += 10
    for name in names(5):
        answer(suspicious, report, name)
    assert suspicious.consider_other(report("other", "filtered"), started=began).status is Status.UNKNOWN
    assert suspicious.consider_other(report("other", "filtered"), started=clock.now).status is Status.OFFLINE


class Share:
    def __init__(self, others=()):
        self.others = others
        self.is_suspended = False


class Peers:
    def __init__(self, cause=None, *, doubts_itself=False):
        self.cause = cause
        self.doubts_itself = doubts_itself

    async def probe(self, member, agent_ids):
        if self.cause is None:
            raise Unavailable("SERVICE_UNAVAILABLE", "away")
        return Sighting(dict.fromkeys(agent_ids, self.cause), self.doubts_itself)


class World:
    def __init__(self, doubt, endpoint, share, peers=None, *, ssh=True, answers=False):
        self.ssh, self.answers, self.confirmed = ssh, answers, []
        self.opinion = SecondOpinion(
            doubt,
            share,
            peers or Peers(),
            self.probe,
            endpoint_of=lambda agent_id: replace(endpoint(agent_id.removeprefix("id-")), ssh_port=22),
            ssh_answers=self.ask_ssh,
            on_confirmed=self.confirmed.extend,
        )

    async def ask_ssh(self, endpoint):
        return self.ssh

    async def probe(self, endpoint, *, retry):
        return Outcome() if self.answers else Outcome(cause="filtered")


@pytest.fixture
def suspicious(doubt, report):
    for name in names(8):
        doubt.slow(f"id-{name}")
    for name in names(8):
        fail(doubt, report, name)
    return doubt


def other(now):
    return Member("other", "127.0.0.1:1", now, now, 0)


@pytest.fixture
def others(report):
    return [other(report("x").checked_at)]


def test_a_check_that_began_before_the_recovery_marks_nobody(suspicious, doubt, report, clock):
    began = clock.now
    clock.now += 10
    for name in names(5):
        answer(doubt, report, name)
    assert doubt.suspicion is None
    late = report("host-7", "filtered")
    for before in (Status.ONLINE, Status.UNKNOWN):
        assert doubt.consider(late, before=before, started=began).status is Status.UNKNOWN
    clock.now += 1
    assert doubt.consider(late, before=Status.UNKNOWN, started=clock.now).status is Status.OFFLINE


def held_through_a_recovery(doubt, report, clock):
    """The first five of eight answer again, and the network stays; host-5 to host-7 are unknown."""
    clock.now += 10
    for name in names(5):
        answer(doubt, report, name)
    assert doubt.suspicion is None
    for name in names(8, start=50):
        answer(doubt, report, name)
    clock.now += 20


def fails_in_another_suspicion(doubt, report, clock, answering):
    began = clock.now
    for name in ("host-7", *names(6, start=20)):
        doubt.slow(f"id-{name}")
    assert fail(doubt, report, "host-20").status is Status.UNKNOWN
    for name in names(answering, start=30):
        answer(doubt, report, name)
    clock.now += 7
    assert doubt.suspicion is not None
    told = doubt.consider(report("host-7", "filtered"), before=Status.UNKNOWN, started=began)
    return told.status


def test_who_was_held_back_through_a_recovery_is_believed_though_others_begin_to_fail(suspicious, report, clock):
    held_through_a_recovery(suspicious, report, clock)
    assert fails_in_another_suspicion(suspicious, report, clock, answering=4) is Status.OFFLINE
    assert "id-host-7" not in suspicious.failing


@pytest.mark.parametrize("answering", [0, 1, 2])
def test_another_outage_marks_nobody_who_was_held_back_before(suspicious, report, clock, answering):
    held_through_a_recovery(suspicious, report, clock)
    assert fails_in_another_suspicion(suspicious, report, clock, answering) is Status.UNKNOWN


def test_who_answered_is_held_back_anew(suspicious, report, clock):
    held_through_a_recovery(suspicious, report, clock)
    answer(suspicious, report, "host-7")
    assert fails_in_another_suspicion(suspicious, report, clock, answering=4) is Status.UNKNOWN


def test_nobody_is_held_back_for_longer_than_a_suspicion_may_last(suspicious, report, clock):
    held_through_a_recovery(suspicious, report, clock)
    clock.now += 270
    assert fails_in_another_suspicion(suspicious, report, clock, answering=0) is Status.OFFLINE


def test_a_look_at_the_share_is_no_recovery(suspicious, report, clock):
    """When the time is over each may be believed by its own check, before anybody asks whether the time is over."""
    clock.now += 301
    for name in names(8):
        assert suspicious.consider(report(name, "filtered"), before=Status.UNKNOWN).status is Status.OFFLINE
    suspicious.forget([])
    assert suspicious.overdue()


async def test_alone_the_ssh_ports_of_hosts_confirm(suspicious, endpoint):
    world = World(suspicious, endpoint, Share(), ssh=True)
    await world.opinion.run_once()
    assert len(world.confirmed) == 8
    assert suspicious.suspicion is None


async def test_a_network_that_came_back_while_hosts_were_asked_is_no_proof_against_agents(suspicious, endpoint):
    world = World(suspicious, endpoint, Share(), ssh=True, answers=True)
    await world.opinion.run_once()
    assert not world.confirmed
    assert suspicious.suspicion is not None


async def test_alone_without_ssh_it_waits_for_as_long_as_it_may(suspicious, endpoint, clock):
    world = World(suspicious, endpoint, Share(), ssh=False)
    await world.opinion.run_once()
    assert not world.confirmed
    assert "0 of 8" in suspicious.suspicion.message
    clock.now += 301
    await world.opinion.run_once()
    assert len(world.confirmed) == 8


async def test_another_replica_that_fails_too_and_does_not_doubt_itself_confirms(suspicious, endpoint, others):
    world = World(suspicious, endpoint, Share(others), Peers("filtered"), ssh=False)
    await world.opinion.run_once()
    assert len(world.confirmed) == 8


async def test_another_replica_that_doubts_itself_confirms_nothing(suspicious, endpoint, others, clock):
    world = World(suspicious, endpoint, Share(others), Peers("filtered", doubts_itself=True), ssh=False)
    await world.opinion.run_once()
    assert not world.confirmed
    assert "replica other does not reach 8 of 8 either, but doubts itself" in suspicious.suspicion.message
    assert "0 of 8 of their hosts" in suspicious.suspicion.message
    clock.now += 301
    await world.opinion.run_once()
    assert len(world.confirmed) == 8


async def test_where_another_replica_doubts_itself_hosts_confirm(suspicious, endpoint, others):
    world = World(suspicious, endpoint, Share(others), Peers("filtered", doubts_itself=True), ssh=True)
    await world.opinion.run_once()
    assert len(world.confirmed) == 8


@pytest.mark.parametrize("doubts_itself", [False, True])
async def test_a_replica_that_is_cut_off_leaves_its_share_until_it_reaches_agents_again(
    suspicious, endpoint, others, doubts_itself
):
    share = Share(others)
    # Who doubts itself and reaches them all the same is better off than we are.
    world = World(suspicious, endpoint, share, Peers("", doubts_itself=doubts_itself))
    await world.opinion.run_once()
    assert share.is_suspended
    assert not world.confirmed
    await world.opinion.run_once()
    assert share.is_suspended
    world.answers = True
    await world.opinion.run_once()
    assert not share.is_suspended


async def test_the_last_replica_never_stays_away(suspicious, endpoint, others):
    share = Share(others)
    world = World(suspicious, endpoint, share, Peers(""))
    await world.opinion.run_once()
    share.others = []
    await world.opinion.run_once()
    assert not share.is_suspended


async def test_a_replica_that_cannot_be_asked_confirms_nothing(suspicious, endpoint, others):
    world = World(suspicious, endpoint, Share(others), Peers())
    await world.opinion.run_once()
    assert not world.confirmed
    assert "could not be asked" in suspicious.suspicion.message
