"""Deployments: what they come to and how they are told."""

from typing import NamedTuple

from myx_cli.api import Document
from myx_cli.errors import DIFFERENT_FAILURES, INTERRUPTED, MYX_FAILED, OK, TIMED_OUT
from myx_cli.text import clean, format_duration
from myx_cli.times import parse_time

FAILED = DIFFERENT_FAILURES
_EXIT_CODES = {"success": OK, "failed": FAILED, "timeout": TIMED_OUT, "cancelled": INTERRUPTED}
_WORDS = {
    "timeout": "ended by its time limit",
    "cancelled": "cancelled",
    "lost": "the outcome is lost",
    "unknown": "the outcome cannot be known",
    "skipped": "not done",
}
_MARKS = {"running": "…", "success": "✓", "failed": "✗", "skipped": "-", "cancelled": "■"}
_COUNTS = ("ok", "changed", "failed", "unreachable", "skipped", "rescued", "ignored")
_ALWAYS = ("ok", "changed", "failed")


class Verdict(NamedTuple):
    """How a deployment ended; `sentences` are empty when all is well."""

    exit_code: int
    sentences: list[str]


def verdict(deployment: Document) -> Verdict:
    """What a final deployment comes to (docs/cli.md: exit codes)."""
    status = str(deployment.get("status"))
    exit_code = _EXIT_CODES.get(status, MYX_FAILED)
    if exit_code == OK:
        return Verdict(OK, [])
    message, reason, cure = (clean(deployment.get(name) or "") for name in ("message", "reason", "cure"))
    word = _WORDS.get(status, "failed" if status == "failed" else f"ended as {clean(status)}")
    sentence = f"{word}: {message}" if message and message != word else word
    if reason:
        sentence += f" ({reason})"
    return Verdict(exit_code, [sentence, *([f"what helps: {cure}"] if cure else [])])


def recap_line(deployment: Document) -> str:
    """`recap: ok 12, changed 3, failed 0 (13 s)`; empty when no play ended."""
    recap = deployment.get("recap")
    if not isinstance(recap, dict):
        return ""
    counts = ", ".join(f"{name} {recap.get(name) or 0}" for name in _COUNTS if name in _ALWAYS or recap.get(name))
    duration = recap.get("duration_s")
    took = f" ({format_duration(duration)})" if isinstance(duration, int | float) else ""
    return f"recap: {counts}{took}"


def step_line(step: Document) -> str:
    """`✓ Check the host (1.2 s)`, with cause and cure when it failed; empty for one that has not begun."""
    status = str(step.get("status"))
    mark = _MARKS.get(status)
    if mark is None:
        return ""
    line = f"{mark} {clean(step.get('title') or step.get('name') or 'a step')}"
    took = took_of(step)
    if took and status != "skipped":
        line += f" ({took})"
    message = clean(step.get("message") or "")
    return f"{line}: {message}" if message and status in {"failed", "skipped"} else line


def took_of(document: Document) -> str:
    """How long a step or deployment took, for people; empty while it goes on."""
    start, end = parse_time(document.get("started_at")), parse_time(document.get("ended_at"))
    return "" if start is None or end is None else format_duration(max(0.0, end - start))
