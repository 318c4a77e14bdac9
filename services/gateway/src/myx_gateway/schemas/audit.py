"""The audit trail."""

from typing import Annotated, Any

from pydantic import Field

from myx_gateway.chain import Result
from myx_gateway.schemas.common import Answer, Body

_HASH = r"^[0-9a-f]{64}$"


class AuditEntry(Answer):
    """What somebody did, or tried to do. docs/audit.md says how it is hashed."""

    seq: int
    at: str = Field(description="When it was asked for.", json_schema_extra={"format": "date-time"})
    principal: str = Field(description="`user:alice`, `token:admin`; `nobody` for a login of nobody who is known.")
    via: str = Field(description="`session`, `token:` and the name of the API token, or empty.")
    address: str = Field(description="Where it came from.")
    operation: str = Field(description="`commands.run` …")
    targets: list[str] = Field(description="Servers that were meant, by id or name; at most 100, then `and N more`.")
    resource: str = Field(description="Id or name of what else was meant, or of what was made.")
    request_id: str
    result: Result
    status: int = Field(description="The HTTP status of the answer; 0: there was none.")
    reason: str = Field(description="Of an error, a stable name.")
    details: dict[str, Any] = Field(description="What was asked for, in part; never a secret.")
    prev_hash: str
    hash: str


class AuditPage(Answer):
    """One page of the trail, newest first."""

    items: list[AuditEntry]
    next_page_token: str | None


class AuditHead(Body):
    """An entry by its number and hash, as it was noted earlier somewhere else."""

    seq: int = Field(ge=0, lt=1 << 63)
    hash: Annotated[str, Field(pattern=_HASH)]


class VerifyRequest(Body):
    """What the trail is checked against."""

    expected: AuditHead | None = Field(default=None, description="A head that was kept elsewhere.")


class Verification(Answer):
    """Whether the trail is what it was."""

    ok: bool
    count: int = Field(description="Entries that were found right, from the first that is kept.")
    head_seq: int = Field(description="The last entry that was found right.")
    head_hash: str
    sealed_through: int = Field(description="The last entry that retention has dropped; 0: none.")
    bad_seq: int | None = Field(description="The first entry that is not what it was.")
    problem: str
