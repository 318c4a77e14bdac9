"""The result of a command, from what is known of its end (CONTRACTS.md, "results")."""

import os
import signal
import time
from dataclasses import dataclass

from myx_agent.spool.clock import rfc3339
from myx_agent.supervisor.digest import EMPTY
from myx_agent.supervisor.output import OutputLog

NOT_FOUND = 127
NOT_EXECUTABLE = 126


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a command's end. `status` as of waitpid; None: nobody could tell."""

    status: int | None
    executed: bool
    spawn_error: str | None
    stop_reason: str | None
    started_at: float
    ended_at: float
    tree_gone: bool
    rebooted: bool = False


def make_result(ending: Ending, log: OutputLog, digest: str) -> dict[str, object]:
    """The content of result.json: {state, end, kept, gap, digest, ended_at, result}."""
    state, code, signal_name, reason, message = _judge(ending)
    streams = log.streams()
    gap = None
    if log.end > log.kept:
        gap = {"from": log.kept, "to": log.end, "reason": log.gap_reason}
    return {
        "state": state,
        "end": log.end,
        "kept": log.kept,
        "gap": gap,
        "digest": digest,
        "ended_at": ending.ended_at or time.time(),
        "result": {
            "success": reason == "exited" and code == 0,
            "return_code": code,
            "signal": signal_name,
            "reason": reason,
            "message": message,
            "started_at": rfc3339(ending.started_at),
            "ended_at": rfc3339(ending.ended_at),
            "stdout": streams["stdout"],
            "stderr": streams["stderr"],
            "tree_gone": ending.tree_gone,
            "log_size": log.end,
        },
    }


def unknown_result(log_size: int, digest: str) -> dict[str, object]:
    """As `make_result`, of a command whose folder cannot be read: nothing of its log is kept."""
    message = "what is recorded of the command cannot be read"
    lost = {"bytes": 0, "sha256": EMPTY, "dropped": 0}
    return {
        "state": "unknown",
        "end": log_size,
        "kept": 0,
        "gap": {"from": 0, "to": log_size, "reason": "disk_lost"} if log_size else None,
        "digest": digest,
        "ended_at": time.time(),
        "result": {
            "success": False,
            "return_code": None,
            "signal": None,
            "reason": "unknown",
            "message": message,
            "started_at": None,
            "ended_at": None,
            "stdout": lost | {"dropped": log_size},  # of which stream they were nobody can tell
            "stderr": lost,
            "tree_gone": False,
            "log_size": log_size,
        },
    }


def _judge(ending: Ending) -> tuple[str, int | None, str | None, str, str | None]:
    """(state, return code, signal, reason, message)."""
    if ending.spawn_error is not None:
        code, message = _explain(ending.spawn_error)
        return "finished", code, None, "spawn_failed", message
    if ending.status is None:
        if ending.stop_reason is not None and ending.tree_gone:
            return "finished", None, None, ending.stop_reason, "the exit status was lost with the supervisor"
        if ending.executed:
            message = "the host was rebooted" if ending.rebooted else "the agent's supervisor was killed"
            return "lost", None, None, "lost", f"the outcome is not to be had: {message}"
        return "unknown", None, None, "unknown", "it cannot be known whether the command had started"
    code = os.waitstatus_to_exitcode(ending.status)
    name = None
    if code < 0:
        name = _signal_name(-code)
        code = 128 - code
    reason = ending.stop_reason or ("signaled" if name else "exited")
    return "finished", code, name, reason, None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def _explain(spawn_error: str) -> tuple[int, str]:
    stage, number = spawn_error.split()
    text = os.strerror(int(number))
    if stage == "exec":
        return (NOT_FOUND if int(number) == 2 else NOT_EXECUTABLE), f"the command cannot be executed: {text}"
    return NOT_EXECUTABLE, f"the command cannot be started ({stage}): {text}"
