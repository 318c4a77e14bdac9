"""A job's cancel when the owners of its commands write the same rows; and what it gives back of what was never sent."""

from types import SimpleNamespace

import pytest
from executor_samples import command

from myx_executor.domain.deployment import Kind
from myx_executor.domain.states import Status
from myx_executor.usecases.jobs.cancel import CancelUnderWay
from myx_kit.errors import Aborted, Unavailable


class Store:
    """`found` is under way; the first `conflicts` statements lose to another transaction."""

    def __init__(self, conflicts=0, found=(), becomes=Status.CANCELLING):
        self.conflicts, self.asked = conflicts, []
        self.found, self.becomes = found or [(command(), "")], becomes

    async def under_way(self, _job_id, _limit, *, unsent):
        return self.found

    async def cancel_commands(self, ids, grace_s, actor, _message, events):
        self.asked.append((tuple(ids), grace_s, actor, len(events)))
        if len(self.asked) <= self.conflicts:
            raise Aborted("TRANSACTION_CONFLICT", "another transaction came first")
        return dict.fromkeys(ids, self.becomes)


class Around:
    """Locks and registry: what was let go."""

    def __init__(self, *, away=False):
        self.away, self.unlocked, self.released = away, [], []

    async def unlock(self, one):
        self.unlocked.append(one.id)

    async def release_maintenance(self, server_id, holder):
        self.released.append((server_id, holder))
        if self.away:
            raise Unavailable("REGISTRY_UNAVAILABLE", "away")


async def nothing():
    return None


def under_way(store, around=None):
    around = around or Around()
    locks = SimpleNamespace(released=around.unlock)
    return CancelUnderWay(store, locks, around, wake_all=nothing, on_event=lambda: None)


async def test_a_conflict_is_no_answer_to_somebody_who_cancels():
    store = Store(conflicts=2)
    await under_way(store).cancel(command().id, 5, "token:a")
    assert len(store.asked) == 3
    assert len(set(store.asked)) == 1


async def test_conflicts_without_end_are_told():
    with pytest.raises(Aborted):
        await under_way(Store(99)).cancel(command().id, 5, "token:a")


FOUND = [(command(), ""), (command(), Kind.PLAYBOOK), (command(), Kind.ROTATE_AGENT)]


@pytest.mark.parametrize("away", [False, True])
async def test_what_was_never_sent_gives_back_its_place_at_locks_and_the_right_to_change_an_agent(away):
    around = Around(away=away)
    await under_way(Store(found=FOUND, becomes=Status.CANCELLED), around).cancel(command().id, 5, "token:a")
    assert around.unlocked == [one.id for one, _ in FOUND]
    assert around.released == [(FOUND[2][0].server_id, str(FOUND[2][0].id))]


async def test_what_runs_keeps_both():
    around = Around()
    await under_way(Store(found=FOUND), around).cancel(command().id, 5, "token:a")
    assert not around.unlocked
    assert not around.released
