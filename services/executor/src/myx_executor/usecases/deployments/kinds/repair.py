"""An agent that is broken on a host that is well: found out why, then installed again with the same identity."""

from collections.abc import Sequence

from myx_executor.domain.deployment import StepFailed
from myx_executor.usecases.deployments import maintenance
from myx_executor.usecases.deployments.action import Action
from myx_executor.usecases.deployments.kinds import install
from myx_executor.usecases.deployments.run import Run

_WELL = "agent_is_well"


async def diagnose(run: Run) -> str:
    """The cause ladder; a network that is in the way is not cured by an install."""
    await maintenance.acquire(run)
    found = await run.tools.doctor.diagnose(run.server_id)
    await run.tell(diagnosis=found.cause, diagnosis_message=found.message)
    if found.answers:
        await run.remember(**{_WELL: True})
        return "the agent answers; there is nothing to repair"
    if not found.agent_is_broken and not run.deployment.plan.force:
        message = f"it is not the agent that is broken: {found.message}"
        raise StepFailed("NOT_THE_AGENT", message, "see to the network and the host first")
    if "command" in await run.tools.store.under_way(run.server_id) and not run.deployment.plan.force:
        message = "commands are known to run there"
        raise StepFailed("COMMANDS_RUNNING", message, "wait for them, or cancel them, or repair with force")
    return found.message


DIAGNOSE = Action("diagnose", "Find out why it does not answer", diagnose)


def actions(run: Run) -> Sequence[Action]:
    """The diagnosis, then as an install; nothing more when the agent is well."""
    return [DIAGNOSE] if run.state(_WELL) else [DIAGNOSE, *install.STEPS]
