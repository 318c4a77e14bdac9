"""The control plane's part of an upgrade (ADR 7): it uses the new agent and says that it may stay; otherwise the host's
guard puts back what was there."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from myx_executor.domain.deployment import Kind, StepFailed
from myx_executor.domain.ssh import RunResult, SshError
from myx_executor.usecases.deployments import host
from myx_executor.usecases.deployments.kinds import proof
from myx_executor.usecases.deployments.ports import Fleet
from myx_executor.usecases.deployments.run import Run
from myx_executor.usecases.ports import AgentFailed, ServerGone
from myx_kit.errors import FailedPrecondition, MyxError

SWITCHED, CONFIRMED, REVERTED, FAILED = "switched", "confirmed", "reverted", "failed"
# Beyond the time in which the host puts the old agent back by itself.
MARGIN_S = 180.0
_POLL_S = 1.0
_ASK_S = 30.0
_CURES: Mapping[Kind, str] = {
    Kind.UPGRADE_AGENT: "cure the cause, then upgrade with force: this version is not tried here again by itself"
}
_CURE = "cure the cause, then run it again"


class Guard(Protocol):
    """One watch of the host's upgrade-guard. Raises AgentFailed, ServerGone or MyxError while it cannot be asked."""

    async def state(self) -> dict[str, Any]:
        """Its state file."""
        ...

    async def confirm(self) -> None:
        """The new agent may stay."""
        ...


class GuardByAgent:
    """Asked by the agent that is there, be it the old or the new one. Fits `Guard`."""

    def __init__(self, run: Run, upgrade_id: str) -> None:
        self._fleet, self._server_id, self._id = run.tools.fleet, run.server_id, upgrade_id

    async def state(self) -> dict[str, Any]:
        """`get_upgrade`."""
        return await self._fleet.get_upgrade(self._server_id, self._id)

    async def confirm(self) -> None:
        """`confirm_upgrade`."""
        await self._fleet.confirm_upgrade(self._server_id, self._id)


class GuardOverSsh:
    """Asked over SSH: also where neither agent answers. Fits `Guard`."""

    def __init__(self, run: Run, upgrade_id: str) -> None:
        self._run, self._id = run, upgrade_id

    async def state(self) -> dict[str, Any]:
        """`upgrade-guard status`."""
        return _document(await self._ask("status")) or {}

    async def confirm(self) -> None:
        """`upgrade-guard confirm`. FailedPrecondition `UPGRADE_NOT_PENDING`."""
        done = await self._ask("confirm")
        if done.code:
            words = done.stderr.decode(errors="replace").strip()
            raise FailedPrecondition("UPGRADE_NOT_PENDING", words or "the host does not take the confirmation")

    async def _ask(self, verb: str) -> RunResult:
        session = await self._run.session()
        try:
            return await session.run([host.GUARD, verb, self._id], timeout_s=_ASK_S)
        except SshError:
            self._run.forget_session()
            raise


async def under_way(run: Run) -> str:
    """Id of the watch that is on, asked over SSH; empty when there is none, as at a first installation."""
    done = await (await run.session()).run([host.GUARD, "status"], timeout_s=_ASK_S)
    return str((_document(done) or {}).get("upgrade_id", ""))


async def prove(run: Run, guard: Guard, fleet: Fleet) -> str:
    """Calls the new agent by `fleet` as it will be called every day, then confirms it. StepFailed as `conclude`."""
    release = await run.tools.bundles.release()
    deadline = asyncio.get_running_loop().time() + run.tools.times.upgrade_confirm_s
    why = ""
    while asyncio.get_running_loop().time() < deadline:
        fleet.forget(run.server_id)
        try:
            state = await guard.state()
            if state.get("state") in (REVERTED, FAILED, CONFIRMED):
                break
            await proof.prove(run, fleet, release)
            await guard.confirm()
            break
        except (AgentFailed, ServerGone, MyxError, proof.Unproved) as failure:
            why = str(failure) or why
            await asyncio.sleep(_POLL_S)
    return await conclude(run, guard, why)


async def conclude(run: Run, guard: Guard, why: str) -> str:
    """What became of it, waited for also while nobody can say. StepFailed `UPGRADE_REVERTED`, `UPGRADE_FAILED`,
    `UPGRADE_UNKNOWN`; `why` is what the control plane found wrong."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + run.tools.times.upgrade_confirm_s + MARGIN_S
    while loop.time() < deadline:
        with suppress(AgentFailed, ServerGone, MyxError):
            state = await guard.state()
            await run.tell(upgrade_state=str(state.get("state", "")))
            if state.get("state") == CONFIRMED:
                version = run.deployment.details.get("target_version")
                return f"{version} runs and has proved itself"
            if state.get("state") in (REVERTED, FAILED):
                await run.tools.registry.check_now(run.server_id)  # it may have been seen with the new version
                raise undone(run, state, why)
        run.tools.fleet.forget(run.server_id)
        await asyncio.sleep(_POLL_S)
    message = f"the host could not be asked how the upgrade ended: {why or 'it does not answer'}"
    raise StepFailed("UPGRADE_UNKNOWN", message, "see whether the host is up; it puts the old agent back by itself")


def undone(run: Run, state: Mapping[str, Any], why: str) -> StepFailed:
    """That the old agent is back, or was never left, and why."""
    old = state.get("from_version") or run.deployment.details.get("previous_version") or "the old version"
    reason = str(state.get("reason") or "")
    causes = "; ".join(dict.fromkeys(text for text in (reason, why) if text)) or "the log says why"
    cure = _CURES.get(run.deployment.plan.kind, _CURE)
    if state.get("state") == FAILED:
        return StepFailed("UPGRADE_FAILED", f"the new agent was never switched in, {old} runs on: {causes}", cure)
    return StepFailed("UPGRADE_REVERTED", f"the new agent did not prove itself and {old} is back: {causes}", cure)


def _document(done: RunResult) -> dict[str, Any] | None:
    """The state file in an answer; None when the answer is a sentence, or none came."""
    with suppress(ValueError):
        document = json.loads(done.text) if done.code == 0 else None
        return document if isinstance(document, dict) else None
    return None
