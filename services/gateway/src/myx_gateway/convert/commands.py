"""Commands and their logs."""

from myx.executor.v1 import command_pb2
from myx_gateway.convert.agents import attempt
from myx_gateway.convert.wire import moment_of, seconds_of
from myx_gateway.schemas.commands import Command, CommandResult, CommandStatus, LogCompleteness, LogStream, StreamResult

_COMMAND_STATUS = {
    command_pb2.COMMAND_STATUS_PENDING: CommandStatus.PENDING,
    command_pb2.COMMAND_STATUS_QUEUED: CommandStatus.QUEUED,
    command_pb2.COMMAND_STATUS_RUNNING: CommandStatus.RUNNING,
    command_pb2.COMMAND_STATUS_CANCELLING: CommandStatus.CANCELLING,
    command_pb2.COMMAND_STATUS_SUCCESS: CommandStatus.SUCCESS,
    command_pb2.COMMAND_STATUS_FAILED: CommandStatus.FAILED,
    command_pb2.COMMAND_STATUS_TIMEOUT: CommandStatus.TIMEOUT,
    command_pb2.COMMAND_STATUS_CANCELLED: CommandStatus.CANCELLED,
    command_pb2.COMMAND_STATUS_LOST: CommandStatus.LOST,
    command_pb2.COMMAND_STATUS_UNKNOWN: CommandStatus.UNKNOWN,
    command_pb2.COMMAND_STATUS_SKIPPED: CommandStatus.SKIPPED,
}
_WIRE_STATUS = {status: number for number, status in _COMMAND_STATUS.items()}
_COMPLETENESS = {
    command_pb2.LOG_COMPLETENESS_OPEN: LogCompleteness.OPEN,
    command_pb2.LOG_COMPLETENESS_COMPLETE: LogCompleteness.COMPLETE,
    command_pb2.LOG_COMPLETENESS_INCOMPLETE: LogCompleteness.INCOMPLETE,
}
_WIRE_STREAM = {
    LogStream.STDOUT: command_pb2.LOG_STREAM_STDOUT,
    LogStream.STDERR: command_pb2.LOG_STREAM_STDERR,
}


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


def command(message: command_pb2.Command) -> Command:
    """A command."""
    return Command(
        id=message.id,
        server_id=message.server_id,
        server_name=message.server_name,
        agent_id=message.agent_id,
        command=message.command,
        args=list(message.args),
        env=dict(message.env),
        secret_env_names=list(message.secret_env_names),
        cwd=message.cwd,
        user=message.user,
        timeout_s=seconds_of(message, "timeout"),
        no_output_timeout_s=seconds_of(message, "no_output_timeout"),
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
        result=command_result(message.result) if message.HasField("result") else None,
        attempts=[attempt(item) for item in message.attempts],
        requested_by=message.requested_by,
    )
