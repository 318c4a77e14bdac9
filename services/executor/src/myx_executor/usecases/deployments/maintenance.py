"""The exclusive right to change the agent of a server, held while a deployment does."""

import asyncio

from myx_executor.domain.deployment import AGENT_KINDS, Kind, StepFailed
from myx_executor.usecases.deployments.run import Run
from myx_kit.errors import FailedPrecondition, MyxError, NotFound
from myx_kit.logging import get_logger

log = get_logger()


def needs_lease(kind: Kind) -> bool:
    """Whether deployments of this kind exclude each other on a server."""
    return kind in AGENT_KINDS


async def keep(run: Run) -> None:
    """Renews the lease until cancelled; when another holds it the deployment is ended."""
    ttl_s = run.tools.times.maintenance_ttl_s
    while True:
        await asyncio.sleep(ttl_s / 3)
        try:
            await acquire(run)
        except StepFailed as failed:
            log.warning("maintenance_lost", deployment_id=run.key, reason=failed.reason)
            if not run.wish.asked.is_set():
                run.ended_by = failed
                run.wish.ask(None)
            return
        except MyxError as error:
            log.warning("maintenance_not_renewed", deployment_id=run.key, reason=error.reason)


async def acquire(run: Run) -> None:
    """Takes or renews the lease. StepFailed `MAINTENANCE_HELD`."""
    row, plan = run.deployment.row, run.deployment.plan
    try:
        await run.tools.registry.acquire_maintenance(
            run.server_id, run.key, str(plan.kind), row.requested_by, run.tools.times.maintenance_ttl_s
        )
    except FailedPrecondition as error:
        raise StepFailed(
            error.reason, error.message, "wait until the other change is over, then run it again"
        ) from None
    except NotFound as error:
        raise StepFailed(error.reason, error.message) from None
