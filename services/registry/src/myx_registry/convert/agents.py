"""Agents and heartbeats."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from myx.registry.v1 import agent_pb2, agent_service_pb2
from myx_kit.errors import InvalidArgument
from myx_kit.ids import parse_id
from myx_kit.wire_time import duration, timestamp
from myx_registry.convert.wire import finite, instant, seconds, text
from myx_registry.domain.agents import (
    Agent,
    AgentEndpoint,
    AgentFacts,
    AgentHealth,
    AgentStatus,
    CallAttempt,
    Disk,
    NextIdentity,
)
from myx_registry.domain.heartbeats import HeartbeatReport
from myx_registry.usecases.heartbeats import MAX_REPORTS
from myx_registry.usecases.identities import Allocation

_STATUS_TO_WIRE: Final[Mapping[AgentStatus, agent_pb2.AgentStatus.ValueType]] = {
    AgentStatus.PENDING: agent_pb2.AGENT_STATUS_PENDING,
    AgentStatus.ONLINE: agent_pb2.AGENT_STATUS_ONLINE,
    AgentStatus.OFFLINE: agent_pb2.AGENT_STATUS_OFFLINE,
    AgentStatus.UNKNOWN: agent_pb2.AGENT_STATUS_UNKNOWN,
}
_REPORTED: Final[Mapping[int, AgentStatus]] = {
    agent_pb2.AGENT_STATUS_ONLINE: AgentStatus.ONLINE,
    agent_pb2.AGENT_STATUS_OFFLINE: AgentStatus.OFFLINE,
    agent_pb2.AGENT_STATUS_UNKNOWN: AgentStatus.UNKNOWN,
}
_HOST_FACTS: Final = ("hostname", "os", "os_id", "os_version", "arch", "kernel", "python", "machine_id", "boot_id")
_INSTALLED_FACTS: Final = ("deployment_tool_version", "deployment_tool_digest", "bundle_version", "bundle_digest")
_TEXT_FACTS: Final = (*_HOST_FACTS, *_INSTALLED_FACTS)
_NUMBER_FACTS: Final = ("cpus", "memory_total_bytes", "memory_available_bytes")
_LOAD_FACTS: Final = ("load_1m", "load_5m", "load_15m")
# What an agent says is a stranger's word: it is cut to these sizes (bytes, items) instead of growing the row.
_MAX_MESSAGE: Final = 1000
_MAX_ATTEMPTS: Final = 16
_MAX_ITEMS: Final = 100
_MAX_CHECKS: Final = 100_000


def wire_status(status: AgentStatus) -> agent_pb2.AgentStatus.ValueType:
    """As the protos name it."""
    return _STATUS_TO_WIRE[status]


def agent_message(agent: Agent) -> agent_pb2.Agent:
    """An agent as callers see it: no secrets."""
    health = agent.health
    return agent_pb2.Agent(
        id=str(agent.id),
        server_id=str(agent.server_id),
        status=_STATUS_TO_WIRE[health.status],
        status_reason=health.status_reason,
        status_message=health.status_message,
        status_since=timestamp(health.status_since),
        version=health.version,
        rpc_port=agent.rpc_port,
        certificate_sha256=agent.certificate_sha256,
        rpc_supported=health.rpc_supported,
        rpc_last_check=timestamp(health.rpc_last_check),
        rpc_last_success=timestamp(health.rpc_last_success),
        last_heartbeat=timestamp(health.last_heartbeat),
        latency=duration(health.latency_s),
        failure_streak=health.failure_streak,
        last_attempts=[attempt_message(attempt) for attempt in health.last_attempts],
        facts=None if health.facts is None else _facts_message(health.facts),
        created_at=timestamp(agent.created_at),
        rotating=agent.is_rotating,
        flapping=health.flapping_since is not None,
        flapping_since=timestamp(health.flapping_since),
        quarantine=_quarantine_message(health),
        rebooted_at=timestamp(health.rebooted_at),
    )


def _quarantine_message(health: AgentHealth) -> agent_pb2.Quarantine | None:
    if health.quarantined_at is None:
        return None
    return agent_pb2.Quarantine(
        since=timestamp(health.quarantined_at),
        expected_machine_id=health.machine_id,
        found_machine_id=health.found_machine_id,
    )


def endpoint_message(endpoint: AgentEndpoint) -> agent_pb2.AgentEndpoint:
    """Connection data, secrets included."""
    return agent_pb2.AgentEndpoint(
        agent_id=str(endpoint.agent_id),
        server_id=str(endpoint.server_id),
        server_name=endpoint.server_name,
        address=endpoint.address,
        rpc_port=endpoint.rpc_port,
        rpc_path=endpoint.rpc_path,
        agent_token=endpoint.agent_token,
        secret_key=endpoint.secret_key,
        certificate_sha256=endpoint.certificate_sha256,
        status=_STATUS_TO_WIRE[endpoint.status],
        revision=endpoint.revision,
        next_certificate_sha256=endpoint.next_certificate_sha256,
        ssh_address=endpoint.ssh_address,
        ssh_port=endpoint.ssh_port,
        quarantined=endpoint.is_quarantined,
        paused_until=timestamp(endpoint.paused_until),
        machine_id=endpoint.machine_id,
        boot_id=endpoint.boot_id,
    )


def allocation_message(allocation: Allocation) -> agent_service_pb2.AllocateAgentResponse:
    """A whole identity, secrets included."""
    return agent_service_pb2.AllocateAgentResponse(
        agent=agent_message(allocation.agent),
        agent_token=allocation.secrets.agent_token,
        secret_key=allocation.secrets.secret_key,
        rpc_path=allocation.secrets.rpc_path,
        certificate_pem=allocation.certificate_pem,
        private_key_pem=allocation.secrets.private_key_pem,
        created=allocation.created,
    )


def rotation_message(upcoming: NextIdentity) -> agent_service_pb2.BeginRotationResponse:
    """The next identity, secrets included."""
    return agent_service_pb2.BeginRotationResponse(
        rotation_id=str(upcoming.rotation_id),
        agent_token=upcoming.agent_token,
        secret_key=upcoming.secret_key,
        certificate_pem=upcoming.certificate_pem,
        private_key_pem=upcoming.private_key_pem,
        certificate_sha256=upcoming.certificate_sha256,
    )


def rotation_id(text: str) -> UUID:
    """Which rotation is meant. Raises InvalidArgument `ID_INVALID`."""
    return parse_id(text, field="rotation_id")


def heartbeat_reports(messages: Iterable[agent_service_pb2.HeartbeatReport]) -> list[HeartbeatReport]:
    """The reports of a batch.

    Raises InvalidArgument `BATCH_TOO_LARGE`, `ID_INVALID`, `CHECKED_AT_INVALID`, `STATUS_INVALID`, naming the field.
    """
    batch = list(messages)
    if len(batch) > MAX_REPORTS:
        raise InvalidArgument("BATCH_TOO_LARGE", f"A batch has at most {MAX_REPORTS} reports.", field="reports")
    return [_report(message, f"reports[{index}]") for index, message in enumerate(batch)]


def _report(message: agent_service_pb2.HeartbeatReport, where: str) -> HeartbeatReport:
    checked_at = instant(message.checked_at) if message.HasField("checked_at") else None
    if checked_at is None:
        raise InvalidArgument(
            "CHECKED_AT_INVALID", "Each report carries the time of its check.", field=f"{where}.checked_at"
        )
    status = _REPORTED.get(message.status)
    if status is None:
        raise InvalidArgument(
            "STATUS_INVALID", "A report's status is ONLINE, OFFLINE or UNKNOWN.", field=f"{where}.status"
        )
    return HeartbeatReport(
        agent_id=parse_id(message.agent_id, field=f"{where}.agent_id"),
        checked_at=checked_at,
        status=status,
        cause=text(message.cause),
        message=text(message.message, _MAX_MESSAGE),
        attempts=tuple(_attempt(attempt, checked_at) for attempt in message.attempts[:_MAX_ATTEMPTS]),
        latency_s=seconds(message.latency) if message.HasField("latency") else None,
        version=text(message.version),
        facts=_facts(message.facts) if message.HasField("facts") else None,
        **_counts(message, status),
    )


def _counts(message: agent_service_pb2.HeartbeatReport, status: AgentStatus) -> dict[str, int]:
    """How many checks a report stands for, and how many of them were answered."""
    if message.checks <= 0:
        return {"checks": 1, "answered": int(status is AgentStatus.ONLINE)}
    checks = min(message.checks, _MAX_CHECKS)
    return {"checks": checks, "answered": min(max(message.answered, 0), checks)}


def _attempt(message: agent_pb2.CallAttempt, checked_at: datetime) -> CallAttempt:
    return CallAttempt(
        at=instant(message.at) or checked_at,
        cause=text(message.cause),
        message=text(message.message, _MAX_MESSAGE),
        wait_s=seconds(message.wait) if message.HasField("wait") else None,
    )


def attempt_message(attempt: CallAttempt) -> agent_pb2.CallAttempt:
    """One try of a call."""
    return agent_pb2.CallAttempt(
        at=timestamp(attempt.at), cause=attempt.cause, message=attempt.message, wait=duration(attempt.wait_s)
    )


def _facts(message: agent_pb2.AgentFacts) -> AgentFacts:
    plain: dict[str, Any] = {name: text(getattr(message, name)) for name in _TEXT_FACTS}
    plain |= {name: getattr(message, name) for name in _NUMBER_FACTS}
    plain |= {name: finite(getattr(message, name)) for name in _LOAD_FACTS}
    return AgentFacts(
        **plain,
        disks=tuple(Disk(text(d.mount), d.total_bytes, d.free_bytes) for d in message.disks[:_MAX_ITEMS]),
        uptime_s=seconds(message.uptime),
        running_command_ids=tuple(text(one) for one in message.running_command_ids[:_MAX_ITEMS]),
        capabilities=tuple(text(one) for one in message.capabilities[:_MAX_ITEMS]),
        reported_at=instant(message.reported_at) if message.HasField("reported_at") else None,
    )


def _facts_message(facts: AgentFacts) -> agent_pb2.AgentFacts:
    return agent_pb2.AgentFacts(
        **{name: getattr(facts, name) for name in (*_TEXT_FACTS, *_NUMBER_FACTS, *_LOAD_FACTS)},
        disks=[agent_pb2.Disk(mount=d.mount, total_bytes=d.total_bytes, free_bytes=d.free_bytes) for d in facts.disks],
        uptime=duration(facts.uptime_s),
        running_command_ids=facts.running_command_ids,
        capabilities=facts.capabilities,
        reported_at=timestamp(facts.reported_at),
    )
