"""`CommandService`."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from grpc.aio import ServicerContext

from myx.executor.v1 import command_service_pb2 as pb
from myx.executor.v1.command_service_pb2_grpc import CommandServiceServicer
from myx_executor.convert import commands as convert
from myx_executor.domain.command import Command
from myx_executor.usecases.commands import CancelCommand, ReadCommands, command_id_of
from myx_executor.usecases.follow_log import FollowLog
from myx_executor.usecases.run_command import RunCommand
from myx_executor.usecases.search_log import SearchLog


class CommandServicer(CommandServiceServicer):
    """`myx.executor.v1.CommandService`; statuses and reasons are in the proto's comments."""

    def __init__(
        self, run: RunCommand, read: ReadCommands, cancel: CancelCommand, follow: FollowLog, *, search: SearchLog
    ) -> None:
        self._run = run
        self._read = read
        self._cancel = cancel
        self._follow = follow
        self._search = search

    async def RunCommand(  # noqa: N802
        self,
        request: pb.RunCommandRequest,
        context: ServicerContext[pb.RunCommandRequest, pb.RunCommandResponse],
    ) -> pb.RunCommandResponse:
        """Stores a command and answers at once."""
        command = await self._run.run(convert.run_request(request))
        return pb.RunCommandResponse(command=convert.command_to_proto(command))

    async def GetCommand(  # noqa: N802
        self,
        request: pb.GetCommandRequest,
        context: ServicerContext[pb.GetCommandRequest, pb.GetCommandResponse],
    ) -> pb.GetCommandResponse:
        """One command."""
        command = await self._read.get(command_id_of(request.command_id))
        return pb.GetCommandResponse(command=convert.command_to_proto(command))

    async def ListCommands(  # noqa: N802
        self,
        request: pb.ListCommandsRequest,
        context: ServicerContext[pb.ListCommandsRequest, pb.ListCommandsResponse],
    ) -> pb.ListCommandsResponse:
        """Commands, newest first."""
        commands, token = await self._read.list(
            page_size=request.page_size,
            page_token=request.page_token,
            server=request.server,
            statuses=convert.statuses(request.statuses),
            job_id=convert.id_filter(request.job_id, "job_id"),
            within=request.within.ids if request.HasField("within") else None,
        )
        return pb.ListCommandsResponse(
            commands=[convert.command_to_proto(command) for command in commands], next_page_token=token
        )

    async def CancelCommand(  # noqa: N802
        self,
        request: pb.CancelCommandRequest,
        context: ServicerContext[pb.CancelCommandRequest, pb.CancelCommandResponse],
    ) -> pb.CancelCommandResponse:
        """Asks a command to end."""
        grace_s = convert.seconds_or_none(request, "grace")
        command = await self._cancel.cancel(command_id_of(request.command_id), grace_s, request.requested_by)
        return pb.CancelCommandResponse(command=convert.command_to_proto(command))

    async def FollowLog(  # noqa: N802
        self,
        request: pb.FollowLogRequest,
        context: ServicerContext[pb.FollowLogRequest, pb.FollowLogResponse],
    ) -> AsyncIterator[pb.FollowLogResponse]:
        """The log from an offset. The initial metadata go out once the request was found good."""
        command_id = command_id_of(request.command_id)
        async with aclosing(self._follow.stream(command_id, request.offset, follow=request.follow)) as steps:
            async for step in steps:
                if step is None:
                    await context.send_initial_metadata(())
                elif isinstance(step, Command):
                    yield convert.final_response(step)
                else:
                    for response in convert.follow_responses(step):
                        yield response

    async def SearchLog(  # noqa: N802
        self,
        request: pb.SearchLogRequest,
        context: ServicerContext[pb.SearchLogRequest, pb.SearchLogResponse],
    ) -> pb.SearchLogResponse:
        """Lines of a log that match, from an offset on."""
        found = await self._search.search(convert.search_request(request, command_id_of(request.command_id)))
        return convert.search_response(found)
