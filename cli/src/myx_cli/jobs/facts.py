"""Jobs and their targets in tables."""

from collections.abc import Sequence

from myx_cli.api import Document
from myx_cli.deployments import took_of
from myx_cli.jobs.states import counts_line, target_sentence, work_line
from myx_cli.standing import Fact, history, standing
from myx_cli.tables import Status, When
from myx_cli.text import clean, format_duration, format_size


def job_row(job: Document) -> tuple[object, ...]:
    """id, status, created, took, servers, outcome, name, work."""
    return (
        job.get("id"),
        Status(job.get("status") or ""),
        When(job.get("created_at") or ""),
        took_of(job),
        job.get("target_count"),
        counts_line(job),
        job.get("name"),
        work_line(job.get("work")),
    )


def target_row(target: Document) -> tuple[object, ...]:
    """number, server, batch, status, exit, took, output, id of its command, message."""
    return (
        target.get("number"),
        target.get("server_name"),
        target.get("batch"),
        Status(target.get("status") or ""),
        target.get("exit_code"),
        took_of(target),
        format_size(target.get("log_size_bytes")) if target.get("log_size_bytes") else "",
        target.get("command_id"),
        target.get("message") or target.get("reason"),
    )


def job_facts(job: Document, troubled: Sequence[Document], *, more: bool) -> list[Fact]:
    """All that is known about a job, with some of the targets that are in trouble."""
    batches = int(job.get("batch_count") or 0)
    rest = f"and more: myx job targets {job.get('id')}" if more else ""
    return [
        ("id", job.get("id")),
        ("name", job.get("name")),
        ("work", work_line(job.get("work"))),
        ("selector", job.get("selector")),
        *standing(job),
        ("servers", job.get("target_count")),
        ("by state", counts_line(job)),
        ("batch", f"{job.get('batch') or 0} of {batches}" if batches > 1 else ""),
        *_options(job.get("options") or {}),
        ("list digest", job.get("targets_sha256")),
        ("created", When(job.get("created_at") or "")),
        ("started", When(job.get("started_at") or "")),
        ("ended", When(job.get("ended_at") or "")),
        ("took", took_of(job)),
        ("repeats", job.get("retry_of")),
        ("schedule", job.get("schedule_id")),
        ("asked by", job.get("requested_by")),
        *(("trouble", f"{clean(target.get('server_name'))}: {target_sentence(target)}") for target in troubled),
        ("trouble", rest),
        *history(job),
    ]


def _options(options: Document) -> list[Fact]:
    return [_option(clean(name), value) for name, value in sorted(options.items()) if value not in (None, "", [], 0)]


def _option(name: str, value: object) -> Fact:
    if name.endswith("_s") and isinstance(value, int | float):
        name = "time limit" if name == "deadline_s" else name.removesuffix("_s").replace("_", " ")
        return name, format_duration(value)
    return name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value)
