"""Ending everything from outside: for uninstalling the agent, and for a control plane that stops with its machine."""

import asyncio
import contextlib
import time
from pathlib import Path

from myx_agent.commands.client import SupervisorError, connect
from myx_agent.commands.supervisor import Supervisor
from myx_agent.config import Config
from myx_agent.spool import layout

DEFAULT_GRACE_S = 5.0
_KILL_TIME_S = 15.0
_PAUSE_S = 0.05


async def stop_commands(config: Config, grace_s: float) -> list[str]:
    """Cancel all running commands of a spool, wait for their end, end the supervisor. Returns the cancelled ids.

    A supervisor that was killed is started once more, to end what it left. Raises SupervisorAway, OSError, and
    TimeoutError when commands do not end.
    """
    spool = Path(config.spool_dir)
    if not _is_used(spool):
        return []
    supervisor = Supervisor(config)
    await supervisor.start()
    try:
        cancelled: list[str] = []
        deadline = time.monotonic() + grace_s + _KILL_TIME_S
        while (status := await supervisor.call("status"))["running"]:
            for command_id in status["ids"]:
                if command_id not in cancelled:
                    with contextlib.suppress(SupervisorError):  # it has ended meanwhile
                        await supervisor.call("cancel", id=command_id, grace_s=grace_s)
                        cancelled.append(command_id)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{status['running']} commands do not end")
            await asyncio.sleep(_PAUSE_S)
        await supervisor.quit()
    finally:
        await supervisor.stop()
    return cancelled


def _is_used(spool: Path) -> bool:
    """A supervisor answers, or left commands without an end."""
    try:
        connect(spool).close()
    except OSError:
        folders = (spool / layout.COMMANDS).glob("*")
        return any(not (folder / layout.RESULT).exists() for folder in folders)
    return True
