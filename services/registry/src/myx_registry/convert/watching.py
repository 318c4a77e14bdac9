"""Histories, series and pauses of agents."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from myx.registry.v1 import agent_pb2, agent_service_pb2
from myx_kit.errors import InvalidArgument
from myx_kit.wire_time import duration, timestamp
from myx_registry.convert.agents import attempt_message, wire_status
from myx_registry.convert.wire import instant, seconds
from myx_registry.domain.heartbeats import FactChange, StatusChange
from myx_registry.domain.series import Metric, Point, Range

_METRICS: Final[Mapping[int, Metric]] = {
    agent_pb2.AGENT_METRIC_LATENCY: Metric.LATENCY,
    agent_pb2.AGENT_METRIC_LOAD_1M: Metric.LOAD_1M,
    agent_pb2.AGENT_METRIC_MEMORY: Metric.MEMORY,
    agent_pb2.AGENT_METRIC_DISK: Metric.DISK,
    agent_pb2.AGENT_METRIC_UP: Metric.UP,
}
_TO_WIRE: Final = {
    Metric.LATENCY: agent_pb2.AGENT_METRIC_LATENCY,
    Metric.LOAD_1M: agent_pb2.AGENT_METRIC_LOAD_1M,
    Metric.MEMORY: agent_pb2.AGENT_METRIC_MEMORY,
    Metric.DISK: agent_pb2.AGENT_METRIC_DISK,
    Metric.UP: agent_pb2.AGENT_METRIC_UP,
}


def transition_message(change: StatusChange) -> agent_pb2.AgentTransition:
    """An entry of an agent's history."""
    message = agent_pb2.AgentTransition(
        at=timestamp(change.at),
        to=wire_status(change.after),
        cause=change.cause,
        message=change.message,
        attempts=[attempt_message(attempt) for attempt in change.attempts],
    )
    # The name is a keyword.
    setattr(message, "from", wire_status(change.before))
    return message


def fact_change_message(change: FactChange) -> agent_pb2.FactChange:
    """A fact that became another."""
    message = agent_pb2.FactChange(at=timestamp(change.at), fact=change.fact, to=change.after)
    setattr(message, "from", change.before)
    return message


def metrics(values: Iterable[int]) -> list[Metric]:
    """Which metrics are asked for. Raises InvalidArgument `RANGE_INVALID`."""
    found = []
    for value in values:
        if value not in _METRICS:
            raise InvalidArgument("RANGE_INVALID", "There is no such metric.", field="metrics")
        found.append(_METRICS[value])
    return found


def range_of(request: agent_service_pb2.QuerySeriesRequest) -> tuple[datetime | None, datetime | None, float]:
    """Begin, end and step (0: not given) of a question. Raises InvalidArgument `RANGE_INVALID`."""
    start = instant(request.start) if request.HasField("start") else None
    end = instant(request.end) if request.HasField("end") else None
    step_s = seconds(request.step) if request.HasField("step") else 0.0
    if step_s < 0:
        raise InvalidArgument("RANGE_INVALID", "step must not be negative.", field="step")
    return start, end, step_s


def series_response(asked: Range, found: Mapping[Metric, Sequence[Point]]) -> agent_service_pb2.QuerySeriesResponse:
    """The answer to a question."""
    return agent_service_pb2.QuerySeriesResponse(
        step=duration(asked.step.total_seconds()),
        series=[
            agent_pb2.AgentSeries(metric=_TO_WIRE[metric], points=[_point_message(one) for one in points])
            for metric, points in found.items()
        ],
    )


def _point_message(point: Point) -> agent_pb2.SeriesPoint:
    return agent_pb2.SeriesPoint(
        at=timestamp(point.at), min=point.min, mean=point.mean, max=point.max, count=point.count
    )
