"""The statements that change a state, on a row in every state: they make only changes that the table allows."""

import asyncio
import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
import pytest
import pytest_asyncio
from psycopg.types.json import Jsonb

from myx.events.v1.events_pb2 import Event
from myx_executor.domain.command import Completeness, Outcome
from myx_executor.domain.states import FINAL, OPEN, TRANSITIONS, Status
from myx_executor.models.base import MIGRATIONS, SCHEMA
from myx_executor.store.commands import CommandStore
from myx_executor.store.logs import LogStore, Write
from myx_executor.store.outbox import OutboxEvent
from myx_executor.store.pool import Pool
from myx_executor.usecases.ledger import Lease, Ledger
from myx_kit.db import migrate
from myx_kit.ids import new_id

EVENT = OutboxEvent(uuid.uuid4(), "myx.events.command.finished.x", b"")


@dataclass
class World:
    url: str
    pool: Pool
    commands: CommandStore
    logs: LogStore
    seen: set = field(default_factory=set)

    async def row(self, status, **columns):
        """A row in any state, owned by us with fence 3 unless said otherwise."""
        command_id = new_id()
        values = {
            "id": command_id,
            "server_id": "s",
            "server_name": "s",
            "agent_id": "a",
            "command": "true",
            "args": [],
            "env": Jsonb({}),
            "secret_env_names": [],
            "cwd": "",
            "command_user": "",
            "timeout_s": 60.0,
            "requested_by": "token:test",
            "status": str(status),
            "owner": "us",
            "fence": 3,
            **columns,
        }
        names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
        await self._run(
            f"insert into executor.command ({names}, lease_until, dispatch_at)"
            f" values ({places}, now() - interval '1 s', now())",
            values,
        )
        return command_id

    async def unsent(self, status, *, due_s=60, fence=9, **columns):
        command_id = await self.row(status, owner=None, fence=fence, **columns)
        await self._run(
            "update executor.command set dispatch_at = null, lease_until = null,"
            " deadline_at = now() + make_interval(secs => %(due)s) where id = %(id)s",
            {"id": command_id, "due": due_s},
        )
        return command_id

    async def target(self, command_id):
        """Where the target of a job stands that has this command; it is made when it is not there."""
        await self._run(
            "insert into executor.job_target"
            " (job_id, number, server_id, server_name, agent_id, batch, status, command_id)"
            " values (%(id)s, 1, 's', 's', 'a', 1, 'running', %(id)s) on conflict do nothing",
            {"id": command_id},
        )
        rows = await self.pool.rows("select status from executor.job_target where job_id = %(id)s", {"id": command_id})
        return rows[0][0]

    async def lease(self, command_id, left_s):
        statement = "update executor.command set lease_until = now() + make_interval(secs => %(s)s) where id = %(id)s"
        await self._run(statement, {"id": command_id, "s": left_s})

    async def read(self, command_id):
        return await self.commands.get(command_id)

    async def _run(self, statement, values):
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute(statement, values)


@pytest_asyncio.fixture
async def world(postgres):
    await asyncio.to_thread(migrate.upgrade, postgres.url, SCHEMA, MIGRATIONS)
    pool = Pool(postgres.url, 2)
    yield World(postgres.url, pool, CommandStore(pool), LogStore(pool))
    await pool.close()


async def confirm(world, one):
    await world.logs.confirm(Write(one, 3, 0), [], [EVENT])


async def cancel(world, one):
    await world.commands.cancel(one, 5.0, actor="token:me", message="cancelled before", event=EVENT)


async def queue(world, one):
    await world.commands.queue(one, 3, "agent_unreachable", "it waits", attempts=[], look_s=30)


async def claim(world, one):
    await world.commands.claim("another", 10, 100, [])


async def expire(world, one):
    await world.commands.expire(one, "another", "too late", EVENT)


async def append(world, one):
    await world.logs.append(Write(one, 3, 0))


async def mark_sent(world, one):
    await world.commands.mark_sent(one, 3)


async def mark_unsent(world, one):
    await world.commands.mark_unsent(one, 3, (await world.read(one)).dispatch_at or datetime.now(UTC))


async def note(world, one):
    await world.logs.note(one, 3, "nothing comes", [])


async def touch(world, one):
    await world.commands.touch(one, 3)


def finish(status):
    async def finish_it(world, one):
        outcome = Outcome(status, "why", "a sentence", completeness=Completeness.UNVERIFIED)
        await world.logs.finish(Write(one, 3, 0), outcome, [], [EVENT], release_pending=False)

    finish_it.__name__ = f"finish_{status}"
    return finish_it


