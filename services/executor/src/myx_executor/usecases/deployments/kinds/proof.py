"""What an agent must be able to do before it is relied on: answer, be the right one, run a command, stream its log."""

import asyncio
from uuid import UUID

from myx_executor.domain.command import CommandSpec, Secrets
from myx_executor.domain.deployment import StepFailed
from myx_executor.domain.log import LogBytes, LogEnd
from myx_executor.usecases.deployments.ports import Fleet, Release
from myx_executor.usecases.deployments.run import Run
from myx_executor.usecases.ports import AgentFailed, ServerGone
from myx_kit.ids import new_id

_COMMAND_S = 20.0
_WORD = "myx-proof"


class Unproved(Exception):
    """What the agent could not do, as a sentence."""


async def prove(run: Run, fleet: Fleet, release: Release) -> None:
    """Returns when all of it works by `fleet`. Unproved; AgentFailed when it does not answer."""
    await fleet.heartbeat(run.server_id)
    status = await fleet.status(run.server_id)
    try:
        check_release(status, release)
    except StepFailed as failed:
        raise Unproved(failed.message) from None
    command_id = new_id()
    try:
        async with asyncio.timeout(_COMMAND_S):
            await _command(run, fleet, command_id)
    except TimeoutError:
        raise Unproved(f"a command had no end within {_COMMAND_S:.0f} s") from None
    except AgentFailed as failure:
        raise Unproved(f"it cannot run a command: {failure.message}") from None
    finally:
        await _release(run, fleet, command_id)


def check_release(status: dict[str, object], release: Release) -> None:
    """StepFailed unless the agent runs this release."""
    bundle = status.get("bundle")
    digest = bundle.get("digest") if isinstance(bundle, dict) else None
    if digest != release.digest:
        found = bundle.get("version") if isinstance(bundle, dict) else "another one"
        message = f"the agent that answers is not {release.name} but {found}"
        raise StepFailed("WRONG_VERSION", message, "see which program holds the agent's port, then run it again")


async def _command(run: Run, fleet: Fleet, command_id: UUID) -> None:
    said, end = b"", None
    spec = CommandSpec("/bin/sh", ("-c", f"echo {_WORD}"), timeout_s=_COMMAND_S)
    await fleet.execute(run.server_id, command_id, spec, Secrets(), wait_s=0)
    async with fleet.open_log(run.server_id, command_id, 0) as stream:
        async for item in stream:
            if isinstance(item, LogBytes):
                said += item.data
            elif isinstance(item, LogEnd):
                end = item
    if end is None:
        raise Unproved("the log of a command ended before the command did")
    if end.result.get("success") is not True:
        raise Unproved("a command that does nothing but speak failed")
    if said.strip() != _WORD.encode():
        raise Unproved("the output of a command did not arrive")


async def _release(run: Run, fleet: Fleet, command_id: UUID) -> None:
    try:
        await fleet.release(run.server_id, [command_id])
    except (AgentFailed, ServerGone):
        return
