from myx_heartbeat.usecases.schedule import Lane, Schedule


def test_agents_come_out_by_due_time():
    schedule = Schedule()
    for name, due in (("c", 3), ("a", 1), ("b", 2)):
        schedule.put(name, due, Lane.LIVING)

    assert [schedule.pop_due(Lane.LIVING, 2.5) for _ in range(3)] == ["a", "b", None]
    assert schedule.next_due(Lane.LIVING) == 3


def test_the_lanes_do_not_see_each_other():
    schedule = Schedule()
    schedule.put("dead", 1, Lane.SUSPECT)

    assert schedule.pop_due(Lane.LIVING, 9) is None
    assert schedule.pop_due(Lane.SUSPECT, 9) == "dead"


def test_an_agent_that_is_put_again_has_one_due_time():
    schedule = Schedule()
    schedule.put("a", 1, Lane.LIVING)
    schedule.put("a", 5, Lane.SUSPECT)

    assert schedule.pop_due(Lane.LIVING, 9) is None
    assert schedule.pop_due(Lane.SUSPECT, 9) == "a"
    assert len(schedule) == 0


def test_a_removed_agent_does_not_come_out():
    schedule = Schedule()
    schedule.put("a", 1, Lane.LIVING)
    schedule.remove("a")
    schedule.remove("never there")

    assert schedule.next_due(Lane.LIVING) is None


def test_moving_agents_for_ever_does_not_grow_memory():
    schedule = Schedule()
    for turn in range(10_000):
        schedule.put(f"agent-{turn % 10}", turn, Lane.LIVING)

    assert len(schedule._heaps[Lane.LIVING].entries) < 200
    assert schedule.next_due(Lane.LIVING) == 9990


def test_overdue_agents_are_told_with_their_lanes():
    schedule = Schedule()
    schedule.put("a", 1, Lane.LIVING)
    schedule.put("b", 1, Lane.SUSPECT)
    schedule.put("c", 9, Lane.LIVING)

    assert sorted(schedule.overdue(5), key=lambda one: one[0]) == [("a", Lane.LIVING), ("b", Lane.SUSPECT)]


def test_the_first_of_a_lane_are_brought_forward_and_none_is_put_off():
    schedule = Schedule()
    for name, due in (("overdue", 1), ("b", 20), ("c", 30), ("d", 40)):
        schedule.put(name, due, Lane.LIVING)
    schedule.put("dead", 10, Lane.SUSPECT)
    schedule.bring_forward(Lane.LIVING, 3, 5)

    assert [schedule.next_due(lane) for lane in Lane] == [1, 10]
    assert [schedule.pop_due(Lane.LIVING, 5) for _ in range(4)] == ["overdue", "b", "c", None]
    assert schedule.next_due(Lane.LIVING) == 40
    schedule.bring_forward(Lane.LIVING, 3, 5)
    assert schedule.next_due(Lane.LIVING) == 5
