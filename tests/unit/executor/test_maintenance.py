"""The right to change an agent, when somebody else gets it meanwhile."""

import asyncio
import math
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest
from executor_samples import command

from myx_executor.domain.deployment import Deployment, Kind, Method, Plan
from myx_executor.domain.states import Status
from myx_executor.store.commands import Owned
from myx_executor.usecases.deployments import maintenance
from myx_executor.usecases.deployments.drive import DeploymentDrive
from myx_executor.usecases.deployments.run import Run, Times
from myx_executor.usecases.ledger import Lease
from myx_kit.errors import FailedPrecondition


class Registry:
    """Another deployment has the right."""

    async def acquire_maintenance(self, server_id, key, kind, requested_by, ttl_s):
        raise FailedPrecondition("MAINTENANCE_HELD", "an upgrade by token:else is under way")


@pytest.mark.parametrize(
    ("is_cancelled", "ends"),
    [
        (False, (Status.FAILED, "maintenance_held", "an upgrade by token:else is under way")),
        (True, (Status.CANCELLED, "cancelled", "cancelled on request")),
    ],
)
async def test_a_deployment_that_loses_the_right_fails_with_who_has_it(is_cancelled, ends):
    tools = SimpleNamespace(registry=Registry(), times=Times(maintenance_ttl_s=0.003))
    row = command()
    lease = Lease(row, math.inf)
    drive = DeploymentDrive(tools, Owned(row, None), lease)
    if is_cancelled:
        drive.cancel.ask(1)
    deployment = Deployment(row, Plan(Kind.UPGRADE_AGENT, Method.AUTO))
    run = Run(tools, deployment, lease, None, drive.cancel, secret_vars={}, stack=AsyncExitStack())
    await asyncio.wait_for(maintenance.keep(run), 5)
    assert drive.cancel.asked.is_set()
    outcome = drive._ended_early(run)
    assert (outcome.status, outcome.reason, outcome.message) == ends
