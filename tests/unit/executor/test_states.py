"""States and their changes."""

import pytest

from myx_executor.domain.states import FINAL, OPEN, TRANSITIONS, Status, sources_of


def test_every_state_has_its_changes_and_final_ones_have_none():
    assert set(TRANSITIONS) == set(Status)
    assert all(not TRANSITIONS[status] for status in FINAL)
    assert all(TRANSITIONS[status] for status in OPEN)


def test_from_every_open_state_an_end_can_be_reached():
    for status in OPEN:
        reached, front = set(), {status}
        while front:
            reached |= front
            front = {target for source in front for target in TRANSITIONS[source]} - reached
        assert reached & FINAL


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Status.RUNNING, Status.PENDING),
        (Status.CANCELLING, Status.RUNNING),
        (Status.RUNNING, Status.SKIPPED),
        (Status.SUCCESS, Status.FAILED),
        (Status.LOST, Status.RUNNING),
        (Status.UNKNOWN, Status.PENDING),
    ],
)
def test_what_must_never_happen_is_not_allowed(source, target):
    assert target not in TRANSITIONS[source]
    assert source not in sources_of(target)


def test_a_cancelled_command_may_turn_out_to_have_ended_by_itself():
    assert Status.CANCELLING in sources_of(Status.SUCCESS)
