"""Whether the registry understands the selectors of grants."""

from collections.abc import Sequence
from typing import Final

from myx.registry.v1 import server_service_pb2 as registry
from myx_gateway.access.rights import EVERYWHERE, Grant, Rights, Role
from myx_gateway.clients import Clients
from myx_kit.errors import InvalidArgument

_TOO_LONG: Final = (
    "too long together: at most 5,000 characters and 133 terms (many values of one key are one term with 'in'), as the "
    "selectors of tokens and of each question are joined to them"
)


class SelectorCheck:
    """Asks the registry, which alone knows the grammar."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def check(self, grants: Sequence[Grant], field: str) -> None:
        """InvalidArgument for a selector that the registry does not understand, as it says that, and for `field` when
        they are too long together: whoever has them could ask for nothing."""
        for selector in sorted({grant.selector for grant in grants} - {EVERYWHERE}):
            if not selector.strip():
                raise InvalidArgument(
                    "SELECTOR_INVALID", "must not be empty; `all` matches everything", field="selector"
                )
            await self._ask(selector)
        held = Rights(tuple(grants)).selector(Role.VIEWER)
        if held is None or held == EVERYWHERE:
            return
        try:
            # As it is joined to the selectors of a token and of a question: each of them may be as long as this.
            await self._ask(f"(({held}) and ({held})) and ({held})")
        except InvalidArgument as error:
            raise InvalidArgument("SELECTOR_INVALID", _TOO_LONG, field=field) from error

    async def _ask(self, selector: str) -> None:
        await self._clients.servers.ListServers(registry.ListServersRequest(page_size=1, selector=selector))
