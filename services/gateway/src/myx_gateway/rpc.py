"""`AccessService`: what somebody may do, for services whose work acts later than it was ordered."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import grpc.aio

from myx.gateway.v1 import access_service_pb2 as pb
from myx.gateway.v1.access_service_pb2_grpc import AccessServiceServicer, add_AccessServiceServicer_to_server
from myx_gateway.access.guard import Guard
from myx_gateway.access.identities import Identities
from myx_gateway.operations import BY_NAME
from myx_kit.rpc.server import RpcServer

ACCESS_SERVICE: Final = "myx.gateway.v1.AccessService"
# Callers by the name in their certificate.
ALLOWED: Final[dict[str, set[str]]] = {f"/{ACCESS_SERVICE}/CheckAccess": {"executor"}}

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class AccessServicer(AccessServiceServicer):
    """`myx.gateway.v1.AccessService`."""

    def __init__(self, identities: Identities, guard: Guard) -> None:
        self._identities = identities
        self._guard = guard

    async def CheckAccess(  # noqa: N802
        self, request: pb.CheckAccessRequest, context: Context
    ) -> pb.CheckAccessResponse:
        """Whether a principal may do an operation now."""
        why_not = await self._refusal(request.principal, request.operation, request.server_ids)
        return pb.CheckAccessResponse(allowed=why_not is None, message=why_not or "")

    async def _refusal(self, name: str, operation_name: str, server_ids: Sequence[str]) -> str | None:
        principal = await self._identities.standing(name)
        about = f" on {len(server_ids)} servers" if server_ids else ""
        if principal is None:
            known = f"{name[:200] or 'nobody'} is not known (any more)"
            return f"{known} and may not do {operation_name[:80]}{about}"
        operation = BY_NAME.get(operation_name)
        if operation is None:
            return f"{operation_name[:80]} is no operation"
        return await self._guard.refusal(principal, operation.role, server_ids)


def add_services(server: RpcServer, identities: Identities, guard: Guard) -> None:
    """What the gateway serves to other services."""
    server.add(add_AccessServiceServicer_to_server, AccessServicer(identities, guard), ACCESS_SERVICE)
    server.allow(ALLOWED)
