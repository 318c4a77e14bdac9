import asyncio

import pytest

from myx_heartbeat.usecases.reports import MAX_CHANGES, Reports


def test_of_one_agent_the_newest_report_is_kept(report):
    reports = Reports(10)
    reports.add(report("a", second=1))
    reports.add(report("a", second=2))

    (one,) = reports.take()
    assert one.checked_at.second == 2


def test_transitions_go_first(report):
    reports = Reports(10)
    reports.add(report("a"))
    reports.add(report("b", "refused"))

    assert [one.agent_id for one in reports.take()] == ["id-b", "id-a"]


def test_plain_samples_are_dropped_first_and_oldest_first(report):
    reports = Reports(2)
    for name in "abc":
        reports.add(report(name))
    for number in range(100):
        reports.add(report(f"down-{number}", "refused"))

    left = [one.agent_id for one in reports.take()]
    assert len(left) == 102
    assert left[-2:] == ["id-b", "id-c"]
    assert reports.dropped == 1


def test_a_sample_does_not_hide_the_transition_before_it(report):
    reports = Reports(0)
    reports.add(report("a", "refused", second=1))
    reports.add(report("a", "refused", known=("offline", "refused"), second=2))

    (one,) = reports.take()
    assert (one.is_transition, one.checked_at.second) == (True, 1)


def test_every_change_is_told_in_its_order_however_long_the_registry_is_away(report):
    reports = Reports(0)
    reports.add(report("a", "refused", second=1))
    reports.add(report("a", known=("offline", "refused"), second=2))
    reports.take()
    reports.add(report("a", "hung", second=3))
    reports.put_back()

    assert [(one.checked_at.second, one.status) for one in reports.take()] == [
        (1, "offline"),
        (2, "online"),
        (3, "offline"),
    ]


def test_the_changes_of_one_agent_are_bounded_by_its_first_and_its_last_ones(report):
    reports = Reports(0)
    for second in range(50):
        reports.add(report("a", "refused", second=second))

    seconds = [one.checked_at.second for one in reports.take()]
    assert seconds == [0, *range(50 - MAX_CHANGES + 1, 50)]


def test_reports_that_take_the_place_of_others_count_for_them(report):
    reports = Reports(10)
    reports.add(report("a", second=1))
    reports.add(report("a", second=2))
    reports.add(report("a", "refused", second=3))

    (one,) = reports.take()
    assert (one.checks, one.answered) == (3, 2)


def test_a_batch_has_at_most_500(report):
    reports = Reports(10_000)
    for number in range(1200):
        reports.add(report(str(number)))

    sizes = []
    while batch := reports.take():
        sizes.append(len(batch))
        reports.confirm()
    assert sizes == [500, 500, 200]
    assert not reports.waiting.is_set()


def test_a_batch_that_was_not_taken_comes_again_unless_there_is_newer(report):
    reports = Reports(10)
    reports.add(report("a", "refused", second=1))
    reports.add(report("b", second=1))
    reports.take()
    reports.add(report("a", second=2))

    assert len(reports) == 3
    reports.put_back()

    one, two, three = reports.take()
    assert (one.agent_id, one.checked_at.second, one.is_transition, one.status) == ("id-a", 1, True, "offline")
    assert (two.agent_id, three.agent_id, three.checked_at.second) == ("id-b", "id-a", 2)


def test_what_is_left_of_a_deleted_agent_is_forgotten(report):
    reports = Reports(10)
    reports.add(report("a"))
    reports.add(report("b", "refused"))

    reports.forget(["id-a", "id-b", "id-c"])

    assert reports.take() == []


async def test_who_waits_for_an_agents_report_goes_on_when_the_registry_has_it(report):
    reports = Reports(10)
    reports.add(report("a"))
    reports.take()
    waiting = asyncio.ensure_future(reports.sent("id-a"))
    await asyncio.sleep(0)
    assert not waiting.done()

    reports.confirm()

    await asyncio.wait_for(waiting, 1)


async def test_nothing_to_send_is_nothing_to_wait_for():
    reports = Reports(10)

    await asyncio.wait_for(reports.sent("id-a"), 1)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reports.waiting.wait(), 0.01)
