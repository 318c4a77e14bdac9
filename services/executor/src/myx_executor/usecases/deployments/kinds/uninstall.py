"""Taking the agent off a host, so that nothing of it is left."""

from collections.abc import Sequence

from myx_executor.domain.deployment import PLAYBOOKS, Kind
from myx_executor.domain.ssh import PlaySpec
from myx_executor.usecases.deployments import ssh_work
from myx_executor.usecases.deployments.action import Action
from myx_executor.usecases.deployments.kinds import install
from myx_executor.usecases.deployments.run import Run


async def uninstall(run: Run) -> str:
    """uninstall_agent.yml over SSH; it refuses while commands run, unless it was forced."""
    spec = PlaySpec(
        project_dir=str(run.tools.tool.shipped_folder()),
        playbook=PLAYBOOKS[Kind.UNINSTALL_AGENT],
        trusted_vars={"force": run.deployment.plan.force},
        timeout_s=run.left_s,
    )
    end = await ssh_work.run_play(run, spec, announce="Removing the agent")
    await ssh_work.demand_success(
        run, end, "the agent could not be removed", "read the log; while commands run it is removed with force only"
    )
    return "nothing of the agent is left on the host"


async def forget(run: Run) -> str:
    """The registry forgets the identity."""
    await run.tools.registry.remove_agent(run.server_id)
    run.tools.fleet.forget(run.server_id)
    return "the agent's identity is forgotten"


STEPS: Sequence[Action] = (
    Action("connect", "Log in over SSH", install.connect),
    Action("uninstall", "Remove the agent", uninstall, in_one_go=True),
    Action("forget", "Forget its identity", forget, in_one_go=True),
)


def actions(run: Run) -> Sequence[Action]:
    """The same for every host."""
    return STEPS
