"""A command and a schedule as tests want them."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from myx_executor.domain.command import Command, CommandSpec, Completeness, Head
from myx_executor.domain.cron import Cron
from myx_executor.domain.schedules import Missed, Overlap, Schedule, Work, WorkKind
from myx_executor.domain.states import Status
from myx_kit.ids import new_id

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def command(**changes):
    values = {
        "id": uuid4(),
        "server_id": "s",
        "server_name": "s",
        "agent_id": "a",
        "spec": CommandSpec("true"),
        "secret_env_names": (),
        "status": Status.RUNNING,
        "reason": "",
        "message": "",
        "exit_code": None,
        "signal": "",
        "created_at": datetime.now(UTC),
        "dispatch_at": datetime.now(UTC),
        "started_at": datetime.now(UTC),
        "ended_at": None,
        "cancel_requested_at": None,
        "cancel_grace_s": None,
        "log_size": 0,
        "completeness": Completeness.OPEN,
        "result": None,
        "attempts": (),
        "requested_by": "",
        "fence": 3,
        "revision": 0,
    }
    return Command(**values | changes)


def schedule(**changes) -> Schedule:
    """A schedule that fires each hour, due at noon."""
    plain = Schedule(
        id=new_id(),
        name="nightly",
        cron=Cron("0 * * * *", "UTC"),
        missed=Missed.SKIP,
        missed_within_s=3600,
        overlap=Overlap.SKIP,
        paused=False,
        work=Work(WorkKind.COMMAND, {}),
        owner="token:admin",
        next_at=NOON,
        last_slot_at=None,
        revision=1,
        created_at=NOON,
        updated_at=NOON,
    )
    return replace(plain, **changes)


class OneRow:
    """What a Runner has of the database: gives one row once; notes when its lease is to be renewed, and may do it."""

    def __init__(self, owned, *, renews, taken_by_another=True):
        self.free = [owned]
        self.renews = renews
        self.fence = owned.command.fence + taken_by_another
        self.renewed_at = []

    async def claim(self, owner, lease_s, limit, held):
        free, self.free = self.free, []
        return free

    async def cancelling(self, owner, held):
        return []

    async def renew(self, owner, lease_s, held):
        self.renewed_at.append(asyncio.get_running_loop().time())
        return {command_id for command_id, _ in held} if self.renews else set()

    async def head(self, command_id):
        return Head(self.fence, Status.PENDING, 0)

    async def give_up(self, held):
        return len(held)
