"""Who has to leave when there are too many strangers."""

import pytest

from myx_agent.door import Strangers, group_of


class Guest:
    def __init__(self, name, strangers):
        self.strangers = strangers
        self.name = name
        self.group = name.partition("/")[0]
        self.dropped = False

    def drop(self):
        self.dropped = True
        self.strangers.leave(self)


@pytest.fixture
def enter():
    strangers = Strangers(total=6, per_group=3)
    guests = []

    def enter(*names):
        for name in names:
            guests.append(Guest(name, strangers))
            strangers.enter(guests[-1])
        return [guest.name for guest in guests if guest.dropped]

    enter.strangers = strangers
    enter.guests = guests
    return enter


def test_the_oldest_of_an_address_gives_way_to_its_newest(enter):
    assert enter("a/1", "a/2", "a/3", "b/1") == []
    assert enter("a/4", "a/5") == ["a/1", "a/2"]


def test_the_most_crowded_address_gives_way_to_others(enter):
    assert enter("a/1", "b/1", "a/2", "a/3", "b/2", "c/1") == []
    assert enter("d/1") == ["a/1"]


def test_an_address_that_showed_the_token_may_come_in_numbers(enter):
    enter("a/1")
    enter.strangers.admit(enter.guests[0])

    assert enter(*(f"a/{number}" for number in range(2, 8))) == []
    assert enter("a/8") == ["a/2"]
    assert enter("b/1") == ["a/2", "a/3"]


def test_unknown_addresses_give_way_to_known_ones(enter):
    enter("a/1")
    enter.strangers.admit(enter.guests[0])

    assert enter("a/2", "a/3", "b/1", "c/1", "d/1", "e/1", "a/4") == ["b/1"]


def test_half_of_all_make_room_and_the_lonely_stay(enter):
    enter("a/1", "a/2", "b/1", "a/3")
    enter.strangers.drop_half()

    assert [guest.name for guest in enter.guests if guest.dropped] == ["a/1", "a/2"]


def test_an_address_is_an_ipv4_address_or_an_ipv6_network():
    assert group_of("10.0.0.1") == group_of("::ffff:10.0.0.1") != group_of("::ffff:10.0.0.2")
    assert group_of("2001:db8:1:2::1") == group_of("2001:db8:1:2:3::9%eth0") != group_of("2001:db8:1:3::1")
    assert group_of("") == group_of("nonsense")
