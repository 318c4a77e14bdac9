"""A fault of ours in the work on a command."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from executor_samples import command

from myx_executor.domain.command import Change, LeaseLost, OfflinePolicy, Outcome
from myx_executor.domain.states import Status
from myx_executor.usecases import drive as drive_module
from myx_executor.usecases.deliver import CancelWish
from myx_executor.usecases.drive import Drive
from myx_kit.errors import Unavailable


class Hub:
    """Knows how the work on a command ended."""

    def __init__(self):
        self.ended = []

    def begin(self, command_id):
        pass

    async def end(self, command_id, final):
        self.ended.append(final)


class BrokenDrive(Drive):
    """Its work raises `error`; what it finishes with is kept."""

    def __init__(self, row, error, *, maybe_sent=False):
        self._tools = SimpleNamespace(hub=Hub())
        self._owned = SimpleNamespace(command=row, maybe_sent=maybe_sent)
        self._ledger = SimpleNamespace(command=row)
        self.cancel = CancelWish()
        self.error = error
        self.outcomes = []

    async def _deliver(self):
        raise self.error

    _follow = _deliver

    async def _finish(self, outcome, *, known, rest=()):
        self.outcomes.append(outcome)
        return command(status=outcome.status)


def row(seconds, **changes):
    return command(deadline_at=datetime.now(UTC) + timedelta(seconds=seconds), **changes)


@pytest.mark.parametrize("error", [ZeroDivisionError(), ExceptionGroup("group", [ZeroDivisionError()])])
async def test_before_its_deadline_whoever_has_the_lease_next_tries_again(error):
    drive = BrokenDrive(row(60), error)
    with pytest.raises(type(error)):
        await drive.run()
    assert (drive.outcomes, drive._tools.hub.ended) == ([], [None])


@pytest.mark.parametrize(
    ("changes", "maybe_sent", "status"),
    [
        ({}, True, Status.LOST),
        ({"started_at": None, "status": Status.PENDING}, True, Status.UNKNOWN),
        ({"started_at": None, "status": Status.PENDING}, False, Status.FAILED),
    ],
)
async def test_behind_its_deadline_it_ends_as_honestly_as_can_be(changes, maybe_sent, status):
    drive = BrokenDrive(row(-1, **changes), ZeroDivisionError(), maybe_sent=maybe_sent)
    await drive.run()
    assert [(one.status, one.reason) for one in drive.outcomes] == [(status, "internal")]
    assert drive._tools.hub.ended[0].is_final


AWAY = Unavailable("DATABASE_UNAVAILABLE", "away")


@pytest.mark.parametrize("error", [AWAY, ExceptionGroup("group", [AWAY, ExceptionGroup("within", [AWAY])])])
async def test_behind_its_deadline_a_database_that_is_away_ends_nothing(error):
    drive = BrokenDrive(row(-1), error)
    with pytest.raises(type(error)):
        await drive.run()
    assert drive.outcomes == []


async def test_behind_its_deadline_a_fault_beside_a_database_that_is_away_counts():
    drive = BrokenDrive(row(-1), ExceptionGroup("group", [AWAY, ZeroDivisionError()]))
    await drive.run()
    assert [one.status for one in drive.outcomes] == [Status.LOST]


async def test_a_lost_lease_is_no_fault():
    drive = BrokenDrive(row(-1), LeaseLost())
    with pytest.raises(LeaseLost):
        await drive.run()
    assert drive.outcomes == []


@pytest.mark.parametrize("policy", list(OfflinePolicy))
async def test_whoever_was_never_reached_and_is_not_wanted_any_more_is_cancelled(policy):
    drive = BrokenDrive(row(60, offline_policy=policy), None)
    drive.cancel.ask(1)
    final = await drive._undelivered(Outcome(Status.FAILED, "agent_unreachable", "away"))
    assert (final.status, [one.message for one in drive.outcomes]) == (
        Status.CANCELLED,
        ["cancelled before it was sent to the agent"],
    )


class Away:
    """An agent that is said to be away; the lock of its server is had."""

    async def is_away(self, server_id):
        return True

    async def acquire(self, row):
        return ""


@pytest.mark.parametrize("maybe_sent", [True, False])
async def test_what_waited_for_its_agent_waits_again_unless_it_may_have_been_sent(monkeypatch, maybe_sent):
    monkeypatch.setattr(drive_module, "DISTRUST", 0)
    now = datetime.now(UTC)
    waited = (
        Change(now, "pending", "queued", "", "agent_unreachable", ""),
        Change(now, "queued", "pending", "", "claimed", ""),
    )
    drive = BrokenDrive(row(60, changes=waited, status=Status.PENDING, started_at=None), None, maybe_sent=maybe_sent)
    drive._tools.presence = drive._tools.locks = Away()
    drive._lease = SimpleNamespace(command=drive._owned.command)
    queued = []

    async def queue(reason, why):
        queued.append(reason)

    drive._queue = queue
    await drive._wait_for_turn()
    assert queued == ([] if maybe_sent else ["agent_unreachable"])
