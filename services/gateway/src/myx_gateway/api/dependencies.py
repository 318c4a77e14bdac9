"""What the routes share."""

from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from pydantic import AfterValidator

from myx.executor.v1.command_pb2 import ServerSet
from myx_gateway.access.access import Access
from myx_gateway.access.page_seal import PageSeal
from myx_gateway.access.principal import Principal
from myx_gateway.clients import Clients
from myx_gateway.schemas.common import plain


async def _clients(request: Request) -> Clients:
    clients: Clients = request.app.state.clients
    return clients


async def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


async def _access(request: Request) -> Access:
    access: Access = request.state.access
    return access


async def _page_seal(request: Request) -> PageSeal:
    seal: PageSeal = request.app.state.page_seal
    return seal


async def within(access: Access) -> ServerSet | None:
    """To what servers the executor's lists are restricted; None: to none in particular."""
    visible = await access.visible()
    return None if visible.all else ServerSet(ids=sorted(visible.ids))


def _printable_ascii(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ValueError("must be printable ASCII")
    return text


async def _request_id(
    principal: Annotated[Principal, Depends(_principal)],
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description="The same key with the same body gives what the first call made.",
        ),
        AfterValidator(lambda text: text if text is None else _printable_ascii(text)),
    ] = None,
) -> str:
    return principal.request_id(idempotency_key)


ClientsDep = Annotated[Clients, Depends(_clients)]
PrincipalDep = Annotated[Principal, Depends(_principal)]
# What the request may touch; every handler of a body or a list asks it.
AccessDep = Annotated[Access, Depends(_access)]
PageSealDep = Annotated[PageSeal, Depends(_page_seal)]
RequestIdDep = Annotated[str, Depends(_request_id)]
PageSize = Annotated[int, Query(ge=1, le=1000)]
PageToken = Annotated[str, Query(max_length=4096, description="`next_page_token` of the page before.")]
ServerPath = Annotated[str, Path(max_length=255, description="Id or name of the server.")]
CommandPath = Annotated[str, Path(max_length=255, description="Id of the command.")]
JobPath = Annotated[str, Path(max_length=255, description="Id of the job.")]
SchedulePath = Annotated[str, Path(max_length=255, description="Id or name of the schedule.")]
DeploymentPath = Annotated[str, Path(max_length=255, description="Id of the deployment.")]
ServerFilter = Annotated[
    str, Query(max_length=255, description="Only of this server, by id or name."), AfterValidator(plain)
]
