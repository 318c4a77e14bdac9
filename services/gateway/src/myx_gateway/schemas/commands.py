"""Commands."""

import base64
import binascii
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from myx_gateway.schemas.agents import Attempt
from myx_gateway.schemas.common import Answer, Body, Name, Seconds, Text


class CommandStatus(StrEnum):
    """Where a command stands; final from `success` on."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LOST = "lost"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class LogCompleteness(StrEnum):
    """Whether the stored log is all that the process wrote: bytes and SHA-256 were compared."""

    OPEN = "open"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNVERIFIED = "unverified"


class LogStream(StrEnum):
    """Which output of the process."""

    STDOUT = "stdout"
    STDERR = "stderr"


class StreamResult(Answer):
    """The agent's count of one stream."""

    bytes: int
    sha256: str
    dropped: int = Field(description="Bytes that the process wrote and that are not in the log.")


class CommandResult(Answer):
    """The agent's final word."""

    success: bool
    return_code: int | None
    signal: str
    reason: str
    started_at: datetime | None
    ended_at: datetime | None
    stdout: StreamResult | None
    stderr: StreamResult | None
    tree_gone: bool = Field(description="True only when the whole process tree was proved gone.")


class Command(Answer):
    """One execution on one server."""

    id: str
    server_id: str
    server_name: str
    agent_id: str
    command: str
    args: list[str]
    env: dict[str, str]
    secret_env_names: list[str]
    cwd: str
    user: str
    timeout_s: float | None = Field(description="0: no limit.")
    no_output_timeout_s: float | None
    status: CommandStatus
    reason: str
    message: str
    exit_code: int | None
    signal: str
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cancel_requested_at: datetime | None
    log_size_bytes: int
    log_completeness: LogCompleteness
    result: CommandResult | None
    attempts: list[Attempt]
    requested_by: str


class CommandPage(Answer):
    """One page of commands, newest first."""

    items: list[Command]
    next_page_token: str | None


def _variable(name: str) -> str:
    if not name or "=" in name:
        raise ValueError("must be a variable's name: not empty, without =")
    return name


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64 (RFC 4648, with padding)") from None
    return text


_Variables = dict[Annotated[Text, AfterValidator(_variable)], Text]


class NewCommand(Body):
    """A command to run. There is no shell: `command` and `args` are the argument vector."""

    server: Name = Field(description="Id or name.")
    command: Annotated[Text, Field(min_length=1)] = Field(
        description="Program, found by the agent's PATH unless it has a slash."
    )
    args: list[Text] = Field(default_factory=list)
    env: _Variables = Field(default_factory=dict)
    secret_env: _Variables = Field(
        default_factory=dict, description="As `env`, but masked in the output and never shown again."
    )
    cwd: Text = Field(default="", description="Absolute path; empty: the agent's default.")
    user: Text = Field(default="", description="Empty: the agent's own user.")
    stdin: Annotated[str, AfterValidator(_base64)] = Field(default="", description="Base64.")
    timeout_s: Seconds | None = Field(default=None, description="Limit on the run; null: 24 h, 0: none.")
    no_output_timeout_s: Seconds | None = Field(default=None, description="Limit on the time without output.")

    def stdin_bytes(self) -> bytes:
        """The decoded standard input."""
        return base64.b64decode(self.stdin)


class CancelRequest(Body):
    """How to end a command."""

    grace_s: Seconds | None = Field(default=None, description="Seconds between TERM and KILL; null: 10.")