CHANGES = [confirm, cancel, queue, claim, expire, append, mark_sent, mark_unsent, note, touch]
CHANGES += map(finish, sorted(FINAL))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_no_statement_makes_a_change_that_the_table_does_not_allow(world, change):
    for source in Status:
        # What is queued was never sent.
        rows = [] if source is Status.QUEUED else [await world.row(source)]
        if source in (Status.PENDING, Status.QUEUED):
            rows += [await world.unsent(source), await world.unsent(source, due_s=-1)]
        for one in rows:
            before = await world.read(one)
            await change(world, one)
            after = await world.read(one)
            check(before, after)


def check(before, after):
    if after.status == before.status:
        assert after.changes == before.changes
        assert after.status_since == before.status_since
        return
    assert after.status in TRANSITIONS[before.status]
    (last,) = after.changes
    assert (last.source, last.target) == (before.status, after.status)
    assert last.actor in ("token:me", "executor:us", "executor:another")
    assert last.cause
    assert last.at == after.status_since
    assert (after.deadline_at is None) == (after.status in FINAL)
    assert (after.ended_at is not None) == (after.status in FINAL)


class NoFollowers:
    async def publish(self, command_id, pieces, rows):
        pass


async def test_a_command_that_ended_before_it_was_seen_running_is_told_in_order(world):
    one = await world.row(Status.PENDING)
    lease = Lease(await world.read(one), math.inf)
    ledger = Ledger(lease, world.commands, world.logs, NoFollowers(), on_cancelling=lambda: None)
    now = datetime.now(UTC)
    outcome = Outcome(Status.SUCCESS, exit_code=0, started_at=now, ended_at=now, completeness=Completeness.COMPLETE)
    await ledger.finish(outcome, [], release_pending=False)
    rows = await world.pool.rows("select payload from executor.outbox order by seq", {})
    told = [Event.FromString(payload) for (payload,) in rows]
    assert [event.WhichOneof("fact") for event in told] == ["command_started", "command_finished"]
    assert told[0].occurred_at.ToNanoseconds() <= told[1].occurred_at.ToNanoseconds()
    assert told[0].revision < told[1].revision


async def test_what_was_never_sent_is_cancelled_at_once_and_anything_else_when_it_is_proved(world):
    for status in (Status.PENDING, Status.QUEUED):
        one = await world.unsent(status)
        await cancel(world, one)
        assert (await world.read(one)).status is Status.CANCELLED
    for status in (Status.PENDING, Status.RUNNING):
        one = await world.row(status)
        await cancel(world, one)
        assert (await world.read(one)).status is Status.CANCELLING


async def test_a_zombie_cannot_queue_or_touch(world):
    one = await world.row(Status.PENDING, fence=4)
    await queue(world, one)
    assert (await world.read(one)).status is Status.PENDING
    queued = await world.row(Status.PENDING)
    await queue(world, queued)
    for late in (queue, confirm, append, note, finish(Status.FAILED)):
        await late(world, queued)
    assert (await world.read(queued)).status is Status.QUEUED
    running = await world.row(Status.RUNNING, fence=4, timeout_s=0.0)
    assert not await world.commands.touch(running, 3)
    assert await world.commands.touch(running, 4)


async def test_what_waits_too_long_is_expired_and_never_claimed(world):
    for status in (Status.PENDING, Status.QUEUED):
        late, early = await world.unsent(status, due_s=-1), await world.unsent(status)
        claimed = {owned.command.id: owned for owned in await world.commands.claim("another", 10, 100, [])}
        assert late not in claimed
        assert not claimed[early].maybe_sent
        assert [command.id for command in await world.commands.expired(10)] == [late]
        await expire(world, late)
        assert (await world.read(late)).reason == "queue_timeout"


async def test_what_is_just_being_tried_is_not_expired_under_its_owner(world):
    one = await world.unsent(Status.PENDING, due_s=-1)
    await world.lease(one, 60)
    await expire(world, one)
    assert await world.commands.expired(10) == []
    assert (await world.read(one)).status is Status.PENDING
    await world.lease(one, -1)
    assert [command.id for command in await world.commands.expired(10)] == [one]


