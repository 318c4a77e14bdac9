"""`AccessService`: what somebody may do, for services whose work acts later than it was ordered."""

from typing import Any, Final, TypeAlias

import grpc.aio

from myx.gateway.v1 import access_service_pb2 as pb
from myx.gateway.v1.access_service_pb2_grpc import AccessServiceServicer, add_AccessServiceServicer_to_server
from myx_gateway.access.grants import refusal
from myx_kit.rpc.server import RpcServer

ACCESS_SERVICE: Final = "myx.gateway.v1.AccessService"
# Callers by the name in their certificate.
ALLOWED: Final[dict[str, set[str]]] = {f"/{ACCESS_SERVICE}/CheckAccess": {"executor"}}

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class AccessServicer(AccessServiceServicer):
    """`myx.gateway.v1.AccessService`."""

    async def CheckAccess(  # noqa: N802
        self, request: pb.CheckAccessRequest, context: Context
    ) -> pb.CheckAccessResponse:
        """Whether a principal may do an operation now."""
        why_not = refusal(request.principal, request.operation, request.server_ids)
        return pb.CheckAccessResponse(allowed=why_not is None, message=why_not or "")


def add_services(server: RpcServer) -> None:
    """What the gateway serves to other services."""
    server.add(add_AccessServiceServicer_to_server, AccessServicer(), ACCESS_SERVICE)
    server.allow(ALLOWED)
