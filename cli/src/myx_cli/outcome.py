"""From the final state of a command to an exit code and a sentence."""

import re
import signal
from typing import Any, NamedTuple

from myx_cli.errors import INTERRUPTED, MYX_FAILED, SIGNAL_BASE, TIMED_OUT
from myx_cli.text import clean

STATUSES = (
    *("pending", "queued", "running", "cancelling", "success", "failed", "timeout", "cancelled"),
    *("lost", "unknown", "skipped"),
)
FINAL = frozenset({"success", "failed", "timeout", "cancelled", "lost", "unknown", "skipped"})
_ORDINARY_REASONS = frozenset({"", "exited", "exit_code"})


class Outcome(NamedTuple):
    """`sentence` is empty when the exit code says all that there is to say."""

    exit_code: int
    sentence: str


def outcome(command: dict[str, Any]) -> Outcome:
    """What a final command comes to (docs/cli.md: exit codes)."""
    status = command.get("status")
    message = _message(command)
    if status in {"success", "failed"}:
        return _ended(command, message)
    if status == "timeout":
        return Outcome(TIMED_OUT, message or "the command was ended by its time limit")
    if status == "cancelled":
        return Outcome(INTERRUPTED, "the command was cancelled")
    why = f": {message}" if message else ""
    if status == "lost":
        return Outcome(MYX_FAILED, f"the command ran, but its outcome is lost{why}; it is not run again by itself")
    if status == "unknown":
        return Outcome(
            MYX_FAILED, f"it cannot be known whether the command ran{why}; look at the server before you run it again"
        )
    if status == "skipped":
        return Outcome(MYX_FAILED, f"the command was not run{why}")
    return Outcome(MYX_FAILED, f"the command ended in a state that this myx does not know: {clean(status)}{why}")


def _message(command: dict[str, Any]) -> str:
    """What MyX says of the end, with the name of what it is about where MyX leaves that out."""
    message = clean(command.get("message") or command.get("reason") or "")
    program, folder, user = (clean(command.get(name) or "") for name in ("command", "cwd", "user"))
    if command.get("reason") == "spawn_failed":
        about = folder if "cwd" in message else program
        if about and about not in message:
            message += f": {about}"
        if " " in program and not command.get("args") and "cwd" not in message:
            message += " (no shell splits this into words; either -- PROGRAM ARG… or -- sh -c '…')"
    elif user and re.search(r"\buser\b", message) and user not in message:
        message += f": {user}"
    return message.removeprefix("the outcome is not to be had: ")


def _ended(command: dict[str, Any], message: str) -> Outcome:
    name, code = command.get("signal"), command.get("exit_code")
    if name:
        number = signal_number(name)
        return Outcome(
            SIGNAL_BASE + number if number else int(code or 255) & 255, f"the command was ended by {clean(name)}"
        )
    if code is not None:
        return Outcome(int(code) & 255, "" if command.get("reason") in _ORDINARY_REASONS else message)
    if command.get("status") == "success":
        return Outcome(0, "")
    return Outcome(MYX_FAILED, f"the command did not run: {message or 'no reason is known'}")


def signal_number(name: object) -> int:
    """9 for `SIGKILL`, `KILL`, `9` or 9; 0 for no signal of this system."""
    text = str(name).upper()
    if text.isdigit():
        return int(text)
    found = getattr(signal, text if text.startswith("SIG") else f"SIG{text}", None)
    return int(found) if isinstance(found, signal.Signals) else 0


def completeness_sentence(command: dict[str, Any]) -> str:
    """What to say when the log is not proved to be all that the command wrote; empty when it is."""
    completeness = command.get("log_completeness")
    result = command.get("result")
    if completeness == "incomplete":
        dropped = sum(_dropped(result, stream) for stream in ("stdout", "stderr"))
        return f"the output is not complete: {dropped} bytes were dropped" if dropped else "the output is not complete"
    if completeness == "unverified" and command.get("exit_code") is not None:
        return "it could not be verified that the output is complete"
    return ""


def _dropped(result: object, stream: str) -> int:
    if not isinstance(result, dict):
        return 0
    counts = result.get(stream)
    dropped = counts.get("dropped") if isinstance(counts, dict) else 0
    return int(dropped) if isinstance(dropped, int | str) and str(dropped).isdigit() else 0