@pytest.mark.parametrize(("waited_for", "counts_as"), [("agent_unreachable", "unreachable"), ("lock_held", "failed")])
async def test_a_target_whose_agent_was_just_being_tried_at_its_limit_was_not_reached(world, waited_for, counts_as):
    now = datetime.now(UTC).isoformat()
    causes = [("", "pending", "accepted"), ("pending", "queued", waited_for), ("queued", "pending", "claimed")]
    changes = [
        {"at": now, "from": source, "to": target, "actor": "", "cause": cause, "evidence": ""}
        for source, target, cause in causes
    ]
    one = await world.unsent(Status.PENDING, due_s=-1, changes=Jsonb(changes))
    assert await world.target(one) == "running"
    await expire(world, one)
    assert await world.target(one) == counts_as


async def test_what_an_owner_had_may_have_been_sent(world):
    one = await world.row(Status.PENDING)
    (owned,) = await world.commands.claim("another", 10, 100, [])
    assert (owned.command.id, owned.maybe_sent) == (one, True)


async def test_what_is_sent_at_once_is_marked_when_it_is_claimed_and_what_may_wait_is_not(world):
    for changes, is_marked in (
        ({"fence": 0}, True),
        ({"fence": 0, "offline_policy": "skip"}, True),
        ({"fence": 0, "offline_policy": "queue"}, False),
        ({"fence": 2}, False),
        ({"fence": 2, "kind": "deployment"}, True),
    ):
        one = await world.unsent(Status.PENDING, **changes)
        before = await world.read(one)
        (owned,) = await world.commands.claim("another", 60, 100, [])
        assert not owned.maybe_sent
        assert (owned.command.dispatch_at is not None) == is_marked
        # 300 s from now on, or what it was.
        assert (owned.command.deadline_at == before.deadline_at) == (not is_marked)


async def test_nothing_is_marked_as_sent_that_its_owner_may_not_send(world):
    one = await world.unsent(Status.PENDING)
    assert not await world.commands.mark_sent(one, 8)
    before = await world.read(one)
    earlier = await world.commands.mark_sent(one, 9)
    marked = await world.read(one)
    assert marked.dispatch_at == earlier
    assert (marked.deadline_at - marked.dispatch_at).total_seconds() == marked.connect_timeout_s
    mark = await world.commands.mark_sent(one, 9)
    marked = await world.read(one)
    assert (marked.dispatch_at, mark > earlier) == (mark, True)
    await world.commands.mark_unsent(one, 8, mark)
    await world.commands.mark_unsent(one, 9, earlier)  # comes late
    assert await world.read(one) == marked
    await world.commands.mark_unsent(one, 9, mark)
    unmarked = await world.read(one)
    assert unmarked.dispatch_at is None
    assert (unmarked.deadline_at - unmarked.created_at).total_seconds() == before.queue_timeout_s
    await cancel(world, one)
    assert not await world.commands.mark_sent(one, 9)
    assert (await world.read(one)).status is Status.CANCELLED


async def test_looks_that_change_nothing_leave_no_trace_in_the_history(world):
    one = await world.row(Status.PENDING)
    await world.commands.queue(one, 3, "agent_unreachable", "first", attempts=[], look_s=-1)
    first = await world.read(one)
    for _ in range(4):
        (owned,) = await world.commands.claim("another", 10, 100, [])
        assert owned.command.status is Status.PENDING
        await world.commands.queue(one, owned.command.fence, "agent_unreachable", "again", attempts=[], look_s=-1)
    again = await world.read(one)
    assert (again.changes, again.status_since) == (first.changes, first.status_since)
    assert again.message == "again"
    (owned,) = await world.commands.claim("another", 10, 100, [])
    await world.commands.queue(one, owned.command.fence, "lock_held", "now the lock", attempts=[], look_s=-1)
    assert [change.cause for change in (await world.read(one)).changes] == ["agent_unreachable", "claimed", "lock_held"]


async def test_the_history_is_bounded_and_keeps_its_beginning(world):
    one, fence = await world.row(Status.PENDING), 3
    for number in range(50):
        await world.commands.queue(one, fence, f"reason_{number}", "", attempts=[], look_s=-1)
        (owned,) = await world.commands.claim("another", 10, 100, [])
        fence = owned.command.fence
    changes = (await world.read(one)).changes
    assert len(changes) == 64
    assert (changes[0].cause, changes[-2].cause) == ("reason_0", "reason_49")


async def test_the_database_refuses_an_open_state_without_a_deadline(world):
    for status in OPEN:
        with pytest.raises(psycopg.errors.CheckViolation):
            await world.row(status, deadline_at=None)
    for status in FINAL:
        await world.row(status, deadline_at=None)
