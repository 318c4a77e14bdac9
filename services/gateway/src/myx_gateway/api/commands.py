"""/commands"""

from typing import Annotated

from fastapi import Query, Response
from pydantic import AfterValidator

from myx.executor.v1 import command_service_pb2 as executor
from myx_gateway.api.dependencies import (
    AccessDep,
    ClientsDep,
    CommandPath,
    PageSize,
    PageToken,
    PrincipalDep,
    RequestIdDep,
    ServerFilter,
    within,
)
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import commands as convert
from myx_gateway.schemas.commands import CancelRequest, Command, CommandPage, CommandStatus, NewCommand
from myx_gateway.schemas.common import plain
from myx_kit.wire_time import duration

router = OperationRouter(tags=["commands"])


@router.operation("commands.run")
async def run_command(
    clients: ClientsDep, access: AccessDep, request_id: RequestIdDep, body: NewCommand, response: Response
) -> Command:
    """Accept a command; it is sent to the agent in the background."""
    request = convert.wire_command(body)
    request.server = await access.server(body.server)
    request.request_id, request.requested_by = request_id, access.principal.name
    answer = await clients.commands.RunCommand(request)
    response.headers["Location"] = f"/api/v1/commands/{answer.command.id}"
    return convert.command(answer.command)


@router.operation("commands.list")
async def list_commands(
    *,
    clients: ClientsDep,
    access: AccessDep,
    server: ServerFilter = "",
    job_id: Annotated[str, Query(max_length=64, description="Only of this job."), AfterValidator(plain)] = "",
    status: Annotated[list[CommandStatus] | None, Query(description="Only these; may be repeated.")] = None,
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> CommandPage:
    """Commands, newest first."""
    answer = await clients.commands.ListCommands(
        executor.ListCommandsRequest(
            page_size=page_size,
            page_token=page_token,
            server=server,
            job_id=job_id,
            statuses=[convert.wire_status(item) for item in status or ()],
            within=await within(access),
        )
    )
    return CommandPage(
        items=[convert.command(item) for item in answer.commands], next_page_token=answer.next_page_token or None
    )


@router.operation("commands.get")
async def get_command(clients: ClientsDep, command_id: CommandPath) -> Command:
    """One command."""
    answer = await clients.commands.GetCommand(executor.GetCommandRequest(command_id=command_id))
    return convert.command(answer.command)


@router.operation("commands.cancel")
async def cancel_command(
    clients: ClientsDep, principal: PrincipalDep, command_id: CommandPath, body: CancelRequest | None = None
) -> Command:
    """Ask a command to end; it is `cancelling` until the agent has proved the end. Safe to repeat."""
    request = executor.CancelCommandRequest(command_id=command_id, requested_by=principal.name)
    if body is not None and body.grace_s is not None:
        request.grace.CopyFrom(duration(body.grace_s))
    answer = await clients.commands.CancelCommand(request)
    return convert.command(answer.command)
