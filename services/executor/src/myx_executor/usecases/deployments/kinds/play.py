"""Plays: the shipped deployments and any other playbook, by the agent or over SSH."""

from collections.abc import Sequence

from myx_executor.domain.deployment import SHIPPED, Method, StepFailed
from myx_executor.domain.ssh import PlaySpec
from myx_executor.usecases.deployments import agent_work, deliveries, play_log, ssh_work
from myx_executor.usecases.deployments.action import Action
from myx_executor.usecases.deployments.ports import ONLINE, PlayRequest, ServerFacts
from myx_executor.usecases.deployments.run import Run
from myx_executor.usecases.ports import AgentFailed, ServerGone

_CURE = "read the log, cure what it says, then run it again"


async def choose(run: Run) -> str:
    """Decides by which way the host is reached, and says why."""
    facts = await run.tools.registry.server(run.server_id)
    method, why = await _way(run, facts)
    await run.use_method(method)
    await run.tell(method_reason=why)
    return f"{'by the agent' if method is Method.AGENT else 'over SSH'}: {why}"


async def _way(run: Run, facts: ServerFacts) -> tuple[Method, str]:
    asked = run.deployment.plan.method
    if asked is not Method.AUTO:
        return asked, "as asked"
    why = await _why_not_the_agent(run, facts)
    if not why:
        return Method.AGENT, "the agent answers"
    if facts.has_credential:
        return Method.SSH, why
    message = f"{why}, and the server has no SSH credential"
    raise StepFailed("NO_WAY", message, "give the server an SSH credential, or see to its agent")


async def _why_not_the_agent(run: Run, facts: ServerFacts) -> str:
    if not facts.agent_id:
        return "the server has no agent"
    if facts.agent_status != ONLINE:
        return f"the agent is {facts.agent_status or 'unknown'}"
    try:
        await run.tools.fleet.heartbeat(run.server_id)
    except AgentFailed as failure:
        return f"the agent does not answer: {failure.message}"
    except ServerGone:
        return "the server has no agent"
    return ""


async def play_by_agent(run: Run) -> str:
    """The play on the host."""
    plan = run.deployment.plan
    request = PlayRequest(
        playbook=plan.playbook,
        project="" if plan.project == SHIPPED else plan.project,
        digest=run.deployment.project_digest,
        extra_vars=plan.extra_vars,
        secret_vars=run.secret_vars,
        trusted_vars=_trusted_vars(run),
        check=plan.check,
        diff=plan.diff,
        tags=plan.tags,
        skip_tags=plan.skip_tags,
        limit=plan.limit,
        no_output_timeout_s=_silence_s(run),
    )
    end = await agent_work.run_play(run, "play", request, announce=f"Running {plan.playbook} by the agent")
    await run.set_recap(agent_work.recap_of(end))
    why = await play_log.why_failed(run)
    what = f"{plan.playbook} failed: {why}" if why else f"{plan.playbook} failed"
    agent_work.demand_success(end, "PLAY_FAILED", what, _CURE)
    return f"{plan.playbook} is done"


async def play_over_ssh(run: Run) -> str:
    """The play beside us."""
    plan = run.deployment.plan
    async with deliveries.project_folder(run) as folder:
        spec = PlaySpec(
            project_dir=str(folder),
            playbook=plan.playbook,
            extra_vars=plan.extra_vars,
            secret_vars=run.secret_vars,
            trusted_vars=_trusted_vars(run),
            check=plan.check,
            diff=plan.diff,
            tags=plan.tags,
            skip_tags=plan.skip_tags,
            limit=plan.limit,
            timeout_s=run.left_s,
            no_output_timeout_s=_silence_s(run),
            pushed=plan.project != SHIPPED,
        )
        end = await ssh_work.run_play(run, spec, announce=f"Running {plan.playbook} over SSH")
    await ssh_work.demand_success(run, end, f"{plan.playbook} failed", _CURE)
    return f"{plan.playbook} is done"


async def connect(run: Run) -> str:
    """The SSH connection."""
    await run.session()
    return "logged in"


def _silence_s(run: Run) -> float:
    return run.deployment.row.spec.no_output_timeout_s or 0.0


def _trusted_vars(run: Run) -> dict[str, str]:
    names = {"myx_index_url": run.tools.index_url}
    if run.deployment.plan.artifact_sha256:
        names["artifact_path"] = deliveries.artifact_path(run)
    return {name: value for name, value in names.items() if value}


CHOOSE = Action("choose", "Choose the way", choose)
SYNC_TOOL = Action("sync_tool", "Send the deployment tool", deliveries.sync_tool)
ANSIBLE = Action("ansible", "Have Ansible on the host", deliveries.ensure_ansible, in_one_go=True)
CONNECT = Action("connect", "Log in over SSH", connect)
_PROJECT = Action("sync_project", "Send the project", deliveries.sync_project)
_SEND_FILE = Action("artifact", "Send the artifact", deliveries.send_artifact)
_PUT_FILE = Action("artifact", "Send the artifact", deliveries.put_artifact)
_BY_AGENT = Action("play", "Run the playbook", play_by_agent, in_one_go=True)
_OVER_SSH = Action("play", "Run the playbook", play_over_ssh, in_one_go=True)


def actions(run: Run) -> Sequence[Action]:
    """The way, what the play needs there, the play."""
    plan, method = run.deployment.plan, run.deployment.method_used
    if method is None:
        return [CHOOSE]
    if method is Method.AGENT:
        project = [_PROJECT] if plan.project != SHIPPED else []
        artifact = [_SEND_FILE] if plan.artifact_sha256 else []
        return [CHOOSE, SYNC_TOOL, *project, *artifact, ANSIBLE, _BY_AGENT]
    artifact = [_PUT_FILE] if plan.artifact_sha256 else []
    return [CHOOSE, CONNECT, *artifact, _OVER_SSH]
