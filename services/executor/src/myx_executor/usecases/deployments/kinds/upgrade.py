"""A new agent beside the old one, switched in; the old one is put back by the host unless the new one proved itself to
the control plane (ADR 7). An agent that cannot be reached is installed over SSH with the same identity instead."""

import asyncio
import hashlib
import json
import shlex
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from myx_executor.domain.command import CommandSpec
from myx_executor.domain.deployment import PLAYBOOKS, SHIPPED, Kind, Method, StepFailed
from myx_executor.domain.states import Status
from myx_executor.usecases.deployments import agent_work, deliveries, host, maintenance
from myx_executor.usecases.deployments.action import Action
from myx_executor.usecases.deployments.kinds import install, judge, play
from myx_executor.usecases.deployments.kinds.judge import CONFIRMED, FAILED, MARGIN_S, REVERTED, SWITCHED
from myx_executor.usecases.deployments.ports import Upload
from myx_executor.usecases.deployments.run import Run
from myx_executor.usecases.ports import AgentFailed, ServerGone
from myx_kit.errors import MyxError

# The play before the switch: a new environment is built.
_BUILD_S = 1200.0
_POLL_S = 1.0
_ALREADY = "runs_already"

# The unit's end is told to the guard, so that a play that was killed is undone at once. Forced: the release that runs
# already goes through all of it as well.
_FOLLOW = r"""
set -eu
umask 077
mkdir -p "$(dirname "$LOG")"
: > "$LOG"
[ -z "${FORCE:-}" ] || : > "$RESTART_NEEDED"
systemd-run --quiet --collect --unit="$UNIT" --property="ExecStopPost=-$GUARD ended $ID" \
    /bin/sh -c "exec $PLAY < $SPEC > $LOG 2>&1"
tail -n +1 -f "$LOG" &
tail=$!
while systemctl is-active --quiet "$UNIT" || [ "$(systemctl is-active "$UNIT")" = activating ]; do sleep 0.3; done
sleep 0.3
kill "$tail"
rm -rf "$STAGE"
"""


async def choose(run: Run) -> str:
    """The lease, then the way."""
    await maintenance.acquire(run)
    return await play.choose(run)


async def check(run: Run) -> str:
    """What runs there now, and what it is to become."""
    release = await run.tools.bundles.release()
    status = await run.tools.fleet.status(run.server_id)
    bundle = status.get("bundle") if isinstance(status.get("bundle"), dict) else {}
    assert isinstance(bundle, dict)  # noqa: S101 - one line above
    await run.tell(
        previous_version=str(status.get("version") or bundle.get("version") or ""),
        target_version=release.version,
        target_release=release.name,
    )
    if bundle.get("digest") == release.digest and not run.deployment.plan.force:
        await run.remember(**{_ALREADY: True})
        return f"{release.name} runs already; there is nothing to do"
    return f"{run.deployment.details.get('previous_version', 'it')} is to become {release.name}"


async def upload(run: Run) -> str:
    """The pack and what the play is told, in a place that only root reads."""
    release = await run.tools.bundles.release()
    status = await run.tools.fleet.status(run.server_id)
    pack = await run.tools.bundles.pack("agent", *deliveries.host_platform(status))
    fleet, root = run.tools.fleet, host.STAGING_ROOT
    await fleet.put_file(run.server_id, pack, root=root, path=f"upgrade-{run.key}/bundle.tar")
    document = json.dumps(await _document(run, release.name)).encode()
    with tempfile.NamedTemporaryFile(prefix="myx-send-", dir=run.tools.work_dir) as file:
        file.write(document)
        file.flush()
        upload = Upload(Path(file.name), hashlib.sha256(document).hexdigest())
        await fleet.put_file(run.server_id, upload, root=root, path=f"upgrade-{run.key}/play.json")
    return f"sent {release.name}"


async def _document(run: Run, release: str) -> dict[str, Any]:
    shipped = await run.tools.tool.shipped()
    return {
        "project_dir": host.release_folder(SHIPPED, shipped.digest),
        "playbook": PLAYBOOKS[Kind.UPGRADE_AGENT],
        "trusted_vars": {
            "upgrade_id": run.key,
            "bundle_archive": f"{host.STAGING}/upgrade-{run.key}/bundle.tar",
            "agent_release": release,
            "confirm_timeout_s": int(run.tools.times.upgrade_confirm_s),
            "myx_index_url": run.tools.index_url,
        },
        "connection": {"type": "local"},
        "timeout_s": _BUILD_S,
    }


