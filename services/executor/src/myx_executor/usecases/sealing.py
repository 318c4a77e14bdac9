"""Standard input, secret variables and request digests as they lie in the database: sealed for their row."""

import base64
import hashlib
import json
from typing import Any
from uuid import UUID

from myx_executor.domain.command import Secrets
from myx_kit.secretbox import SecretBox

_TABLE = "command"


def seal_secrets(box: SecretBox, command_id: UUID, secrets: Secrets, *, table: str = _TABLE) -> bytes | None:
    """The column `sealed` of a row of `command` or `job`; None when there is nothing to hide."""
    if not secrets:
        return None
    document = {"env": dict(secrets.env), "stdin": base64.b64encode(secrets.stdin).decode()}
    return box.seal(json.dumps(document).encode(), table=table, column="sealed", row=str(command_id))


def open_secrets(box: SecretBox, command_id: UUID, sealed: bytes | None, *, table: str = _TABLE) -> Secrets:
    """What `seal_secrets` sealed. Internal `SECRET_UNREADABLE` when its key is gone."""
    if sealed is None:
        return Secrets()
    document = json.loads(box.open(sealed, table=table, column="sealed", row=str(command_id)))
    return Secrets(document["env"], base64.b64decode(document["stdin"]))


def content_digest(content: dict[str, Any]) -> bytes:
    """SHA-256 of a request's content in one canonical form."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).digest()


def seal_digest(box: SecretBox, command_id: UUID, digest: bytes, *, table: str = _TABLE) -> bytes:
    """The column `sealed_request_digest`: sealed, because what it covers may be short enough to be guessed."""
    return box.seal(digest, table=table, column="sealed_request_digest", row=str(command_id))


def open_digest(box: SecretBox, command_id: UUID, sealed: bytes, *, table: str = _TABLE) -> bytes:
    """What `seal_digest` sealed."""
    return box.open(sealed, table=table, column="sealed_request_digest", row=str(command_id))
