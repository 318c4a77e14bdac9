from myx_heartbeat.domain import Status
from myx_heartbeat.usecases.schedule import Lane


def idle(_: str) -> bool:
    return False


def test_a_single_new_agent_is_due_at_once(fleet, endpoint, schedule, clock):
    fleet.replace([endpoint("a", Status.PENDING)], idle)

    assert schedule.next_due(Lane.SUSPECT) <= clock.now + 0.01


def test_a_whole_fleet_is_spread(fleet, endpoint, schedule, clock, chance):
    chance.share = 1.0
    fleet.replace([endpoint(str(number)) for number in range(1000)], idle)

    assert schedule.next_due(Lane.LIVING) == clock.now + 10


def test_agents_are_found_by_id_and_name_of_their_server(fleet, endpoint):
    fleet.replace([endpoint("a"), endpoint("b")], idle)

    assert fleet.of_server("b") is fleet.of_server("server-b") is fleet.get("id-b")
    assert fleet.of_server("c") is None


def test_agents_that_are_gone_are_told_and_forgotten(fleet, endpoint, schedule):
    fleet.replace([endpoint("a"), endpoint("b")], idle)

    assert fleet.replace([endpoint("b")], idle) == ["id-a"]
    assert (len(fleet), len(schedule), fleet.of_server("a")) == (1, 1, None)


def test_an_unchanged_agent_keeps_its_due_time(fleet, endpoint, schedule, clock):
    fleet.replace([endpoint("a")], idle)
    due = schedule.next_due(Lane.LIVING)
    clock.now += 5

    fleet.replace([endpoint("a", Status.OFFLINE)], idle)

    assert schedule.next_due(Lane.LIVING) == due


def test_another_status_in_the_registry_is_no_reason_for_another_check(fleet, endpoint, schedule, clock, report):
    fleet.replace([endpoint("a")], idle)
    schedule.pop_due(Lane.LIVING, clock.now + 1)
    fleet.settle(fleet.get("id-a"), report("a"))
    due = schedule.next_due(Lane.LIVING)

    fleet.replace([endpoint("a", Status.OFFLINE, revision=2)], idle)

    assert schedule.next_due(Lane.LIVING) == due
    assert fleet.get("id-a").endpoint.revision == 2


def test_an_agent_that_moved_is_due_at_once(fleet, endpoint, schedule, clock, report):
    fleet.replace([endpoint("a")], idle)
    schedule.pop_due(Lane.LIVING, clock.now + 1)
    fleet.settle(fleet.get("id-a"), report("a"))

    fleet.replace([endpoint("a", revision=2, port=2)], idle)

    assert schedule.next_due(Lane.LIVING) <= clock.now + 0.01
    assert fleet.get("id-a").endpoint.revision == 2


def test_an_agent_that_is_being_checked_gets_no_due_time_before_the_end(fleet, endpoint, schedule):
    fleet.replace([endpoint("a", revision=2)], lambda _: True)

    assert len(schedule) == 0


def test_an_outcome_sets_the_next_due_time_and_the_lane(fleet, endpoint, schedule, clock, chance, report):
    fleet.replace([endpoint("a")], idle)
    chance.share = 0.25
    schedule.remove("id-a")

    assert fleet.settle(fleet.get("id-a"), report("a", "refused"))

    assert schedule.next_due(Lane.SUSPECT) == clock.now + 30
    assert fleet.get("id-a").status is Status.OFFLINE


def test_a_new_agent_that_does_not_answer_yet_is_asked_again_soon_and_not_reported(
    fleet, endpoint, schedule, clock, report
):
    fleet.replace([endpoint("a", Status.PENDING)], idle)
    agent = fleet.get("id-a")

    assert not fleet.settle(agent, report("a", "refused", known=(Status.PENDING, "")))
    assert schedule.next_due(Lane.SUSPECT) == clock.now + 3

    clock.now += 121
    assert fleet.settle(agent, report("a", "refused", known=(Status.PENDING, "")))
    assert schedule.next_due(Lane.SUSPECT) == clock.now + 40


def test_a_new_agent_that_has_answered_is_an_agent_like_any_other(fleet, endpoint, schedule, clock, report):
    fleet.replace([endpoint("a", Status.PENDING)], idle)
    agent = fleet.get("id-a")
    assert fleet.settle(agent, report("a", known=(Status.PENDING, "")))

    assert fleet.settle(agent, report("a", "refused"))
    assert schedule.next_due(Lane.SUSPECT) == clock.now + 40


def test_the_outcome_of_an_agent_that_is_gone_changes_nothing(fleet, endpoint, schedule, report):
    fleet.replace([endpoint("a")], idle)
    agent = fleet.get("id-a")
    fleet.replace([], idle)

    assert not fleet.settle(agent, report("a"))
    fleet.reschedule(agent)
    assert len(schedule) == 0


def test_what_became_due_in_a_pause_of_ours_is_spread(fleet, endpoint, schedule, clock, chance):
    fleet.replace([endpoint(str(number)) for number in range(1000)], idle)
    clock.now += 3600
    chance.share = 1.0

    fleet.spread_overdue()

    assert schedule.next_due(Lane.LIVING) == clock.now + 10
