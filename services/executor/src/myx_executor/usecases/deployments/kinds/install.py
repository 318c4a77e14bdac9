"""An agent on a host, from an SSH login to one that answers and is the right one. Run again it changes what differs."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from myx_executor.domain.deployment import PLAYBOOKS, Kind, Method, StepFailed
from myx_executor.domain.ssh import PlaySpec
from myx_executor.usecases.deployments import deliveries, host, maintenance, quarantine, ssh_work
from myx_executor.usecases.deployments.action import Action
from myx_executor.usecases.deployments.kinds import interpreter, judge, proof
from myx_executor.usecases.deployments.ports import Fleet, Identity, Place, Release
from myx_executor.usecases.deployments.run import Run
from myx_executor.usecases.ports import AgentFailed, ServerGone

# Id of the host's watch that puts back what was there before; none where there was nothing.
_WATCH = "upgrade_id"
_CURE = "read the log, cure what it says, then run it again: it continues where it stopped"


async def connect(run: Run) -> str:
    """The lease, then the login."""
    await maintenance.acquire(run)
    await run.use_method(Method.SSH)
    await run.session()
    return "logged in"


async def allocate(run: Run) -> str:
    """The agent's identity, made once and for ever; where it is to move, when that was asked for."""
    await run.tools.registry.allocate(run.server_id)
    if run.deployment.plan.kind is Kind.INSTALL_AGENT:
        # Whoever installs an agent means the machine that is there, be it a new one at the old address.
        await run.tools.registry.accept_machine(run.server_id)
        run.tools.fleet.forget(run.server_id)
    identity = await _identity(run)
    await run.tell(rpc_port=str(identity.rpc_port))
    return f"the agent is to listen on port {identity.rpc_port}"


async def preflight(run: Run) -> str:
    """Whether the host can take an agent; nothing of it is touched, unless a Python is all that it lacks."""
    server = await run.tools.registry.server(run.server_id)
    identity, session = await _identity(run), await run.session()
    result = await run.tools.hosts.preflight(session, address=server.address, rpc_port=identity.rpc_port)
    quarantine.check_machine(run.deployment.plan.kind, server, result.facts.machine_id)
    if interpreter.is_all_that_lacks(result) and await interpreter.bring(run, result.facts.arch):
        result = await run.tools.hosts.preflight(session, address=server.address, rpc_port=identity.rpc_port)
    for problem in result.problems:
        await run.say(f"{problem.message}; {problem.cure}" if problem.cure else problem.message)
    fatal = next((problem for problem in result.problems if problem.fatal), None)
    if fatal is not None:
        if fatal.reason == "PORT_TAKEN" and run.deployment.plan.new_port:
            await run.tools.registry.abort_reallocation(run.server_id)  # the next run gets another one
        raise StepFailed(fatal.reason, fatal.message, fatal.cure)
    facts = result.facts
    await run.remember(arch=facts.arch, python=facts.python, python_version=facts.python_version)
    await run.tell(arch=facts.arch, system=facts.system, host_python=facts.python_version)
    return f"{facts.system or 'the host'} on {facts.arch} with Python {facts.python_version}"


async def upload(run: Run) -> str:
    """The pack of the bundle that fits the host."""
    release = await run.tools.bundles.release()
    pack = await run.tools.bundles.pack("agent", run.state("arch", ""), run.state("python_version", ""))
    session = await run.session()
    await session.put(pack.path, _archive(release))
    await run.remember(release=release.name)
    await run.tell(target_version=release.version, target_release=release.name)
    return f"sent {release.name}"


async def install(run: Run) -> str:
    """install_agent.yml over SSH."""
    release = await run.tools.bundles.release()
    identity = await _identity(run)
    spec = PlaySpec(
        project_dir=str(run.tools.tool.shipped_folder()),
        playbook=PLAYBOOKS[Kind.INSTALL_AGENT],
        trusted_vars={
            "agent_archive": _archive(release),
            "agent_release": release.name,
            "agent_certificate_pem": identity.certificate_pem,
            "host_python": run.state("python", ""),
            "confirm_timeout_s": int(run.tools.times.upgrade_confirm_s),
            "myx_index_url": run.tools.index_url,
        },
        secret_vars={"agent_config": _config(identity), "agent_private_key_pem": identity.private_key_pem},
        timeout_s=run.left_s,
    )
    end = await ssh_work.run_play(run, spec, announce=f"Installing {release.name}")
    if end.code == ssh_work.TASK_FAILED and run.deployment.plan.kind is Kind.UPGRADE_AGENT:
        # The play has put back what was there; this release is not tried here again by itself.
        await run.tell(upgrade_state=judge.REVERTED)
    await ssh_work.demand_success(run, end, "the agent could not be installed", _CURE)
    await (await run.session()).run(["rm", "-f", _archive(release)], timeout_s=30)
    await run.remember(**{_WATCH: await judge.under_way(run) or None})
    run.tools.fleet.forget(run.server_id)
    return f"installed {release.name}"


