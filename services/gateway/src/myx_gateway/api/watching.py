"""/servers: how agents fared over time, and pauses of their checks; /heartbeat"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Query

from myx.heartbeat.v1 import heartbeat_service_pb2 as heartbeat
from myx.registry.v1 import agent_service_pb2 as registry
from myx_gateway.api.dependencies import AccessDep, ClientsDep, PageSize, PageToken, PrincipalDep, ServerPath
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import agents as convert_agents
from myx_gateway.convert import watching as convert
from myx_gateway.schemas.agents import Agent
from myx_gateway.schemas.watching import (
    Affected,
    FactChangePage,
    HeartbeatStatus,
    Metric,
    NewPause,
    Resume,
    Series,
    TransitionPage,
)
from myx_kit.wire_time import duration, timestamp

router = OperationRouter(tags=["watching"])

_Moment = Annotated[datetime | None, Query(description="ISO 8601; without a zone it is UTC.")]
_Step = Annotated[float | None, Query(gt=0, le=30 * 86_400, description="At least so many seconds are one point.")]


@router.operation("servers.history")
async def list_history(
    clients: ClientsDep, server: ServerPath, page_size: PageSize = 100, page_token: PageToken = ""
) -> TransitionPage:
    """Changes of the agent's status and cause, newest first, each with the tries that it was concluded from."""
    answer = await clients.agents.ListAgentTransitions(
        registry.ListAgentTransitionsRequest(server=server, page_size=page_size, page_token=page_token)
    )
    return TransitionPage(
        items=[convert.transition(one) for one in answer.transitions], next_page_token=answer.next_page_token or None
    )


@router.operation("servers.fact_history")
async def list_fact_history(
    clients: ClientsDep, server: ServerPath, page_size: PageSize = 100, page_token: PageToken = ""
) -> FactChangePage:
    """Changes of what the agent says about its host, newest first."""
    answer = await clients.agents.ListFactChanges(
        registry.ListFactChangesRequest(server=server, page_size=page_size, page_token=page_token)
    )
    return FactChangePage(
        items=[convert.fact_change(one) for one in answer.changes], next_page_token=answer.next_page_token or None
    )


async def _span(start: _Moment = None, end: _Moment = None, step_s: _Step = None) -> registry.QuerySeriesRequest:
    request = registry.QuerySeriesRequest()
    for name, moment in (("start", start), ("end", end)):
        if moment is not None:
            getattr(request, name).CopyFrom(timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
    if step_s is not None:
        request.step.CopyFrom(duration(step_s))
    return request


@router.operation("servers.series")
async def get_series(
    clients: ClientsDep,
    server: ServerPath,
    request: Annotated[registry.QuerySeriesRequest, Depends(_span)],
    metric: Annotated[list[Metric] | None, Query(description="Only these; may be repeated.")] = None,
) -> Series:
    """Metrics of the agent over time: of the last hour, or of up to 30 days, the older the longer the steps."""
    request.server = server
    request.metrics.extend(convert.wire_metric(one) for one in metric or ())
    return convert.series(await clients.agents.QuerySeries(request))


@router.operation("servers.pause")
async def pause_checks(clients: ClientsDep, access: AccessDep, body: NewPause) -> Affected:
    """Stop the checks of servers until a time; nothing is repaired there meanwhile. Safe to repeat."""
    until = body.until or datetime.now(UTC) + timedelta(seconds=body.for_s or 0)
    answer = await clients.agents.PauseChecks(
        registry.PauseChecksRequest(
            selector=await access.matching(body.selector) if body.selector else "",
            servers=await access.kept(body.servers) if body.servers else [],
            until=timestamp(until),
            reason=body.reason,
            requested_by=access.principal.name,
        )
    )
    return Affected(servers=answer.servers)


@router.operation("servers.resume")
async def resume_checks(clients: ClientsDep, access: AccessDep, body: Resume) -> Affected:
    """End pauses. Safe to repeat."""
    answer = await clients.agents.ResumeChecks(
        registry.ResumeChecksRequest(
            selector=await access.matching(body.selector) if body.selector else "",
            servers=await access.kept(body.servers) if body.servers else [],
            requested_by=access.principal.name,
        )
    )
    return Affected(servers=answer.servers)


@router.operation("servers.accept_machine")
async def accept_machine(clients: ClientsDep, principal: PrincipalDep, server: ServerPath) -> Agent:
    """Take the machine that answers now for the right one: ends a quarantine. Safe to repeat."""
    answer = await clients.agents.AcceptMachine(
        registry.AcceptMachineRequest(server=server, requested_by=principal.name)
    )
    return convert_agents.agent(answer.agent)


@router.operation("heartbeat.get")
async def get_heartbeat(clients: ClientsDep) -> HeartbeatStatus:
    """The heartbeat service: who shares the fleet, and whether it doubts itself."""
    return convert.heartbeat_status(await clients.heartbeat.GetStatus(heartbeat.GetStatusRequest()))
