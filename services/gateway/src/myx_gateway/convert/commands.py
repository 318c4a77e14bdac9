"""Commands and their logs."""

from typing import Any

from myx.executor.v1 import command_pb2, command_service_pb2
from myx_gateway.convert.agents import attempt
from myx_gateway.convert.states import put_queueing, put_seconds, queueing, tracked
from myx_gateway.convert.wire import moment_of, names_of, seconds_of
from myx_gateway.schemas.commands import (
    Command,
    CommandResult,
    CommandStatus,
    CommandWork,
    LogCompleteness,
    LogMatch,
    LogMatches,
    LogStream,
    StreamResult,
)

_COMMAND_STATUS = names_of(command_pb2.CommandStatus, CommandStatus)
_WIRE_STATUS = {status: number for number, status in _COMMAND_STATUS.items()}
_COMPLETENESS = names_of(command_pb2.LogCompleteness, LogCompleteness)
_STREAM = names_of(command_pb2.LogStream, LogStream)
_WIRE_STREAM = {stream: number for number, stream in _STREAM.items()}


def wire_status(status: CommandStatus) -> command_pb2.CommandStatus.ValueType:
    """The wire form of a status."""
    return _WIRE_STATUS[status]


def wire_stream(stream: LogStream) -> command_pb2.LogStream.ValueType:
    """The wire form of a stream's name."""
    return _WIRE_STREAM[stream]


def command_status(status: command_pb2.CommandStatus.ValueType) -> CommandStatus:
    """The status; `unknown` for one that a newer service knows."""
    return _COMMAND_STATUS.get(status, CommandStatus.UNKNOWN)


def completeness(value: command_pb2.LogCompleteness.ValueType) -> LogCompleteness:
    """Whether a log is whole; `unverified` for a word that a newer service knows."""
    return _COMPLETENESS.get(value, LogCompleteness.UNVERIFIED)


def _stream_result(message: command_pb2.StreamResult) -> StreamResult:
    return StreamResult(bytes=message.bytes, sha256=message.sha256, dropped=message.dropped)


def command_result(message: command_pb2.CommandResult) -> CommandResult:
    """The agent's final word."""
    return CommandResult(
        success=message.success,
        return_code=message.return_code if message.HasField("return_code") else None,
        signal=message.signal,
        reason=message.reason,
        started_at=moment_of(message, "started_at"),
        ended_at=moment_of(message, "ended_at"),
        stdout=_stream_result(message.stdout) if message.HasField("stdout") else None,
        stderr=_stream_result(message.stderr) if message.HasField("stderr") else None,
        tree_gone=message.tree_gone,
    )


def wire_command(work: CommandWork) -> command_service_pb2.RunCommandRequest:
    """The request to run it; where, and who asks, is the caller's to add."""
    request = command_service_pb2.RunCommandRequest(
        command=work.command,
        args=work.args,
        env=work.env,
        secret_env=work.secret_env,
        cwd=work.cwd,
        user=work.user,
        stdin=work.stdin_bytes(),
    )
    put_queueing(work, request)
    put_seconds(request.timeout, work.timeout_s)
    put_seconds(request.no_output_timeout, work.no_output_timeout_s)
    put_seconds(request.connect_timeout, work.connect_timeout_s)
    return request


def content(message: command_pb2.Command | command_service_pb2.RunCommandRequest) -> dict[str, Any]:
    """The fields of `CommandContent`, from a command or a request without secrets."""
    if isinstance(message, command_pb2.Command):
        secret_names = list(message.secret_env_names)
    else:
        secret_names = sorted(message.secret_env)
    return {
        "command": message.command,
        "args": list(message.args),
        "env": dict(message.env),
        "secret_env_names": secret_names,
        "cwd": message.cwd,
        "user": message.user,
        "timeout_s": seconds_of(message, "timeout"),
        "no_output_timeout_s": seconds_of(message, "no_output_timeout"),
        "connect_timeout_s": seconds_of(message, "connect_timeout"),
        **queueing(message),
    }


def command(message: command_pb2.Command) -> Command:
    """A command."""
    return Command(
        id=message.id,
        server_id=message.server_id,
        server_name=message.server_name,
        agent_id=message.agent_id,
        status=command_status(message.status),
        reason=message.reason,
        message=message.message,
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        signal=message.signal,
        created_at=moment_of(message, "created_at"),
        started_at=moment_of(message, "started_at"),
        ended_at=moment_of(message, "ended_at"),
        cancel_requested_at=moment_of(message, "cancel_requested_at"),
        log_size_bytes=message.log_size_bytes,
        log_completeness=completeness(message.log_completeness),
        log_purged_at=moment_of(message, "log_purged_at"),
        result=command_result(message.result) if message.HasField("result") else None,
        attempts=[attempt(item) for item in message.attempts],
        requested_by=message.requested_by,
        job_id=message.job_id,
        schedule_id=message.schedule_id,
        **content(message),
        **tracked(message),
    )


def log_matches(message: command_service_pb2.SearchLogResponse) -> LogMatches:
    """What a search found."""
    return LogMatches(
        items=[_log_match(item) for item in message.matches],
        next_offset=message.next_offset,
        is_end=message.is_end,
        log_size_bytes=message.log_size_bytes,
    )


def _log_match(message: command_service_pb2.LogMatch) -> LogMatch:
    line, start, end = message.line, message.match_start, message.match_end
    before, match, after = (part.decode(errors="replace") for part in (line[:start], line[start:end], line[end:]))
    return LogMatch(
        offset=message.offset,
        stream=_STREAM.get(message.stream, LogStream.STDOUT),
        line=before + match + after,
        match_start=len(before),
        match_end=len(before) + len(match),
    )
