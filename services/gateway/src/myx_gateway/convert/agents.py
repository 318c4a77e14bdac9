"""Agents and checks of them."""

from myx.heartbeat.v1 import heartbeat_service_pb2
from myx.registry.v1 import agent_pb2
from myx_gateway.convert.wire import moment_of, seconds_of
from myx_gateway.schemas.agents import Agent, AgentStatus, Attempt, CheckResult, Disk, Facts, Quarantine

_AGENT_STATUS = {
    agent_pb2.AGENT_STATUS_PENDING: AgentStatus.PENDING,
    agent_pb2.AGENT_STATUS_ONLINE: AgentStatus.ONLINE,
    agent_pb2.AGENT_STATUS_OFFLINE: AgentStatus.OFFLINE,
}


def agent_status(status: agent_pb2.AgentStatus.ValueType) -> AgentStatus:
    """The status; `unknown` for one that a newer service knows."""
    return _AGENT_STATUS.get(status, AgentStatus.UNKNOWN)


def attempt(message: agent_pb2.CallAttempt) -> Attempt:
    """One try."""
    return Attempt(
        at=moment_of(message, "at"),
        cause=message.cause,
        message=message.message,
        wait_s=seconds_of(message, "wait"),
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
        uptime_s=seconds_of(message, "uptime"),
        running_command_ids=list(message.running_command_ids),
        reported_at=moment_of(message, "reported_at"),
        deployment_tool_version=message.deployment_tool_version,
        deployment_tool_digest=message.deployment_tool_digest,
        bundle_version=message.bundle_version,
        bundle_digest=message.bundle_digest,
        capabilities=list(message.capabilities),
    )


def agent(message: agent_pb2.Agent) -> Agent:
    """An agent."""
    return Agent(
        id=message.id,
        server_id=message.server_id,
        status=agent_status(message.status),
        status_reason=message.status_reason,
        status_message=message.status_message,
        status_since=moment_of(message, "status_since"),
        version=message.version,
        rpc_port=message.rpc_port,
        certificate_sha256=message.certificate_sha256,
        rpc_supported=message.rpc_supported,
        rpc_last_check=moment_of(message, "rpc_last_check"),
        rpc_last_success=moment_of(message, "rpc_last_success"),
        last_heartbeat=moment_of(message, "last_heartbeat"),
        latency_s=seconds_of(message, "latency"),
        failure_streak=message.failure_streak,
        last_attempts=[attempt(item) for item in message.last_attempts],
        facts=facts(message.facts) if message.HasField("facts") else None,
        rotating=message.rotating,
        flapping=message.flapping,
        flapping_since=moment_of(message, "flapping_since"),
        quarantine=_quarantine(message.quarantine) if message.HasField("quarantine") else None,
        rebooted_at=moment_of(message, "rebooted_at"),
        created_at=moment_of(message, "created_at"),
    )


def _quarantine(message: agent_pb2.Quarantine) -> Quarantine:
    return Quarantine(
        since=moment_of(message, "since"),
        expected_machine_id=message.expected_machine_id,
        found_machine_id=message.found_machine_id,
    )


def check_result(message: heartbeat_service_pb2.CheckNowResponse) -> CheckResult:
    """The outcome of a check."""
    return CheckResult(
        status=agent_status(message.status),
        cause=message.cause,
        message=message.message,
        attempts=[attempt(item) for item in message.attempts],
    )