async def switch(run: Run) -> str:
    """upgrade_agent.yml in a unit of its own, its output followed by a command that outlives the old agent."""
    run.check_wish()
    shipped = await run.tools.tool.shipped()
    script = f"{host.release_folder(SHIPPED, shipped.digest)}/scripts/run_play.py"
    environment = {
        "ID": run.key,
        "GUARD": host.GUARD,
        "RESTART_NEEDED": host.RESTART_NEEDED,
        "UNIT": f"myx-upgrade-{run.key}",
        "LOG": f"{host.UPGRADES}/{run.key}.log",
        "STAGE": f"{host.STAGING}/upgrade-{run.key}",
        "SPEC": f"{host.STAGING}/upgrade-{run.key}/play.json",
        "PLAY": shlex.join([host.ANSIBLE_PYTHON, script]),
    }
    environment |= {"FORCE": "yes"} if run.deployment.plan.force else {}
    spec = CommandSpec("/bin/sh", ("-c", _FOLLOW), env=environment, timeout_s=_BUILD_S + MARGIN_S)
    await run.tell(upgrade_state="preparing")
    limit_s = _BUILD_S + run.tools.times.upgrade_confirm_s + MARGIN_S
    following = asyncio.create_task(
        agent_work.run_command(run, "switch", spec, announce="Building the new agent beside the old one")
    )
    looking = asyncio.create_task(_until_switched(run))
    try:
        await asyncio.wait({following, looking}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        state = await _settled(run, following, looking)
    finally:
        for task in (following, looking):
            task.cancel()
        await asyncio.gather(following, looking, return_exceptions=True)
    await run.tell(upgrade_state=str(state.get("state", "")))
    if state.get("state") in (FAILED, REVERTED):
        await run.tools.registry.check_now(run.server_id)  # it may have been seen to be away meanwhile
        raise judge.undone(run, state, "")
    return "the new agent is switched in; it has to prove itself"


async def _settled(
    run: Run, following: "asyncio.Task[agent_work.AgentEnd]", looking: "asyncio.Task[dict[str, Any]]"
) -> dict[str, Any]:
    """The state behind `preparing`, whichever told of it first: the state file, or the end of the play."""
    if looking.done():
        return looking.result()
    if not following.done():
        message = "the host could not be asked how the upgrade went; it puts the old agent back by itself"
        raise StepFailed("UPGRADE_UNKNOWN", message, "see whether the host is up, then run it again")
    end = following.result()
    state = await _state_if_any(run)
    if state.get("state") in (SWITCHED, CONFIRMED, REVERTED, FAILED):
        return state
    agent_work.demand_success(end, "UPGRADE_FAILED", "the upgrade could not be begun", "read the log")
    message = "the play ended without switching; the old agent runs on"
    raise StepFailed("UPGRADE_FAILED", message, "read the log, cure what it says, then run it again")


async def _until_switched(run: Run) -> dict[str, Any]:
    while True:
        await asyncio.sleep(_POLL_S)
        with suppress(AgentFailed, ServerGone, MyxError):
            state = await _guard(run).state()
            if state.get("state") in (SWITCHED, CONFIRMED, REVERTED, FAILED):
                return state


async def prove(run: Run) -> str:
    """Calls the new agent as it will be called every day, then says that it may stay."""
    message = await judge.prove(run, _guard(run), run.tools.fleet)
    await run.tools.registry.check_now(run.server_id)
    return message


def _guard(run: Run) -> judge.Guard:
    return judge.GuardByAgent(run, run.key)


async def _state_if_any(run: Run) -> dict[str, Any]:
    """Asked again while the agent is away: it may be the switch itself that has ended the play's agent."""
    deadline = asyncio.get_running_loop().time() + run.tools.times.upgrade_confirm_s + MARGIN_S
    while True:
        try:
            return await _guard(run).state()
        except AgentFailed as failure:
            if failure.reason == "UPGRADE_NOT_FOUND":
                return {}
            if not failure.retryable or asyncio.get_running_loop().time() >= deadline:
                raise
            run.tools.fleet.forget(run.server_id)
            await asyncio.sleep(_POLL_S)


_CHOOSE = Action("choose", "Choose the way", choose)
_CHECK = Action("check", "See what runs there", check)
_UPLOAD = Action("upload", "Send the new agent", upload)
_SWITCH = Action("switch", "Build the new agent and switch", switch, in_one_go=True)
_PROVE = Action("prove", "See whether the new agent can be relied on", prove, in_one_go=True)


def actions(run: Run) -> Sequence[Action]:
    """By the agent that is there; over SSH as an install."""
    if run.deployment.method_used is None:
        return [_CHOOSE]
    if run.deployment.method_used is Method.SSH:
        return [_CHOOSE, *install.STEPS]
    if run.state(_ALREADY):
        return [_CHOOSE, _CHECK]
    return [_CHOOSE, _CHECK, play.SYNC_TOOL, _UPLOAD, play.ANSIBLE, _SWITCH, _PROVE]


def outcome_counts(status: Status, details: dict[str, str]) -> bool:
    """Whether a past upgrade says that its release does not work on its server."""
    return status is Status.FAILED and details.get("upgrade_state") in (REVERTED, FAILED)
