"""Commands."""

import base64
import binascii
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from myx_gateway.schemas.agents import Attempt
from myx_gateway.schemas.common import Answer, Body, Name, Seconds, Text
from myx_gateway.schemas.states import NewQueueing, Queueing, Tracked


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


class CommandContent(Queueing):
    """What is run and how, without secrets."""

    command: str
    args: list[str]
    env: dict[str, str]
    secret_env_names: list[str]
    cwd: str
    user: str
    timeout_s: float | None = Field(description="0: no limit.")
    no_output_timeout_s: float | None
    connect_timeout_s: float | None = Field(description="Limit on the agent's acceptance, from the first try on.")


class Command(CommandContent, Tracked):
    """One execution on one server."""

    server_id: str
    server_name: str
    agent_id: str
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
    log_purged_at: datetime | None = Field(description="When retention took the log; null: it is there.")
    result: CommandResult | None
    attempts: list[Attempt]
    requested_by: str
    job_id: str = Field(description="The job that it belongs to; empty: none.")
    schedule_id: str = Field(description="The schedule that started it; empty: none.")


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


class CommandWork(NewQueueing):
    """A command, wherever it is to run. There is no shell: `command` and `args` are the argument vector."""

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
    connect_timeout_s: Seconds | None = Field(
        default=None, description="Limit on the agent's acceptance, from the first try on; null: 5 min."
    )

    def stdin_bytes(self) -> bytes:
        """The decoded standard input."""
        return base64.b64decode(self.stdin)


class NewCommand(CommandWork):
    """A command to run on one server."""

    server: Name = Field(description="Id or name.")


class CancelRequest(Body):
    """How to end a command, or all commands of a job."""

    grace_s: Seconds | None = Field(default=None, description="Seconds between TERM and KILL; null: 10.")


class LogMatch(Answer):
    """A line that matches; places are counted in characters of `line`."""

    offset: int = Field(description="Of the line's first byte in the interleaved log.")
    stream: LogStream
    line: str = Field(description="Without its end, at most 4096 bytes around the match; what is no UTF-8 as U+FFFD.")
    match_start: int
    match_end: int


class LogMatches(Answer):
    """What a bounded part of a log holds."""

    items: list[LogMatch]
    next_offset: int = Field(description="`from_offset` of the next call.")
    is_end: bool = Field(description="All that is stored has been looked at.")
    log_size_bytes: int
