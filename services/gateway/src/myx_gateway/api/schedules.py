"""/schedules"""

from collections.abc import Sequence
from datetime import UTC
from typing import Final

from fastapi import Response

from myx.executor.v1 import schedule_service_pb2 as executor
from myx_gateway.access.access import Access
from myx_gateway.api.dependencies import (
    AccessDep,
    ClientsDep,
    PageSealDep,
    PageSize,
    PageToken,
    RequestIdDep,
    SchedulePath,
)
from myx_gateway.api.etags import IfMatch, etag_in, put_etag
from myx_gateway.api.narrowing import narrow_work, servers_of
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import schedules as convert
from myx_gateway.schemas.schedules import (
    NewSchedule,
    Schedule,
    ScheduleChanges,
    ScheduleFirePage,
    SchedulePage,
    SchedulePreview,
    ScheduleTimes,
)
from myx_kit.wire_time import timestamp

# Pages that are read to find one that may be seen; an empty page with a token says: go on.
_MOST_LOOKS: Final = 5

router = OperationRouter(tags=["schedules"])


@router.operation("schedules.create")
async def create_schedule(
    clients: ClientsDep, access: AccessDep, request_id: RequestIdDep, body: NewSchedule, response: Response
) -> Schedule:
    """Add a schedule; it fires under the authority of who adds it.

    Servers that are named are kept by their ids. A token that is narrower than its user makes none.
    """
    access.need_whole()
    request = convert.wire_schedule(body)
    await narrow_work(request.work, access)
    request.request_id, request.requested_by = request_id, access.principal.name
    answer = await clients.schedules.CreateSchedule(request)
    response.headers["Location"] = f"/api/v1/schedules/{answer.schedule.id}"
    put_etag(answer.schedule.etag, response)
    return (await _shown(access, [answer.schedule]))[0]


@router.operation("schedules.preview")
async def preview_schedule(clients: ClientsDep, body: SchedulePreview) -> ScheduleTimes:
    """When an expression would fire. Nothing is stored."""
    answer = await clients.schedules.PreviewSchedule(
        executor.PreviewScheduleRequest(
            cron=body.cron, time_zone=body.time_zone, count=body.count, after=timestamp(body.after)
        )
    )
    return ScheduleTimes(times=[item.ToDatetime(tzinfo=UTC) for item in answer.times])


@router.operation("schedules.list")
async def list_schedules(
    clients: ClientsDep, access: AccessDep, seal: PageSealDep, page_size: PageSize = 100, page_token: PageToken = ""
) -> SchedulePage:
    """All schedules by name: one's own, and those whose servers now are all within one's right. A page may be short."""
    found: list[executor.Schedule] = []
    if not access.everywhere:
        page_token = seal.opened(page_token, access.principal)
    for _ in range(_MOST_LOOKS):
        answer = await clients.schedules.ListSchedules(
            executor.ListSchedulesRequest(page_size=page_size, page_token=page_token)
        )
        found.extend(await access.seen_schedules(answer.schedules))
        page_token = answer.next_page_token
        if found or not page_token:
            break
    if not access.everywhere:
        page_token = seal.sealed(page_token, access.principal)
    return SchedulePage(items=await _shown(access, found), next_page_token=page_token or None)


@router.operation("schedules.get")
async def get_schedule(clients: ClientsDep, access: AccessDep, schedule: SchedulePath, response: Response) -> Schedule:
    """One schedule with its next times."""
    answer = await clients.schedules.GetSchedule(executor.GetScheduleRequest(schedule=schedule))
    put_etag(answer.schedule.etag, response)
    return (await _shown(access, [answer.schedule]))[0]


@router.operation("schedules.update")
async def update_schedule(
    *,
    clients: ClientsDep,
    access: AccessDep,
    schedule: SchedulePath,
    body: ScheduleChanges,
    response: Response,
    if_match: IfMatch = None,
) -> Schedule:
    """Change, pause or resume a schedule; with `If-Match` only if nobody else has since."""
    access.need_whole()
    request = convert.wire_changes(body)
    if request.HasField("work"):
        await narrow_work(request.work, access)
    request.schedule, request.requested_by, request.etag = schedule, access.principal.name, etag_in(if_match)
    answer = await clients.schedules.UpdateSchedule(request)
    put_etag(answer.schedule.etag, response)
    return (await _shown(access, [answer.schedule]))[0]


@router.operation("schedules.delete")
async def delete_schedule(clients: ClientsDep, schedule: SchedulePath, if_match: IfMatch = None) -> None:
    """Remove a schedule; what it has started goes on."""
    request = executor.DeleteScheduleRequest(schedule=schedule, etag=etag_in(if_match))
    await clients.schedules.DeleteSchedule(request)


@router.operation("schedules.fires")
async def list_schedule_fires(
    clients: ClientsDep, schedule: SchedulePath, page_size: PageSize = 100, page_token: PageToken = ""
) -> ScheduleFirePage:
    """What became of a schedule's times, newest first."""
    answer = await clients.schedules.ListScheduleFires(
        executor.ListScheduleFiresRequest(schedule=schedule, page_size=page_size, page_token=page_token)
    )
    return ScheduleFirePage(
        items=[convert.fire(item) for item in answer.fires], next_page_token=answer.next_page_token or None
    )


async def _shown(access: Access, schedules: Sequence[executor.Schedule]) -> list[Schedule]:
    """Schedules with the names that their servers have now."""
    names = await access.names(server for one in schedules for server in servers_of(one.work))
    return [convert.schedule(one, names) for one in schedules]
