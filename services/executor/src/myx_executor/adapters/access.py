"""What somebody may do: asked of the gateway."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from myx.gateway.v1.access_service_pb2 import CheckAccessRequest
from myx_kit.errors import FailedPrecondition

if TYPE_CHECKING:
    # Only in the typed stubs.
    from myx.gateway.v1.access_service_pb2_grpc import AccessServiceAsyncStub

_CALL_S = 5.0


class GatewayAccess:
    """Asks the gateway's AccessService."""

    def __init__(self, stub: "AccessServiceAsyncStub") -> None:
        self._stub = stub

    async def refusal(self, principal: str, operation: str, server_ids: Sequence[str]) -> str | None:
        """Why not, as a sentence; None: allowed. Unavailable and DeadlineExceeded: not known now."""
        request = CheckAccessRequest(principal=principal, operation=operation, server_ids=server_ids)
        answer = await self._stub.CheckAccess(request, timeout=_CALL_S)
        return None if answer.allowed else answer.message or f"{principal} may not do {operation}"


class NoAccess:
    """Where nobody can be asked: all is allowed if the settings say so, else nothing is."""

    def __init__(self, *, allow: bool) -> None:
        self._allow = allow

    async def refusal(self, principal: str, operation: str, server_ids: Sequence[str]) -> str | None:
        """None when all is allowed; else FailedPrecondition `ACCESS_UNKNOWN`."""
        if not self._allow:
            message = "the executor knows no gateway to ask (MYX_EXECUTOR_GATEWAY_TARGET)"
            raise FailedPrecondition("ACCESS_UNKNOWN", message, principal=principal, operation=operation)
        return None
