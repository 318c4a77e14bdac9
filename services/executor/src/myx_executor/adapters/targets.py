"""Which servers are meant, as the registry knows them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from myx.registry.v1 import server_service_pb2
from myx_executor.usecases.jobs.ports import Target
from myx_kit.rpc.client import translate_errors

if TYPE_CHECKING:
    # Only in the typed stubs.
    from myx.registry.v1.server_service_pb2_grpc import ServerServiceAsyncStub

_CALL_S = 20.0


class GrpcTargets:
    """Asks the registry's ServerService."""

    def __init__(self, servers: "ServerServiceAsyncStub") -> None:
        self._servers = servers

    async def resolve(self, *, selector: str = "", servers: Sequence[str] = ()) -> list[Target]:
        """What a selector matches, or the servers of these ids or names; one of both is given. One moment's list.

        InvalidArgument `SELECTOR_INVALID`; NotFound `SERVER_NOT_FOUND`; an empty match is an empty list; Unavailable
        and DeadlineExceeded when the registry is away.
        """
        request = server_service_pb2.ResolveServersRequest(selector=selector, servers=servers)
        found: list[Target] = []
        with translate_errors("registry"):
            call = self._servers.ResolveServers(request, timeout=_CALL_S)
            try:
                async for piece in call:
                    found += [_target(server) for server in piece.servers]
            finally:
                call.cancel()
        return found


def _target(server: server_service_pb2.ResolvedServer) -> Target:
    return Target(server.id, server.name, server.agent_id, dict(server.labels), server.status)
