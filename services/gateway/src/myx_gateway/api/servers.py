"""/servers"""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from google.protobuf.field_mask_pb2 import FieldMask

from myx.heartbeat.v1 import heartbeat_service_pb2 as heartbeat
from myx.registry.v1 import server_service_pb2 as registry
from myx_gateway import convert
from myx_gateway.api.dependencies import ClientsDep, PageSize, PageToken, RequestIdDep, ServerPath
from myx_gateway.schemas.agents import CheckResult
from myx_gateway.schemas.servers import NewServer, Server, ServerChanges, ServerPage
from myx_kit.errors import Aborted, InvalidArgument

router = APIRouter(prefix="/servers", tags=["servers"])

# A check makes four tries of a call to an agent, with waits between them.
_CHECK_DEADLINE_S = 150.0

IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=255, description="ETag of the state that is to be changed.")
]


@router.get("")
async def list_servers(clients: ClientsDep, page_size: PageSize = 100, page_token: PageToken = "") -> ServerPage:
    """All servers by name, with their agents."""
    answer = await clients.servers.ListServers(registry.ListServersRequest(page_size=page_size, page_token=page_token))
    return ServerPage(
        items=[convert.server(item) for item in answer.servers], next_page_token=answer.next_page_token or None
    )


@router.post("", status_code=201)
async def create_server(clients: ClientsDep, request_id: RequestIdDep, body: NewServer, response: Response) -> Server:
    """Add a server; nothing is done on it."""
    answer = await clients.servers.CreateServer(
        registry.CreateServerRequest(name=body.name, address=body.address, labels=body.labels, request_id=request_id)
    )
    response.headers["Location"] = f"/api/v1/servers/{answer.server.id}"
    return _with_etag(convert.server(answer.server), response)


@router.get("/{server}")
async def get_server(clients: ClientsDep, server: ServerPath, response: Response) -> Server:
    """One server with its agent."""
    return _with_etag(await _fetch(clients, server), response)


@router.patch("/{server}")
async def update_server(
    clients: ClientsDep, server: ServerPath, body: ServerChanges, response: Response, if_match: IfMatch = None
) -> Server:
    """Change name, address or labels; with `If-Match` only if nobody else has since."""
    answer = await clients.servers.UpdateServer(
        registry.UpdateServerRequest(
            server=server,
            name=body.name or "",
            address=body.address or "",
            labels=body.labels or {},
            update_mask=FieldMask(paths=body.changed()),
            etag=_etag(if_match),
        )
    )
    return _with_etag(convert.server(answer.server), response)


@router.delete("/{server}", status_code=204)
async def delete_server(clients: ClientsDep, server: ServerPath, if_match: IfMatch = None) -> None:
    """Remove a server and the identity of its agent; nothing is done on it."""
    etag = _etag(if_match)
    if etag and (await _fetch(clients, server)).etag != etag:
        raise Aborted("ETAG_MISMATCH", "the server has been changed since", field="etag")
    await clients.servers.DeleteServer(registry.DeleteServerRequest(server=server))


@router.post("/{server}/check")
async def check_server(clients: ClientsDep, server: ServerPath) -> CheckResult:
    """Call the server's agent now. Safe to repeat."""
    answer = await clients.heartbeat.CheckNow(heartbeat.CheckNowRequest(server=server), timeout=_CHECK_DEADLINE_S)
    return convert.check_result(answer)


async def _fetch(clients: ClientsDep, server: str) -> Server:
    answer = await clients.servers.GetServer(registry.GetServerRequest(server=server))
    return convert.server(answer.server)


def _with_etag(server: Server, response: Response) -> Server:
    response.headers["ETag"] = f'"{server.etag}"'
    return server


def _etag(if_match: str | None) -> str:
    """The etag inside `If-Match`; empty for none and for `*`."""
    if if_match is None or if_match.strip() == "*":
        return ""
    text = if_match.strip()
    if text.startswith("W/"):
        raise Aborted("ETAG_MISMATCH", "a weak ETag matches nothing (RFC 9110, 13.1.1)", field="etag")
    if len(text) < 3 or text[0] != '"' or text[-1] != '"' or '"' in text[1:-1]:
        raise InvalidArgument("REQUEST_INVALID", "If-Match is wrong", **{"If-Match": "one ETag in quotes, or *"})
    return text[1:-1]
