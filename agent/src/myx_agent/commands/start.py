"""Handing a specification to the supervisor, and its refusals as answers."""

import logging
import os
from collections.abc import Awaitable
from typing import Any

import msgspec

from myx_agent.commands.client import SupervisorAway, SupervisorError
from myx_agent.commands.supervisor import Supervisor
from myx_agent.jsonrpc import RpcError
from myx_agent.spool import layout
from myx_agent.trace import shown_trace_id

_log = logging.getLogger("myx_agent.commands")

_CODES = {
    "COMMAND_CONFLICT": (-32001, False),
    "COMMAND_RELEASED": (-32001, False),
    "COMMAND_NOT_FOUND": (-32002, False),
    "COMMAND_RUNNING": (-32004, False),
    "TOO_MANY_COMMANDS": (-32004, True),
    "SPOOL_UNAVAILABLE": (-32005, True),
}


class Starter:
    """Starts commands. What the supervisor is given lies in memory only."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def start(self, specification: dict[str, Any], stdin: bytes | None) -> dict[str, Any]:
        """{status, command_id, existing}. Raises RpcError."""
        command_id, trace_id = specification["command_id"], shown_trace_id.get()
        if trace_id:
            specification["meta"]["trace_id"] = trace_id
        fds = [_memory_file("spec", msgspec.json.encode(specification))]
        try:
            if stdin is not None:
                fds.append(_memory_file("stdin", stdin))
            answer = await asked(self._supervisor.start_command(command_id, fds))
        finally:
            for fd in fds:
                os.close(fd)
        if not answer["existing"]:
            _log.info("command %s started%s", command_id, f", trace {trace_id}" if trace_id else "")
        return {"status": answer["state"], "command_id": command_id, "existing": answer["existing"]}


async def asked(request: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """The supervisor's answer. Raises RpcError."""
    try:
        return await request
    except (SupervisorAway, OSError):
        raise RpcError(
            -32005, "the supervisor of commands does not answer", "SUPERVISOR_UNAVAILABLE", retryable=True
        ) from None
    except SupervisorError as error:
        code, retryable = _CODES.get(error.reason, (-32603, False))
        raise RpcError(code, error.message, error.reason, retryable=retryable) from None


def _memory_file(name: str, data: bytes) -> int:
    fd = os.memfd_create(name)
    layout.write_all(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
