"""Turns of a job whose reserved deployments cannot be made."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest

from myx_executor.domain import job_plan as plan
from myx_executor.domain.jobs import JobOptions, JobStatus, Share, TargetStatus
from myx_executor.store.jobs_owner import ClaimedJob, JobHead, TargetState
from myx_executor.usecases.jobs.drive import JobDrive

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class World:
    """One target failed, one is reserved; nothing can be made, and that is counted."""

    at_once = 10

    def __init__(self, *, deadline_s=3600.0, max_failed=None):
        self.tried, self.changes = 0, []
        self.head_now = JobHead(
            fence=1,
            status=JobStatus.RUNNING,
            options=JobOptions(max_failed=max_failed and Share(max_failed - 1)),
            batch=1,
            hold_until=None,
            deadline_at=NOW + timedelta(seconds=deadline_s),
            reason="",
            message="",
            change_count=3,
            cancel_grace_s=None,
            now=NOW,
            safe=0,
        )
        tools = SimpleNamespace(store=self, bells=SimpleNamespace(note=lambda _: None))
        self.drive = JobDrive(tools, ClaimedJob(uuid4(), 1), "executor:a")
        self.drive._brief = self.drive._starter = self

    async def head(self, job_id):
        return self.head_now

    async def states(self, job_id, after):
        return [
            TargetState(1, 1, TargetStatus.FAILED, None),
            TargetState(2, 1, TargetStatus.RUNNING, uuid4()),
        ]

    async def reconcile(self, job_id, fence):
        return 0

    async def change(self, change):
        self.changes.append((change.to, change.reason, change.drop_waiting))
        return True

    async def go_on(self):
        self.tried += 1
        return False


async def test_they_are_tried_again_until_then():
    world = World()
    assert await world.drive._turn() == 1.0
    assert (world.tried, world.changes) == (1, [])


@pytest.mark.parametrize(
    ("changes", "broken", "reason"),
    [
        ({"deadline_s": -1.0}, None, "deadline"),
        ({"max_failed": 1}, None, "max_failed"),
        ({}, plan.Stop("access_denied", "no right any more"), "access_denied"),
    ],
)
async def test_what_stops_the_job_stops_them_too(changes, broken, reason):
    world = World(**changes)
    world.drive._broken = broken
    assert await world.drive._turn() == 0
    assert (world.tried, world.changes) == (0, [(JobStatus.STOPPING, reason, True)])
