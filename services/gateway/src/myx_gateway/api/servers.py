"""/servers"""

from typing import Annotated

from fastapi import Query, Response
from google.protobuf.field_mask_pb2 import FieldMask

from myx.heartbeat.v1 import heartbeat_service_pb2 as heartbeat
from myx.registry.v1 import server_service_pb2 as registry
from myx_gateway.access.access import Access
from myx_gateway.api.dependencies import AccessDep, ClientsDep, PageSize, PageToken, RequestIdDep, ServerPath
from myx_gateway.api.etags import IfMatch, etag_in, put_etag
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import agents as convert_agents
from myx_gateway.convert import servers as convert
from myx_gateway.schemas.agents import CheckResult
from myx_gateway.schemas.jobs import MAX_SELECTOR
from myx_gateway.schemas.servers import NewServer, Server, ServerChanges, ServerCounts, ServerPage
from myx_gateway.schemas.ssh import NewSsh

router = OperationRouter(tags=["servers"])

SelectorQuery = Annotated[
    str, Query(max_length=MAX_SELECTOR, description="Only those that match, as `env=prod and os=debian`.")
]
# A check makes four tries of a call to an agent, with waits between them.
_CHECK_DEADLINE_S = 150.0


@router.operation("servers.list")
async def list_servers(
    clients: ClientsDep,
    access: AccessDep,
    selector: SelectorQuery = "",
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> ServerPage:
    """All servers by name, or those that a selector matches, with their agents."""
    request = registry.ListServersRequest(page_size=page_size, page_token=page_token)
    request.selector = await access.narrow(selector)
    answer = await clients.servers.ListServers(request)
    return ServerPage(
        items=[convert.server(item) for item in answer.servers], next_page_token=answer.next_page_token or None
    )


@router.operation("servers.count")
async def count_servers(
    clients: ClientsDep,
    access: AccessDep,
    selector: SelectorQuery = "",
) -> ServerCounts:
    """How many servers there are, or match a selector, and in which state."""
    request = registry.CountServersRequest(selector=await access.narrow(selector))
    return convert.counts(await clients.servers.CountServers(request))


@router.operation("servers.create")
async def create_server(
    clients: ClientsDep, access: AccessDep, request_id: RequestIdDep, body: NewServer, response: Response
) -> Server:
    """Add a server; nothing is done on it.

    Shared credentials and jump servers are for who administers all servers.
    """
    _own_way(body.ssh, access)
    request = registry.CreateServerRequest(
        name=body.name,
        address=body.address,
        labels=body.labels,
        ssh=convert.wire_ssh(body.ssh),
        repair_policy=convert.wire_repair(body.repair_policy),
        host_key_fingerprint=body.host_key_fingerprint,
        accept_new_host_key=body.accept_new_host_key,
        request_id=request_id,
        requested_by=access.principal.name,
        required_selector=access.required_selector(),
    )
    if body.credential is not None:
        request.own_credential.CopyFrom(convert.wire_secret(body.credential))
    answer = await clients.servers.CreateServer(request)
    response.headers["Location"] = f"/api/v1/servers/{answer.server.id}"
    put_etag(answer.server.etag, response)
    return convert.server(answer.server)


@router.operation("servers.get")
async def get_server(clients: ClientsDep, server: ServerPath, response: Response) -> Server:
    """One server with its agent."""
    answer = await clients.servers.GetServer(registry.GetServerRequest(server=server))
    put_etag(answer.server.etag, response)
    return convert.server(answer.server)


@router.operation("servers.update")
async def update_server(
    *,
    clients: ClientsDep,
    access: AccessDep,
    server: ServerPath,
    body: ServerChanges,
    response: Response,
    if_match: IfMatch = None,
) -> Server:
    """Change a server; with `If-Match` only if nobody else has since.

    Who administers not all servers must still administer it afterwards, and may not change how it is reached when that
    is, or would be, by a shared credential or over a jump server.
    """
    _own_way(body.ssh, access)
    request = registry.UpdateServerRequest(
        server=server,
        name=body.name or "",
        address=body.address or "",
        labels=body.labels or {},
        repair_policy=convert.wire_repair(body.repair_policy),
        accept_new_host_key=body.accept_new_host_key or False,
        update_mask=FieldMask(paths=body.changed()),
        etag=etag_in(if_match),
        required_selector=access.required_selector(),
    )
    if body.ssh is not None:
        request.ssh.CopyFrom(convert.wire_ssh(body.ssh))
    if body.credential is not None:
        request.own_credential.CopyFrom(convert.wire_secret(body.credential))
    answer = await clients.servers.UpdateServer(request)
    put_etag(answer.server.etag, response)
    return convert.server(answer.server)


@router.operation("servers.delete")
async def delete_server(clients: ClientsDep, access: AccessDep, server: ServerPath, if_match: IfMatch = None) -> None:
    """Remove a server and the identity of its agent; nothing is done on it."""
    request = registry.DeleteServerRequest(server=server, etag=etag_in(if_match))
    request.required_selector = access.required_selector()
    await clients.servers.DeleteServer(request)


@router.operation("servers.check")
async def check_server(clients: ClientsDep, server: ServerPath) -> CheckResult:
    """Call the server's agent now. Safe to repeat."""
    answer = await clients.heartbeat.CheckNow(heartbeat.CheckNowRequest(server=server), timeout=_CHECK_DEADLINE_S)
    return convert_agents.check_result(answer)


def _own_way(ssh: NewSsh | None, access: Access) -> None:
    """Whether there is a shared credential or a jump server of some name is not told to everybody either."""
    if ssh is not None and (ssh.credential or ssh.jump_servers):
        access.need_all()
