"""Ending everything from outside: for uninstalling the agent, and for a control plane that stops with its machine."""

import time
from pathlib import Path

from myx_agent.commands.client import SupervisorAway, call_blocking, connect

_GRACE_S = 5.0
_LIMIT_S = 20.0
_PAUSE_S = 0.05


def stop_commands(spool: Path) -> list[str]:
    """Cancel all running commands of a spool, wait for their end, end the supervisor. Returns the cancelled ids.

    Without a supervisor there is nothing to do. Raises SupervisorAway when it does not answer, TimeoutError when
    commands do not end.
    """
    try:
        connection = connect(spool)
    except OSError:
        return []
    cancelled: list[str] = []
    deadline = time.monotonic() + _LIMIT_S
    with connection:
        while True:
            status = call_blocking(connection, {"op": "status"})
            if not status["running"]:
                break
            for command_id in status["ids"]:
                if command_id not in cancelled:
                    call_blocking(connection, {"op": "cancel", "id": command_id, "grace_s": _GRACE_S})
                    cancelled.append(command_id)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{status['running']} commands do not end")
            time.sleep(_PAUSE_S)
        try:
            call_blocking(connection, {"op": "quit"})
            connection.recv(1)
        except (SupervisorAway, OSError):
            pass  # it is gone
    return cancelled
