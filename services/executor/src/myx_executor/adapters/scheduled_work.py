"""What schedules start: commands, deployments and jobs by one face."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from myx.executor.v1.command_service_pb2 import RunCommandRequest
from myx.executor.v1.deployment_service_pb2 import CreateDeploymentRequest
from myx_executor.convert.commands import run_request
from myx_executor.convert.deployments import create_request
from myx_executor.convert.scheduled_work import Request, request_of
from myx_executor.domain.schedules import Work, WorkKind
from myx_executor.store.commands import CommandStore
from myx_executor.usecases.deployments import checks
from myx_executor.usecases.deployments.create import CreateDeployment
from myx_executor.usecases.jobs.ports import Targets
from myx_executor.usecases.run_command import RunCommand
from myx_executor.usecases.run_command import check as check_command
from myx_executor.usecases.schedules.ports import Order, Subject
from myx_kit.errors import Internal, MyxError


class StarterOf(Protocol):
    """Starts work of one kind. The methods are those of `Starter`, with the request as a message."""

    async def check(self, request: Request) -> None:
        """Whether it could be started now."""
        ...

    async def subject(self, request: Request) -> Subject:
        """What it is about now."""
        ...

    async def find(self, requested_by: str, request_id: str) -> UUID | None:
        """What was started under this request id before."""
        ...

    async def start(self, request: Request, schedule_id: UUID, targets_sha256: str) -> UUID:
        """Starts it; the request says who asks, and under which id."""
        ...


class ScheduledWork:
    """Fits `Starter`."""

    def __init__(self, starters: dict[WorkKind, StarterOf]) -> None:
        self._starters = starters

    async def check(self, work: Work) -> None:
        """Whether it could be started now; errors name the field in the schedule's work."""
        with _fields_within(f"work.{work.kind}"):
            await self._starters[work.kind].check(request_of(work))

    async def subject(self, work: Work) -> Subject:
        """What it is about now."""
        return await self._starters[work.kind].subject(request_of(work))

    async def find(self, order: Order) -> UUID | None:
        """What was started under this request id before."""
        return await self._starters[order.work.kind].find(order.requested_by, order.request_id)

    async def start(self, order: Order, subject: Subject) -> UUID:
        """Starts it, once, on the servers of `subject` and no others; the id."""
        request = request_of(order.work)
        request.request_id, request.requested_by = order.request_id, order.requested_by
        if isinstance(request, RunCommandRequest | CreateDeploymentRequest):
            # By its id: another server may have the name by now.
            (request.server,) = subject.server_ids
        return await self._starters[order.work.kind].start(request, order.schedule_id, subject.targets_sha256)


class CommandStarter:
    """Fits `StarterOf`."""

    def __init__(self, run: RunCommand, store: CommandStore, targets: Targets) -> None:
        self._run = run
        self._store = store
        self._targets = targets

    async def check(self, request: Request) -> None:
        """As RunCommand would; the server must exist."""
        check_command(run_request(_command(request)))
        await server_of(self._targets, request)

    async def subject(self, request: Request) -> Subject:
        """One server."""
        return Subject("commands.run", [await server_of(self._targets, request)])

    async def find(self, requested_by: str, request_id: str) -> UUID | None:
        """The command of this request id."""
        found = await self._store.by_request(requested_by, request_id)
        return None if found is None else found[0].id

    async def start(self, request: Request, schedule_id: UUID, targets_sha256: str) -> UUID:
        """Accepts a command."""
        asked = replace(run_request(_command(request)), schedule_id=schedule_id)
        return (await self._run.run(asked)).id


class DeploymentStarter:
    """Fits `StarterOf`."""

    def __init__(self, create: CreateDeployment, store: CommandStore, targets: Targets) -> None:
        self._create = create
        self._store = store
        self._targets = targets

    async def check(self, request: Request) -> None:
        """As CreateDeployment would, but for the state of the server."""
        asked = create_request(_deployment(request))
        checks.check(asked)
        await self._create.check_content(asked)
        await server_of(self._targets, request)

    async def subject(self, request: Request) -> Subject:
        """One server."""
        return Subject("deployments.create", [await server_of(self._targets, request)])

    async def find(self, requested_by: str, request_id: str) -> UUID | None:
        """The deployment of this request id."""
        found = await self._store.by_request(requested_by, request_id)
        return None if found is None else found[0].id

    async def start(self, request: Request, schedule_id: UUID, targets_sha256: str) -> UUID:
        """Accepts a deployment."""
        asked = replace(create_request(_deployment(request)), schedule_id=schedule_id)
        return (await self._create.create(asked)).id


async def server_of(targets: Targets, request: Request) -> str:
    """Id of the server that a request names. NotFound `SERVER_NOT_FOUND`."""
    if not isinstance(request, RunCommandRequest | CreateDeploymentRequest):
        raise Internal("WORK_KIND", "only commands and deployments have one server")
    try:
        (server,) = await targets.resolve(servers=[request.server])
    except MyxError as error:
        error.fields["field"] = "server"
        raise
    return server.server_id


def _command(request: Request) -> RunCommandRequest:
    if not isinstance(request, RunCommandRequest):
        raise Internal("WORK_KIND", "the work of a schedule is not of its kind")
    return request


def _deployment(request: Request) -> CreateDeploymentRequest:
    if not isinstance(request, CreateDeploymentRequest):
        raise Internal("WORK_KIND", "the work of a schedule is not of its kind")
    return request


@contextmanager
def _fields_within(place: str) -> Iterator[None]:
    try:
        yield
    except MyxError as error:
        if "field" in error.fields:
            error.fields["field"] = f"{place}.{error.fields['field']}"
        raise
