"""Histories, series and the state of the heartbeat service."""

from myx.heartbeat.v1 import heartbeat_service_pb2
from myx.registry.v1 import agent_pb2, agent_service_pb2
from myx_gateway.convert.agents import agent_status, attempt
from myx_gateway.convert.wire import moment_of, seconds_of
from myx_gateway.schemas.watching import (
    FactChange,
    HeartbeatStatus,
    Member,
    Metric,
    Point,
    Series,
    Suspicion,
    Transition,
)

_METRICS = {
    Metric.LATENCY: agent_pb2.AGENT_METRIC_LATENCY,
    Metric.LOAD_1M: agent_pb2.AGENT_METRIC_LOAD_1M,
    Metric.MEMORY: agent_pb2.AGENT_METRIC_MEMORY,
    Metric.DISK: agent_pb2.AGENT_METRIC_DISK,
    Metric.UP: agent_pb2.AGENT_METRIC_UP,
}
_METRIC_NAME = {number: name for name, number in _METRICS.items()}


def wire_metric(metric: Metric) -> agent_pb2.AgentMetric.ValueType:
    """The wire form of a metric."""
    return _METRICS[metric]


def transition(message: agent_pb2.AgentTransition) -> Transition:
    """A change of status or cause."""
    return Transition(
        at=moment_of(message, "at"),
        before=agent_status(getattr(message, "from")),
        after=agent_status(message.to),
        cause=message.cause,
        message=message.message,
        attempts=[attempt(item) for item in message.attempts],
    )


def fact_change(message: agent_pb2.FactChange) -> FactChange:
    """A change of a fact."""
    return FactChange(at=moment_of(message, "at"), fact=message.fact, before=getattr(message, "from"), after=message.to)


def series(message: agent_service_pb2.QuerySeriesResponse) -> Series:
    """Metrics over time; those that a newer service knows are left out."""
    return Series(
        step_s=seconds_of(message, "step") or 0.0,
        metrics={
            _METRIC_NAME[one.metric]: [
                Point(at=moment_of(p, "at"), min=p.min, mean=p.mean, max=p.max, count=p.count) for p in one.points
            ]
            for one in message.series
            if one.metric in _METRIC_NAME
        },
    )


def heartbeat_status(message: heartbeat_service_pb2.GetStatusResponse) -> HeartbeatStatus:
    """The heartbeat service."""
    return HeartbeatStatus(
        agents=message.agents,
        unsent_reports=message.unsent_reports,
        members=[
            Member(
                id=one.id,
                address=one.address,
                joined_at=moment_of(one, "joined_at"),
                lease_until=moment_of(one, "lease_until"),
                agents=one.agents,
            )
            for one in message.members
        ],
        suspicion=_suspicion(message.suspicion) if message.HasField("suspicion") else None,
    )


def _suspicion(message: heartbeat_service_pb2.Suspicion) -> Suspicion:
    return Suspicion(
        since=moment_of(message, "since"),
        until=moment_of(message, "until"),
        failing=message.failing,
        agents=message.agents,
        message=message.message,
    )
