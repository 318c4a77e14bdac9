"""New token, secret key and certificate, with an overlap in which both are taken; each point can be gone on from."""

from collections.abc import Sequence

from myx_executor.domain.deployment import Method, StepFailed
from myx_executor.usecases.deployments import maintenance
from myx_executor.usecases.deployments.action import Action
from myx_executor.usecases.deployments.run import Run
from myx_executor.usecases.ports import AgentFailed

_RUN_AGAIN = "run it again: it continues with the same new identity"


async def begin(run: Run) -> str:
    """The next identity; the present one stays in force."""
    await maintenance.acquire(run)
    await run.use_method(Method.AGENT)
    identity = await run.tools.registry.begin_rotation(run.server_id)
    await run.remember(rotation_id=identity.rotation_id)
    run.tools.fleet.forget(run.server_id)
    return "made a new token, key and certificate"


async def send(run: Run) -> str:
    """The agent takes both from now on and shows the new certificate."""
    identity = await run.tools.registry.begin_rotation(run.server_id)
    try:
        await run.tools.fleet.rotate(run.server_id, identity)
    except AgentFailed as failure:
        if failure.code is not None and not failure.maybe_delivered:
            await run.tools.registry.abort_rotation(run.server_id, identity.rotation_id)
            raise StepFailed(failure.reason or "ROTATION_REFUSED", failure.message, "upgrade the agent first") from None
        raise
    return "the agent has it"


async def verify(run: Run) -> str:
    """A call as it will be from now on."""
    identity = await run.tools.registry.begin_rotation(run.server_id)
    try:
        await run.tools.fleet.status(run.server_id, identity=identity)
    except AgentFailed as failure:
        message = f"the agent does not take the new identity: {failure.message}"
        raise StepFailed("ROTATION_UNPROVED", message, _RUN_AGAIN) from None
    return "the agent answers to the new identity"


async def commit(run: Run) -> str:
    """The new identity is the one that everybody uses."""
    await run.tools.registry.commit_rotation(run.server_id, run.state("rotation_id"))
    run.tools.fleet.forget(run.server_id)
    return "the new identity is in force"


async def finish(run: Run) -> str:
    """The agent forgets the old one."""
    await run.tools.fleet.finish_rotation(run.server_id, run.state("rotation_id"))
    return "the old identity is void"


STEPS: Sequence[Action] = (
    Action("begin", "Make a new identity", begin),
    Action("send", "Give it to the agent", send, in_one_go=True),
    Action("verify", "Call the agent with it", verify, in_one_go=True),
    Action("commit", "Put it in force", commit, in_one_go=True),
    Action("finish", "Void the old one", finish, in_one_go=True),
)


def actions(run: Run) -> Sequence[Action]:
    """The same for every agent."""
    return STEPS
