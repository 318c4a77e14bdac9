"""States of jobs and of their targets, and what they come to."""

from collections.abc import Iterable

from myx_cli.api import Document
from myx_cli.errors import DIFFERENT_FAILURES, INTERRUPTED, MYX_FAILED, OK, TIMED_OUT
from myx_cli.jobs.statuses import TARGET_STATUSES
from myx_cli.text import clean
from myx_cli.together import common_exit_code

# What an operator looks at first.
TROUBLED = frozenset({"failed", "timeout", "lost", "unknown", "unreachable"})
_CODES = {"timeout": TIMED_OUT, "cancelled": INTERRUPTED, "success": OK, "skipped": OK, "not_started": OK}
_SENTENCES = {
    "unreachable": "the agent could not be reached",
    "timeout": "ended by its time limit",
    "cancelled": "cancelled",
    "lost": "it ran, but its outcome is lost",
    "unknown": "it cannot be known whether it ran",
    "skipped": "skipped",
    "not_started": "not started",
}
# What the exit code, which is told anyway, says as well.
_PLAIN_REASONS = frozenset({"", "exit_code", "exited"})


def counts(job: Document) -> dict[str, int]:
    """Targets by state, without the states that no target is in."""
    told = job.get("counts")
    pairs = told.items() if isinstance(told, dict) else ((item.get("status"), item.get("count")) for item in told or [])
    found = {str(status): int(count or 0) for status, count in pairs}
    order = {status: number for number, status in enumerate(reversed(TARGET_STATUSES))}
    return {status: found[status] for status in sorted(found, key=lambda name: order.get(name, 99)) if found[status]}


def counts_line(job: Document) -> str:
    """`9 success, 2 failed, 1 unreachable`."""
    return ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts(job).items())


def target_code(target: Document) -> int:
    """What one target adds to the exit code; 0 for those that were skipped or never started."""
    status = str(target.get("status"))
    if status in _CODES:
        return _CODES[status]
    code = target.get("exit_code")
    if status == "failed" and isinstance(code, int):
        return code & 255 or DIFFERENT_FAILURES
    if status == "failed" and target.get("reason") not in {"agent_refused", "agent_unreachable", "queue_timeout"}:
        return DIFFERENT_FAILURES
    return MYX_FAILED


def target_sentence(target: Document) -> str:
    """Why a target did not succeed, for people; `exit code 3` where that says all."""
    status = str(target.get("status"))
    message = clean(target.get("message") or "")
    if status == "success":
        return "exit code 0"
    if status == "failed":
        code = target.get("exit_code")
        told = message or clean(target.get("reason") or "") or "no reason is known"
        if code is None:
            return told
        code = clean(code)
        return f"exit code {code}" if target.get("reason") in _PLAIN_REASONS else f"exit code {code}, {told}"
    sentence = _SENTENCES.get(status, clean(status))
    if message.startswith(sentence) or (message and target.get("reason") == "server_not_found"):
        return message
    return f"{sentence}: {message}" if message else sentence


def job_code(job: Document, targets: Iterable[Document]) -> int:
    """The exit code of a final job (docs/cli.md: exit codes)."""
    status = job.get("status")
    if status == "cancelled":
        return INTERRUPTED
    code = common_exit_code([target_code(target) for target in targets])
    reached = {str(name) for name in counts(job)} - {"skipped", "not_started"}
    if not reached:
        return MYX_FAILED
    return code or (OK if status in {"success", "partial"} else DIFFERENT_FAILURES)


def job_sentence(job: Document) -> str:
    """What is to be said of a job beside its targets; empty when that is nothing."""
    status = job.get("status")
    message = clean(job.get("message") or "")
    if status == "cancelled":
        return "the job was cancelled"
    if status == "stopped":
        return f"the job was stopped: {_cause_of_stop(job) or message or 'no reason is known'}"
    # Of others the targets tell, one by one.
    return ""


def _cause_of_stop(job: Document) -> str:
    """What was found when it was stopped; its message tells of the end."""
    found = [change.get("evidence") for change in job.get("changes") or [] if change.get("to") == "stopping"]
    return clean(found[-1] or "") if found else ""


def work_line(work: object) -> str:
    """`uptime -p`, `deploy caddy`, `playbook web/site.yml`: what a job or schedule does."""
    import shlex

    work = work if isinstance(work, dict) else {}
    command, deployment, job = (work.get(name) for name in ("command", "deployment", "job"))
    if isinstance(job, dict):
        return work_line(job.get("work"))
    if isinstance(command, dict):
        return clean(shlex.join([str(command.get("command") or ""), *map(str, command.get("args") or [])]))
    if isinstance(deployment, dict):
        kind = deployment.get("kind")
        if kind == "playbook":
            return clean(f"playbook {deployment.get('project')}/{deployment.get('playbook')}")
        return clean(f"deploy {kind}")
    return ""
