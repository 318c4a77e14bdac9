"""Shares of the fleet."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myx_heartbeat.domain import Member, holder
from myx_heartbeat.usecases.membership import Alone, Membership
from myx_kit.errors import Unavailable

IDS = [f"agent-{number}" for number in range(600)]
T = datetime(2026, 1, 1, tzinfo=UTC)


class FakeStore:
    def __init__(self) -> None:
        self.ids: list[str] = []
        self.away = False

    async def renew(self, member_id, address, lease_s, agents):
        if self.away:
            raise Unavailable("DATABASE_UNAVAILABLE", "away")
        if member_id not in self.ids:
            self.ids.append(member_id)
        return [Member(one, address, T, T, 0) for one in self.ids]

    async def leave(self, member_id):
        if self.away:
            raise Unavailable("DATABASE_UNAVAILABLE", "away")
        self.ids.remove(member_id)


@given(st.sets(st.text(min_size=1, max_size=20), min_size=1, max_size=6), st.text(max_size=40))
def test_every_agent_has_one_holder_whatever_the_order(members, agent_id):
    one = holder(agent_id, sorted(members))
    assert one in members
    assert one == holder(agent_id, sorted(members, reverse=True))


def test_a_member_that_leaves_moves_only_its_share():
    before = {one: holder(one, ["a", "b", "c"]) for one in IDS}
    after = {one: holder(one, ["a", "c"]) for one in IDS}
    assert {one for one in IDS if before[one] != after[one]} == {one for one in IDS if before[one] == "b"}


def test_a_member_that_joins_takes_from_all_and_moves_nothing_else():
    before = {one: holder(one, ["a", "b"]) for one in IDS}
    after = {one: holder(one, ["a", "b", "c"]) for one in IDS}
    moved = [one for one in IDS if before[one] != after[one]]
    assert {after[one] for one in moved} == {"c"}
    assert {before[one] for one in moved} == {"a", "b"}


def test_shares_are_about_even():
    counts = Counter(holder(one, ["a", "b", "c"]) for one in IDS)
    assert all(140 <= counts[one] <= 260 for one in "abc"), counts


async def test_nothing_is_ours_before_the_first_renewal_and_all_when_we_are_alone():
    store = FakeStore()
    us = Membership(store, "us", 10)
    assert not any(map(us.is_mine, IDS))
    assert not us.has_joined
    assert await us.renew_once("127.0.0.1:1", 0)
    assert us.has_joined
    assert all(map(us.is_mine, IDS))
    assert not await us.renew_once("127.0.0.1:1", 600)
    assert all(map(Alone().is_mine, IDS))


async def test_shares_stay_while_the_database_is_away():
    store = FakeStore()
    us, other = Membership(store, "us", 10), Membership(store, "other", 10)
    await us.renew_once("x:1", 0)
    await other.renew_once("y:1", 0)
    assert await us.renew_once("x:1", 0)
    ours = [one for one in IDS if us.is_mine(one)]
    store.away = True
    with pytest.raises(Unavailable):
        await us.renew_once("x:1", 0)
    assert [one for one in IDS if us.is_mine(one)] == ours
    assert sorted(ours + [one for one in IDS if other.is_mine(one)]) == sorted(IDS)
    await us.leave()
    store.away = False
    await us.leave()
    assert await other.renew_once("y:1", 0)
    assert all(map(other.is_mine, IDS))