async def wait(run: Run) -> str:
    """Asks until the agent answers; where one was before, that one is back when the new one does not."""
    times, loop, fleet = run.tools.times, asyncio.get_running_loop(), _fleet(run, await _place(run))
    deadline = loop.time() + times.agent_wait_s
    while True:
        try:
            await fleet.heartbeat(run.server_id)
        except (AgentFailed, ServerGone) as failure:
            why = failure.message if isinstance(failure, AgentFailed) else "the registry knows no agent"
        else:
            return "the agent answers"
        if loop.time() >= deadline:
            if run.state(_WATCH):
                return await judge.conclude(run, judge.GuardOverSsh(run, run.state(_WATCH)), why)
            message = f"the new agent did not answer within {times.agent_wait_s:.0f} s: {why}"
            raise StepFailed("AGENT_SILENT", message, "see `journalctl -u myx-agent` on the host and its firewall")
        run.tools.fleet.forget(run.server_id)
        await asyncio.sleep(times.poll_s)


async def verify(run: Run) -> str:
    """Certificate and token were right, or it would not have answered; now version and digest. Where an agent was
    before, the new one must be as good as after an upgrade, or the host puts that one back. A new port or path is in
    force from here on."""
    release, place = await run.tools.bundles.release(), await _place(run)
    fleet = _fleet(run, place)
    if run.state(_WATCH):
        await judge.prove(run, judge.GuardOverSsh(run, run.state(_WATCH)), fleet)
    else:
        proof.check_release(await fleet.status(run.server_id), release)
    if place is not None:
        await run.tools.registry.commit_reallocation(run.server_id, run.key)
        run.tools.fleet.forget(run.server_id)
    if run.deployment.plan.kind is Kind.UPGRADE_AGENT:
        await run.tell(upgrade_state=judge.CONFIRMED)
    await run.tools.registry.check_now(run.server_id)
    return f"version {release.version} answers with the certificate that was made for it"


async def _identity(run: Run) -> Identity:
    """What the agent is installed with: at its new place when it is to move."""
    identity, place = await run.tools.registry.allocate(run.server_id), await _place(run)
    return identity if place is None else replace(identity, rpc_port=place.rpc_port, rpc_path=place.rpc_path)


def _fleet(run: Run, place: Place | None) -> Fleet:
    """Calls to the agent where it was installed; the registry says its old place until it has proved itself."""
    return run.tools.fleet if place is None else run.tools.fleet.at(place)


async def _place(run: Run) -> Place | None:
    """Where the agent is to move, the same for every step; None: it stays."""
    plan = run.deployment.plan
    if not (plan.new_port or plan.new_path):
        return None
    return await run.tools.registry.reallocate(
        run.server_id, new_port=plan.new_port, new_path=plan.new_path, request_id=run.key
    )


def _archive(release: Release) -> str:
    return f"{host.STAGING}/agent-{release.name}.tar"


def _config(identity: Identity) -> dict[str, object]:
    return {
        "agent_token": identity.agent_token,
        "secret_key": identity.secret_key,
        "rpc_port": identity.rpc_port,
        "rpc_path": identity.rpc_path,
        "require_signature": True,
    }


STEPS: Sequence[Action] = (
    Action("connect", "Log in over SSH", connect),
    Action("allocate", "Allocate the agent's identity", allocate),
    Action("preflight", "Look whether the host is fit", preflight),
    Action("upload", "Send the agent", upload),
    Action("install", "Install the agent", install, in_one_go=True),
    Action("wait", "Wait for the agent", wait),
    Action("verify", "See whether it is the right one", verify, in_one_go=True),
    Action("sync_tool", "Send the deployment tool", deliveries.sync_tool),
)


def actions(run: Run) -> Sequence[Action]:
    """The same for every host."""
    return STEPS
