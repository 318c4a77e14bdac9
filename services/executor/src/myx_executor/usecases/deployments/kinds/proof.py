"""What an agent must be able to do before it is relied on: answer, be the right one, run a command, stream its log."""

import asyncio
from uuid import UUID

from myx_executor.domain.command import CommandSpec, Secrets
from myx_executor.domain.deployment import StepFailed
from myx_executor.domain.log import LogBytes, LogEnd
from myx_executor.usecases.deployments.kinds.install import check_release
from myx_executor.usecases.deployments.ports import Release
from myx_executor.usecases.deployments.run import Run
from myx_executor.usecases.ports import AgentFailed, ServerGone
from myx_kit.ids import new_id

_COMMAND_S = 20.0
_WORD = "myx-proof"


class Unproved(Exception):
    """What the agent could not do, as a sentence."""


async def prove(run: Run, release: Release) -> None:
    """Returns when all of it works. Unproved; AgentFailed when it does not answer."""
    await run.tools.fleet.heartbeat(run.server_id)
    status = await run.tools.fleet.status(run.server_id)
    try:
        check_release(status, release)
    except StepFailed as failed:
        raise Unproved(failed.message) from None
    command_id = new_id()
    try:
        async with asyncio.timeout(_COMMAND_S):
            await _command(run, command_id)
    except TimeoutError:
        raise Unproved(f"a command had no end within {_COMMAND_S:.0f} s") from None
    except AgentFailed as failure:
        raise Unproved(f"it cannot run a command: {failure.message}") from None
    finally:
        await _release(run, command_id)


async def _command(run: Run, command_id: UUID) -> None:
    fleet, said, end = run.tools.fleet, b"", None
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


async def _release(run: Run, command_id: UUID) -> None:
    try:
        await run.tools.fleet.release(run.server_id, [command_id])
    except (AgentFailed, ServerGone):
        return
