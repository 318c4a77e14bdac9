"""Reports are dated by the registry's clock."""

from datetime import UTC, datetime, timedelta

import pytest

from myx_heartbeat.usecases.registry_clock import RegistryClock

T = datetime(2026, 1, 1, tzinfo=UTC)


class Own:
    """A clock of this host that is wrong and can be set."""

    now = T

    def __call__(self):
        return self.now


@pytest.fixture
def own():
    return Own()


@pytest.fixture
def time(own, clock):
    return RegistryClock(own, clock)


def seconds(number):
    return timedelta(seconds=number)


def test_it_is_our_own_until_the_registry_tells_its_time(time, own):
    assert time() == T
    own.now += seconds(5)
    assert time() == T + seconds(5)


@pytest.mark.parametrize("off_s", [-3600, -7, 7, 3600])
def test_a_clock_that_is_wrong_or_set_does_not_matter(time, own, clock, off_s):
    time.hear(T + seconds(off_s), time.begin())
    assert time() == T + seconds(off_s)

    own.now += seconds(12_345)
    clock.now += 2
    assert time() == T + seconds(off_s + 2)


@pytest.mark.parametrize(("told_s", "believed_s"), [(-5, -3), (-2, 0), (-1, 0), (0, 0), (4, 4)])
def test_an_answer_that_took_long_corrects_no_more_than_it_proves(time, clock, told_s, believed_s):
    time.hear(T, time.begin())
    asked = time.begin()
    clock.now += 2
    time.hear(T + seconds(2 + told_s), asked)
    assert time() == T + seconds(2 + believed_s)
