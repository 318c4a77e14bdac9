"""Whether the registry understands the selectors of grants."""

from collections.abc import Iterable

from myx.registry.v1 import server_service_pb2 as registry
from myx_gateway.access.rights import EVERYWHERE, Grant
from myx_gateway.clients import Clients
from myx_kit.errors import InvalidArgument


class SelectorCheck:
    """Asks the registry, which alone knows the grammar."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def check(self, grants: Iterable[Grant]) -> None:
        """InvalidArgument, as the registry says it, for a selector that it does not understand."""
        for selector in sorted({grant.selector for grant in grants} - {EVERYWHERE}):
            if not selector.strip():
                raise InvalidArgument(
                    "SELECTOR_INVALID", "must not be empty; `all` matches everything", field="selector"
                )
            await self._clients.servers.ListServers(registry.ListServersRequest(page_size=1, selector=selector))
