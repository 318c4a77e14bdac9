"""Messages to domain and back; pure. What an agent says about its host is checked field by field, never trusted."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from myx.heartbeat.v1 import heartbeat_service_pb2
from myx.registry.v1 import agent_pb2, agent_service_pb2
from myx_heartbeat.domain import Endpoint, Member, Report, Status, Try
from myx_heartbeat.usecases.status import StatusNow
from myx_kit.agent_rpc.wire import clean
from myx_kit.wire_time import duration, timestamp

# What an agent says is cut, so that 500 reports fit a message of 16 MiB; the registry keeps no more either.
_MAX_TEXT = 256
_MAX_LIST = 100
_INT64 = (1 << 63) - 1
_INT32 = (1 << 31) - 1

_FROM_WIRE = {
    agent_pb2.AGENT_STATUS_PENDING: Status.PENDING,
    agent_pb2.AGENT_STATUS_ONLINE: Status.ONLINE,
    agent_pb2.AGENT_STATUS_OFFLINE: Status.OFFLINE,
}
_TO_WIRE = {
    Status.PENDING: agent_pb2.AGENT_STATUS_PENDING,
    Status.ONLINE: agent_pb2.AGENT_STATUS_ONLINE,
    Status.OFFLINE: agent_pb2.AGENT_STATUS_OFFLINE,
    Status.UNKNOWN: agent_pb2.AGENT_STATUS_UNKNOWN,
}


def endpoint(message: agent_pb2.AgentEndpoint) -> Endpoint:
    """Connection data as the domain has it."""
    return Endpoint(
        agent_id=message.agent_id,
        server_id=message.server_id,
        server_name=message.server_name,
        address=message.address,
        rpc_port=message.rpc_port,
        rpc_path=message.rpc_path,
        agent_token=message.agent_token,
        secret_key=message.secret_key,
        certificate_sha256=message.certificate_sha256,
        status=_FROM_WIRE.get(message.status, Status.UNKNOWN),
        revision=message.revision,
        next_certificate_sha256=message.next_certificate_sha256,
        ssh_address=message.ssh_address,
        ssh_port=message.ssh_port,
        quarantined=message.quarantined,
        paused_until=message.paused_until.ToDatetime(UTC) if message.HasField("paused_until") else None,
    )


def report(one: Report) -> agent_service_pb2.HeartbeatReport:
    """A report for the registry."""
    message = agent_service_pb2.HeartbeatReport(
        agent_id=one.agent_id,
        checked_at=timestamp(one.checked_at),
        status=_TO_WIRE[one.status],
        cause=one.outcome.cause,
        message=one.outcome.message,
        attempts=attempts(one.outcome.tries),
        version=_text(one.outcome.version),
        checks=one.checks,
        answered=one.answered,
    )
    if one.outcome.latency_s is not None:
        message.latency.CopyFrom(duration(one.outcome.latency_s))
    if one.outcome.facts is not None:
        message.facts.CopyFrom(facts(one.outcome.facts, one.checked_at))
    return message


def check_response(one: Report) -> heartbeat_service_pb2.CheckNowResponse:
    """The answer to who asked for a check."""
    return heartbeat_service_pb2.CheckNowResponse(
        status=_TO_WIRE[one.status],
        cause=one.outcome.cause,
        message=one.outcome.message,
        attempts=attempts(one.outcome.tries),
    )


def member(one: Member) -> heartbeat_service_pb2.Member:
    """A replica that shares the fleet."""
    return heartbeat_service_pb2.Member(
        id=one.member_id,
        address=one.address,
        joined_at=timestamp(one.joined_at),
        lease_until=timestamp(one.lease_until),
        agents=one.agents,
    )


def status_response(now: StatusNow) -> heartbeat_service_pb2.GetStatusResponse:
    """What a replica does."""
    response = heartbeat_service_pb2.GetStatusResponse(
        agents=now.agents, unsent_reports=now.unsent_reports, members=[member(one) for one in now.members]
    )
    if now.suspicion is not None:
        response.suspicion.CopyFrom(
            heartbeat_service_pb2.Suspicion(
                since=timestamp(now.suspicion.since),
                until=timestamp(now.suspicion.until),
                failing=now.suspicion.failing,
                agents=now.agents,
                message=now.suspicion.message,
            )
        )
    return response


def attempts(tries: Sequence[Try]) -> list[agent_pb2.CallAttempt]:
    """The tries of a call; `wait` is unset for the last one."""
    return [
        agent_pb2.CallAttempt(
            at=timestamp(one.at),
            cause=one.cause,
            message=one.message,
            wait=None if one.wait_s is None else duration(one.wait_s),
        )
        for one in tries
    ]


def facts(status: Mapping[str, Any], reported_at: datetime) -> agent_pb2.AgentFacts:
    """The result of `get_status`; fields that are missing or of a wrong type are left unset."""
    load = _list(status.get("load"))
    os = _mapping(status.get("os"))
    memory = _mapping(status.get("memory"))
    tool = _mapping(status.get("deployment_tool"))
    bundle = _mapping(status.get("bundle"))
    message = agent_pb2.AgentFacts(
        hostname=_text(status.get("hostname")),
        os=_text(os.get("pretty_name")),
        os_id=_text(os.get("id")),
        os_version=_text(os.get("version_id")),
        arch=_text(status.get("arch")),
        kernel=_text(status.get("kernel")),
        python=_text(status.get("python")),
        cpus=min(_count(status.get("cpus")), _INT32),
        memory_total_bytes=_count(memory.get("total")),
        memory_available_bytes=_count(memory.get("available")),
        machine_id=_text(status.get("machine_id")),
        boot_id=_text(status.get("boot_id")),
        running_command_ids=[_text(one) for one in _list(status.get("running_commands"))[:_MAX_LIST]],
        reported_at=timestamp(reported_at),
        deployment_tool_version=_text(tool.get("version")),
        deployment_tool_digest=_text(tool.get("digest")),
        bundle_version=_text(bundle.get("version")),
        bundle_digest=_text(bundle.get("digest")),
        capabilities=[_text(one) for one in _list(status.get("capabilities"))[:_MAX_LIST]],
    )
    if len(load) == 3:
        message.load_1m, message.load_5m, message.load_15m = (_number(one) for one in load)
    uptime_s = _number(status.get("host_uptime"))
    if 0 < uptime_s < 1e10:
        message.uptime.CopyFrom(duration(uptime_s))
    for disk in _list(status.get("disks"))[:_MAX_LIST]:
        one = _mapping(disk)
        message.disks.add(
            mount=_text(one.get("mount")),
            total_bytes=_count(one.get("total")),
            free_bytes=_count(one.get("free")),
        )
    return message


def _text(value: object) -> str:
    return clean(value[:_MAX_TEXT]) if isinstance(value, str) else ""


def _count(value: object) -> int:
    return min(max(value, 0), _INT64) if isinstance(value, int) and not isinstance(value, bool) else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e15 else 0.0


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
