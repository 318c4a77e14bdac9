"""The servers that an act was about, as its answer tells them: for the audit trail."""

import json
from typing import Any, Final

from starlette.responses import Response

from myx_gateway.access.audit import MOST_TARGETS, Entry
from myx_gateway.access.operation import On, Operation
from myx_gateway.access.targets import JobTargets
from myx_kit.errors import MyxError
from myx_kit.logging import get_logger

log = get_logger()

# Operations on something else have answers that tell of no server.
_TELLING: Final = frozenset({On.BODY, On.SERVER, On.COMMAND, On.DEPLOYMENT, On.JOB})


async def note_targets(entry: Entry, operation: Operation, response: Response, jobs: JobTargets) -> None:
    """Add to `entry` the id and the name of the server of a command or deployment, or the frozen targets of a job:
    the first of them by id, and in the details `target_count` and `targets_sha256`.
    """
    if operation.on not in _TELLING or not response.body:
        return
    answer: dict[str, Any] = json.loads(bytes(response.body))
    if "targets_sha256" in answer:
        await _note_job(entry, answer, jobs)
    else:
        entry.meant(filter(None, (answer.get("server_name"), answer.get("server_id"))))


async def _note_job(entry: Entry, job: dict[str, Any], jobs: JobTargets) -> None:
    entry.details |= {"target_count": job["target_count"], "targets_sha256": job["targets_sha256"]}
    try:
        ids = await jobs.first(job["id"], MOST_TARGETS)
    except MyxError as error:
        # It is done, and must be answered; count and digest still say which.
        log.warning("audit_targets_not_read", job_id=job["id"], reason=error.reason)
        return
    entry.meant(ids)
    entry.more_targets = max(0, job["target_count"] - len(ids))
