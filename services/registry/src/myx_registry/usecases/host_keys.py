"""SSH host keys: trusted on somebody's word, recorded when a host shows them."""

from collections.abc import Callable
from datetime import datetime

from myx_kit.db.unit_of_work import UnitOfWork
from myx_registry.domain.host_keys import HOW_ACCEPTED, HostKey, ShownKey, recognise, trust
from myx_registry.domain.servers import ServerView
from myx_registry.store import servers
from myx_registry.usecases.references import server_not_found, the_server
from myx_registry.usecases.territory import Territory

_SELF = "myx"


class HostKeys:
    """The use cases on host keys. The lock of the server decides: of two keys that come at once one is trusted."""

    def __init__(self, uow: UnitOfWork, now: Callable[[], datetime]) -> None:
        self._uow = uow
        self._now = now

    async def trust(self, reference: str, fingerprint: str, requested_by: str, required: str = "") -> ServerView:
        """The server that trusts this key from now on, and no other.

        Raises NotFound `SERVER_NOT_FOUND`, PermissionDenied `FORBIDDEN` for a server that the selector `required` does
        not match, and with one, for a server whose way leads over what others share or to others.
        """
        territory = Territory(required)
        async with self._uow.begin() as connection:
            server = await the_server(connection, reference, lock=True)
            await territory.holds(connection, server.id)
            key = trust(server.host_key, fingerprint, requested_by, self._now(), HOW_ACCEPTED)
            if key is not server.host_key:
                await territory.allows_trust(connection, server)
                await servers.update_host_key(connection, server.id, key)
            view = await servers.find_view(connection, str(server.id))
        if view is None:
            raise server_not_found(reference)
        return view

    async def record(self, reference: str, shown: ShownKey) -> HostKey:
        """The trusted key, now as a whole, or taken at this first contact where the server's settings say so.

        Raises NotFound `SERVER_NOT_FOUND`, FailedPrecondition `HOST_KEY_UNKNOWN`, `HOST_KEY_CHANGED`.
        """
        async with self._uow.begin() as connection:
            server = await the_server(connection, reference, lock=True)
            key = recognise(
                server.host_key,
                shown,
                accept_new=server.spec.accept_new_host_key,
                by=_SELF,
                now=self._now(),
                server=server.spec.name,
            )
            if key is not server.host_key:
                await servers.update_host_key(connection, server.id, key)
            return key
