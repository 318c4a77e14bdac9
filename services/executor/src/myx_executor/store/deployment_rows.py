"""Rows of `executor.deployment` and the domain's deployment: columns, their order, and the JSON forms."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, LiteralString

from myx_executor.domain.deployment import Deployment, Kind, Method, Plan, Recap, Step, StepStatus
from myx_executor.store.rows import command_from_row

DEPLOYMENT_COLUMNS: LiteralString = (
    "d.kind, d.method, d.method_used, d.project, d.playbook, d.project_version, d.project_digest, d.extra_vars,"
    " d.secret_var_names, d.check_mode, d.diff, d.tags, d.skip_tags, d.host_limit, d.force, d.new_port, d.new_path,"
    " d.artifact_sha256, d.retry_of, d.cure, d.steps, d.recap, d.details, d.state"
)


def deployment_from_row(row: Sequence[Any], skip: int) -> Deployment:
    """The deployment of a row with the columns of `command` first, `skip` of them, then DEPLOYMENT_COLUMNS."""
    own = row[skip:]
    plan = Plan(
        kind=Kind(own[0]),
        method=Method(own[1]),
        project=own[3],
        playbook=own[4],
        extra_vars=own[7],
        secret_var_names=tuple(own[8]),
        check=own[9],
        diff=own[10],
        tags=tuple(own[11]),
        skip_tags=tuple(own[12]),
        limit=own[13],
        force=own[14],
        new_port=own[15],
        new_path=own[16],
        artifact_sha256=own[17],
    )
    return Deployment(
        row=command_from_row(row),
        plan=plan,
        method_used=Method(own[2]) if own[2] else None,
        project_version=own[5],
        project_digest=own[6],
        retry_of=own[18],
        cure=own[19],
        steps=tuple(_step_from_json(item) for item in own[20]),
        recap=None if own[21] is None else Recap(**own[21]),
        details=own[22],
        state=own[23],
    )


def steps_to_json(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Form of the column `steps`."""
    return [
        asdict(step)
        | {
            "status": str(step.status),
            "started_at": _time_to_json(step.started_at),
            "ended_at": _time_to_json(step.ended_at),
        }
        for step in steps
    ]


def recap_to_json(recap: Recap) -> dict[str, Any]:
    """Form of the column `recap`."""
    return asdict(recap)


def _step_from_json(item: Mapping[str, Any]) -> Step:
    return Step(
        **{
            **item,
            "status": StepStatus(item["status"]),
            "started_at": _time_from_json(item["started_at"]),
            "ended_at": _time_from_json(item["ended_at"]),
        }
    )


def _time_to_json(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time_from_json(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
