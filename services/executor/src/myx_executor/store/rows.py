"""Rows of `executor.command` and the domain's command: columns, their order, and the JSON forms."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

from myx_executor.domain.command import (
    AgentResult,
    Attempt,
    Change,
    Command,
    CommandSpec,
    Completeness,
    LockMode,
    OfflinePolicy,
    RowKind,
    StreamCount,
)
from myx_executor.domain.states import FINAL, OPEN, Status
from myx_executor.models.commands import OPEN_STATUSES, UNSUCCESSFUL_STATUSES

COMMAND_COLUMNS: LiteralString = (
    "c.id, c.server_id, c.server_name, c.agent_id, c.command, c.args, c.env, c.cwd, c.command_user, c.timeout_s,"
    " c.no_output_timeout_s, c.secret_env_names, c.status, c.reason, c.message, c.exit_code, c.signal, c.created_at,"
    " c.dispatch_at, c.started_at, c.ended_at, c.cancel_requested_at, c.cancel_grace_s, c.log_size, c.log_completeness,"
    " c.result, c.attempts, c.requested_by, c.fence, c.revision, c.kind,"
    " c.status_since, c.deadline_at, c.owner, c.changes, c.offline_policy, c.queue_timeout_s, c.connect_timeout_s,"
    " c.lock_mode, c.job_id, c.schedule_id, c.log_purged_at"
)
COMMAND_WIDTH = 42

_OPEN: LiteralString = f"c.status in {OPEN_STATUSES}"
_UNSUCCESSFUL: LiteralString = f"c.status in {UNSUCCESSFUL_STATUSES}"


def in_statuses(statuses: Iterable[Status]) -> LiteralString:
    """The condition that a command's status is one of the parameter `statuses`, which are these.

    Of what did not succeed there are few: where it may, the condition says so in the words of an index of these alone.
    """
    asked: LiteralString = "c.status = any(%(statuses)s)"
    wanted = frozenset(statuses)
    if Status.SUCCESS in wanted:
        return asked
    if wanted <= OPEN:
        return f"{asked} and {_OPEN}"
    if not wanted & OPEN:
        return f"{asked} and {_UNSUCCESSFUL}"
    return f"{asked} and ({_OPEN} or {_UNSUCCESSFUL})"


def command_from_row(row: Sequence[Any]) -> Command:
    """The command of a row selected with COMMAND_COLUMNS first."""
    status = Status(row[12])
    return Command(
        id=row[0],
        server_id=row[1],
        server_name=row[2],
        agent_id=row[3],
        spec=CommandSpec(
            command=row[4],
            args=tuple(row[5]),
            env=row[6],
            cwd=row[7],
            user=row[8],
            timeout_s=row[9],
            no_output_timeout_s=row[10],
        ),
        secret_env_names=tuple(row[11]),
        status=status,
        reason=row[13],
        message=row[14],
        exit_code=row[15],
        signal=row[16],
        created_at=row[17],
        dispatch_at=row[18],
        started_at=row[19],
        ended_at=row[20],
        cancel_requested_at=row[21],
        cancel_grace_s=row[22],
        log_size=row[23],
        completeness=Completeness(row[24]),
        result=_result_from_json(row[25]),
        attempts=tuple(_attempt_from_json(item) for item in row[26]),
        requested_by=row[27],
        fence=row[28],
        revision=row[29],
        kind=RowKind(row[30]),
        status_since=row[31],
        deadline_at=None if status in FINAL else row[32],
        owner=row[33] or "",
        changes=tuple(change_from_json(item) for item in row[34]),
        offline_policy=OfflinePolicy(row[35]),
        queue_timeout_s=row[36],
        connect_timeout_s=row[37],
        lock_mode=LockMode(row[38]),
        job_id=row[39],
        schedule_id=row[40],
        log_purged_at=row[41],
    )


def change_from_json(item: Mapping[str, Any]) -> Change:
    """One item of a column `changes`."""
    at = datetime.fromisoformat(item["at"])
    return Change(at, item["from"], item["to"], item["actor"], item["cause"], item["evidence"])


def attempts_to_json(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Form of the column `attempts`."""
    return [
        {"at": item.at.isoformat(), "cause": item.cause, "message": item.message, "wait_s": item.wait_s}
        for item in attempts
    ]


def _attempt_from_json(item: Mapping[str, Any]) -> Attempt:
    return Attempt(datetime.fromisoformat(item["at"]), item["cause"], item["message"], item["wait_s"])


def result_to_json(result: AgentResult) -> dict[str, Any]:
    """Form of the column `result`."""
    return {
        "success": result.success,
        "return_code": result.return_code,
        "signal": result.signal,
        "reason": result.reason,
        "message": result.message,
        "started_at": _time_to_json(result.started_at),
        "ended_at": _time_to_json(result.ended_at),
        "stdout": _count_to_json(result.stdout),
        "stderr": _count_to_json(result.stderr),
        "tree_gone": result.tree_gone,
    }


def _result_from_json(item: Mapping[str, Any] | None) -> AgentResult | None:
    if item is None:
        return None
    return AgentResult(
        success=item["success"],
        return_code=item["return_code"],
        signal=item["signal"],
        reason=item["reason"],
        message=item["message"],
        started_at=_time_from_json(item["started_at"]),
        ended_at=_time_from_json(item["ended_at"]),
        stdout=_count_from_json(item["stdout"]),
        stderr=_count_from_json(item["stderr"]),
        tree_gone=item["tree_gone"],
    )


def _count_to_json(count: StreamCount | None) -> dict[str, Any] | None:
    return None if count is None else {"bytes": count.bytes, "sha256": count.sha256, "dropped": count.dropped}


def _count_from_json(item: Mapping[str, Any] | None) -> StreamCount | None:
    return None if item is None else StreamCount(item["bytes"], item["sha256"], item["dropped"])


def _time_to_json(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time_from_json(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
