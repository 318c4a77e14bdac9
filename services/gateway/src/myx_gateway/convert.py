"""Wire messages to REST schemas, pure."""

from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from myx.executor.v1 import command_pb2
from myx.heartbeat.v1 import heartbeat_service_pb2
from myx.registry.v1 import agent_pb2, server_pb2
from myx_gateway.schemas.agents import Agent, AgentStatus, Attempt, CheckResult, Disk, Facts
from myx_gateway.schemas.commands import Command, CommandResult, CommandStatus, LogCompleteness, LogStream, StreamResult
from myx_gateway.schemas.servers import Server

_AGENT_STATUS = {
    agent_pb2.AGENT_STATUS_PENDING: AgentStatus.PENDING,
    agent_pb2.AGENT_STATUS_ONLINE: AgentStatus.ONLINE,
    agent_pb2.AGENT_STATUS_OFFLINE: AgentStatus.OFFLINE,
}
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


def moment(stamp: Timestamp, *, present: bool) -> datetime | None:
    """An aware UTC time, or None when the field was not set."""
    return stamp.ToDatetime(tzinfo=UTC) if present else None


def seconds(duration: Duration, *, present: bool) -> float | None:
    """Seconds, or None when the field was not set."""
    return duration.seconds + duration.nanos / 1e9 if present else None


def wire_status(status: CommandStatus) -> command_pb2.CommandStatus.ValueType:
    """The wire form of a command's status."""
    return _WIRE_STATUS[status]


def wire_stream(stream: LogStream) -> command_pb2.LogStream.ValueType:
    """The wire form of a stream's name."""
    return _WIRE_STREAM[stream]


def agent_status(status: agent_pb2.AgentStatus.ValueType) -> AgentStatus:
    """The status; `unknown` for one that a newer service knows."""
    return _AGENT_STATUS.get(status, AgentStatus.UNKNOWN)


def attempt(message: agent_pb2.CallAttempt) -> Attempt:
    """One try."""
    return Attempt(
        at=moment(message.at, present=message.HasField("at")),
        cause=message.cause,
        message=message.message,
        wait_s=seconds(message.wait, present=message.HasField("wait")),
    )


def facts(message: agent_pb2.AgentFacts) -> Facts:
    """What an agent said about its host."""
    return Facts(
        hostname=message.hostname,
        os=message.os,
        arch=message.arch,
        kernel=message.kernel,
        python=message.python,
        cpus=message.cpus,
        load_1m=message.load_1m,
        load_5m=message.load_5m,
        load_15m=message.load_15m,
        memory_total_bytes=message.memory_total_bytes,
        memory_available_bytes=message.memory_available_bytes,
        disks=[Disk(mount=d.mount, total_bytes=d.total_bytes, free_bytes=d.free_bytes) for d in message.disks],
        machine_id=message.machine_id,
        boot_id=message.boot_id,
        uptime_s=seconds(message.uptime, present=message.HasField("uptime")),
        running_command_ids=list(message.running_command_ids),
        reported_at=moment(message.reported_at, present=message.HasField("reported_at")),
        deployment_tool_version=message.deployment_tool_version,
        deployment_tool_digest=message.deployment_tool_digest,
    )


def agent(message: agent_pb2.Agent) -> Agent:
    """An agent."""
    return Agent(
        id=message.id,
        server_id=message.server_id,
        status=agent_status(message.status),
        status_reason=message.status_reason,
        status_message=message.status_message,
        status_since=moment(message.status_since, present=message.HasField("status_since")),
        version=message.version,
        rpc_port=message.rpc_port,
        certificate_sha256=message.certificate_sha256,
        rpc_supported=message.rpc_supported,
        rpc_last_check=moment(message.rpc_last_check, present=message.HasField("rpc_last_check")),
        rpc_last_success=moment(message.rpc_last_success, present=message.HasField("rpc_last_success")),
        last_heartbeat=moment(message.last_heartbeat, present=message.HasField("last_heartbeat")),
        latency_s=seconds(message.latency, present=message.HasField("latency")),
        failure_streak=message.failure_streak,
        last_attempts=[attempt(item) for item in message.last_attempts],
        facts=facts(message.facts) if message.HasField("facts") else None,
        created_at=moment(message.created_at, present=message.HasField("created_at")),
    )


def check_result(message: heartbeat_service_pb2.CheckNowResponse) -> CheckResult:
    """The outcome of a check."""
    return CheckResult(
        status=agent_status(message.status),
        cause=message.cause,
        message=message.message,
        attempts=[attempt(item) for item in message.attempts],
    )


def server(message: server_pb2.Server) -> Server:
    """A server with its agent, if there is one."""
    return Server(
        id=message.id,
        name=message.name,
        address=message.address,
        labels=dict(message.labels),
        created_at=moment(message.created_at, present=message.HasField("created_at")),
        updated_at=moment(message.updated_at, present=message.HasField("updated_at")),
        etag=message.etag,
        agent=agent(message.agent) if message.HasField("agent") else None,
    )


def _stream_result(message: command_pb2.StreamResult) -> StreamResult:
    return StreamResult(bytes=message.bytes, sha256=message.sha256, dropped=message.dropped)


def command_result(message: command_pb2.CommandResult) -> CommandResult:
    """The agent's final word."""
    return CommandResult(
        success=message.success,
        return_code=message.return_code if message.HasField("return_code") else None,
        signal=message.signal,
        reason=message.reason,
        started_at=moment(message.started_at, present=message.HasField("started_at")),
        ended_at=moment(message.ended_at, present=message.HasField("ended_at")),
        stdout=_stream_result(message.stdout) if message.HasField("stdout") else None,
        stderr=_stream_result(message.stderr) if message.HasField("stderr") else None,
        tree_gone=message.tree_gone,
    )


def command(message: command_pb2.Command) -> Command:
    """A command."""
    no_output_timeout = seconds(message.no_output_timeout, present=message.HasField("no_output_timeout"))
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
        timeout_s=seconds(message.timeout, present=message.HasField("timeout")),
        no_output_timeout_s=no_output_timeout,
        status=_COMMAND_STATUS.get(message.status, CommandStatus.UNKNOWN),
        reason=message.reason,
        message=message.message,
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        signal=message.signal,
        created_at=moment(message.created_at, present=message.HasField("created_at")),
        started_at=moment(message.started_at, present=message.HasField("started_at")),
        ended_at=moment(message.ended_at, present=message.HasField("ended_at")),
        cancel_requested_at=moment(message.cancel_requested_at, present=message.HasField("cancel_requested_at")),
        log_size_bytes=message.log_size_bytes,
        log_completeness=_COMPLETENESS.get(message.log_completeness, LogCompleteness.UNVERIFIED),
        result=command_result(message.result) if message.HasField("result") else None,
        attempts=[attempt(item) for item in message.attempts],
        requested_by=message.requested_by,
    )
