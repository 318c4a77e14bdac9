"""`ScheduleService`."""

from grpc.aio import ServicerContext

from myx.executor.v1 import schedule_service_pb2 as pb
from myx.executor.v1.schedule_service_pb2_grpc import ScheduleServiceServicer
from myx_executor.convert import schedules as convert
from myx_executor.usecases.schedules.manage import Schedules
from myx_kit.wire_time import timestamp


class ScheduleServicer(ScheduleServiceServicer):
    """`myx.executor.v1.ScheduleService`; statuses and reasons are in the proto's comments."""

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def CreateSchedule(  # noqa: N802
        self,
        request: pb.CreateScheduleRequest,
        context: ServicerContext[pb.CreateScheduleRequest, pb.CreateScheduleResponse],
    ) -> pb.CreateScheduleResponse:
        """Stores a schedule."""
        schedule = await self._schedules.create(convert.create_request(request))
        return pb.CreateScheduleResponse(schedule=convert.schedule_to_proto(schedule))

    async def GetSchedule(  # noqa: N802
        self,
        request: pb.GetScheduleRequest,
        context: ServicerContext[pb.GetScheduleRequest, pb.GetScheduleResponse],
    ) -> pb.GetScheduleResponse:
        """One schedule."""
        schedule = await self._schedules.get(request.schedule)
        return pb.GetScheduleResponse(schedule=convert.schedule_to_proto(schedule))

    async def ListSchedules(  # noqa: N802
        self,
        request: pb.ListSchedulesRequest,
        context: ServicerContext[pb.ListSchedulesRequest, pb.ListSchedulesResponse],
    ) -> pb.ListSchedulesResponse:
        """Schedules by name."""
        schedules, token = await self._schedules.list(request.page_size, request.page_token)
        return pb.ListSchedulesResponse(
            schedules=[convert.schedule_to_proto(one) for one in schedules], next_page_token=token
        )

    async def UpdateSchedule(  # noqa: N802
        self,
        request: pb.UpdateScheduleRequest,
        context: ServicerContext[pb.UpdateScheduleRequest, pb.UpdateScheduleResponse],
    ) -> pb.UpdateScheduleResponse:
        """Changes a schedule."""
        schedule = await self._schedules.update(
            request.schedule, convert.change_request(request), request.etag, request.requested_by
        )
        return pb.UpdateScheduleResponse(schedule=convert.schedule_to_proto(schedule))

    async def DeleteSchedule(  # noqa: N802
        self,
        request: pb.DeleteScheduleRequest,
        context: ServicerContext[pb.DeleteScheduleRequest, pb.DeleteScheduleResponse],
    ) -> pb.DeleteScheduleResponse:
        """Removes a schedule."""
        await self._schedules.delete(request.schedule, request.etag)
        return pb.DeleteScheduleResponse()

    async def ListScheduleFires(  # noqa: N802
        self,
        request: pb.ListScheduleFiresRequest,
        context: ServicerContext[pb.ListScheduleFiresRequest, pb.ListScheduleFiresResponse],
    ) -> pb.ListScheduleFiresResponse:
        """What became of a schedule's times."""
        fires, token = await self._schedules.fires(request.schedule, request.page_size, request.page_token)
        return pb.ListScheduleFiresResponse(
            fires=[convert.fire_to_proto(fire) for fire in fires], next_page_token=token
        )

    async def PreviewSchedule(  # noqa: N802
        self,
        request: pb.PreviewScheduleRequest,
        context: ServicerContext[pb.PreviewScheduleRequest, pb.PreviewScheduleResponse],
    ) -> pb.PreviewScheduleResponse:
        """When an expression would fire."""
        after = convert.moment_or_none(request.after, is_set=request.HasField("after"))
        times = await self._schedules.preview(request.cron, request.time_zone, request.count, after)
        return pb.PreviewScheduleResponse(times=[timestamp(time) for time in times])
