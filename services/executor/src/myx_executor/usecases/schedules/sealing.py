"""Secrets of schedules as they lie in the database: sealed for their row."""

import base64
import json
from dataclasses import replace
from typing import Any
from uuid import UUID

from myx_executor.domain.schedules import Work
from myx_kit.secretbox import SecretBox

_PLACE = {"table": "schedule", "column": "sealed"}
_DIGEST = {"table": "schedule", "column": "sealed_request_digest"}


def seal_work(box: SecretBox, schedule_id: UUID, work: Work) -> bytes | None:
    """The column `sealed`; None when there is nothing to hide."""
    if not work.secrets and not work.stdin:
        return None
    document = {"secrets": dict(work.secrets), "stdin": base64.b64encode(work.stdin).decode()}
    return box.seal(json.dumps(document).encode(), row=str(schedule_id), **_PLACE)


def open_work(box: SecretBox, schedule_id: UUID, work: Work, sealed: bytes | None) -> Work:
    """The work with its secrets. Internal `SECRET_UNREADABLE` when their key is gone."""
    if sealed is None:
        return work
    document: dict[str, Any] = json.loads(box.open(sealed, row=str(schedule_id), **_PLACE))
    return replace(work, secrets=document["secrets"], stdin=base64.b64decode(document["stdin"]))


def seal_digest(box: SecretBox, schedule_id: UUID, digest: bytes) -> bytes:
    """The column `sealed_request_digest`."""
    return box.seal(digest, row=str(schedule_id), **_DIGEST)


def open_digest(box: SecretBox, schedule_id: UUID, sealed: bytes) -> bytes:
    """What `seal_digest` sealed."""
    return box.open(sealed, row=str(schedule_id), **_DIGEST)
