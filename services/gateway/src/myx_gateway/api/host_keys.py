"""/servers/{server}/host-key"""

from typing import Annotated

from fastapi import Query

from myx.executor.v1 import deployment_service_pb2 as executor
from myx.registry.v1 import server_service_pb2 as registry
from myx_gateway.access.rights import Role
from myx_gateway.api.dependencies import AccessDep, ClientsDep, ServerPath
from myx_gateway.api.routes import OperationRouter
from myx_gateway.convert import servers as convert
from myx_gateway.schemas.ssh import HostKeyState, ShownKey, TrustKey

router = OperationRouter(tags=["servers"])

# A scan may go through eight jump hosts, each of which may take its time to be found dead.
_SCAN_DEADLINE_S = 60.0


@router.operation("servers.get_host_key")
async def get_host_key(
    clients: ClientsDep,
    access: AccessDep,
    server: ServerPath,
    scan: Annotated[
        bool, Query(description="Also connect and tell the key that the host shows; for operators.")
    ] = False,
) -> HostKeyState:
    """The SSH host key that is trusted and, with `scan`, the one that is shown. Nothing is changed."""
    if scan:
        await access.need(Role.OPERATOR, server)
    answer = await clients.servers.GetServer(registry.GetServerRequest(server=server))
    trusted = convert.trusted_key(answer.server)
    if not scan:
        return HostKeyState(trusted=trusted, shown=None, matches=None)
    seen = await clients.deployments.ScanHostKey(executor.ScanHostKeyRequest(server=server), timeout=_SCAN_DEADLINE_S)
    return HostKeyState(
        trusted=trusted,
        shown=ShownKey(fingerprint=seen.fingerprint, public_key=seen.public_key),
        matches=None if trusted is None else trusted.fingerprint == seen.fingerprint,
    )


@router.operation("servers.trust_host_key")
async def trust_host_key(clients: ClientsDep, access: AccessDep, server: ServerPath, body: TrustKey) -> HostKeyState:
    """Trust a host key from now on, in place of any other. Safe to repeat.

    Where a shared credential or a jump server is on the way, or others are reached through the server, it is for who
    administers all servers.
    """
    request = registry.TrustHostKeyRequest(server=server, fingerprint=body.fingerprint)
    request.requested_by, request.required_selector = access.principal.name, access.required_selector()
    answer = await clients.servers.TrustHostKey(request)
    return HostKeyState(trusted=convert.trusted_key(answer.server), shown=None, matches=None)
