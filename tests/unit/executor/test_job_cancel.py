"""A job's cancel when the owners of its commands write the same rows."""

import pytest
from executor_samples import command

from myx_executor.usecases.jobs.cancel import CancelUnderWay
from myx_kit.errors import Aborted


class Store:
    """One command under way; the first `conflicts` statements lose to another transaction."""

    def __init__(self, conflicts: int) -> None:
        self.conflicts, self.asked = conflicts, []

    async def under_way(self, _job_id, _limit):
        return [(command(), "")]

    async def cancel_commands(self, ids, grace_s, actor, _message, events):
        self.asked.append((tuple(ids), grace_s, actor, len(events)))
        if len(self.asked) <= self.conflicts:
            raise Aborted("TRANSACTION_CONFLICT", "another transaction came first")
        return True


async def nothing():
    return None


async def test_a_conflict_is_no_answer_to_somebody_who_cancels():
    store = Store(conflicts=2)
    await CancelUnderWay(store, wake_all=nothing, on_event=lambda: None).cancel(command().id, 5, "token:a")
    assert len(store.asked) == 3
    assert len(set(store.asked)) == 1


async def test_conflicts_without_end_are_told():
    with pytest.raises(Aborted):
        await CancelUnderWay(Store(99), wake_all=nothing, on_event=lambda: None).cancel(command().id, 5, "token:a")
