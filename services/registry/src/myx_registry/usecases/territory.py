"""What somebody may administer who may not administer all servers: those that a selector matches."""

from typing import Final
from uuid import UUID

from myx_kit.errors import PermissionDenied
from myx_registry.domain.selector import Selector
from myx_registry.domain.selector_parser import parse
from myx_registry.domain.servers import Server, ServerSpec
from myx_registry.store import servers
from myx_registry.store.database import Connection

_SHARED_WAY: Final = "A way by a shared credential or over other servers is for who administers all servers."


class Territory:
    """Those servers; of an empty text all of them, without any restriction. InvalidArgument `SELECTOR_INVALID`."""

    def __init__(self, required: str) -> None:
        self._tree: Selector | None = parse(required) if required else None

    @property
    def restricted(self) -> bool:
        """Whether it is not all servers."""
        return self._tree is not None

    async def holds(self, connection: Connection, server_id: UUID) -> None:
        """PermissionDenied `FORBIDDEN` unless the server, as it stands in this transaction, is one of them."""
        if self._tree is not None and not await servers.matches(connection, server_id, self._tree):
            message = "This server is not, or would not be any more, among those that you may administer."
            raise PermissionDenied("FORBIDDEN", message)

    def allows_way(self, before: ServerSpec | None, after: ServerSpec) -> None:
        """PermissionDenied `FORBIDDEN` when a way to a host changes on which a secret goes that others share.

        Else whoever administers one server could have the shared secret sent to a machine of their own.
        """
        if self._tree is None or (before is not None and _way(before) == _way(after)):
            return
        if _is_shared(after) or (before is not None and _is_shared(before)):
            raise PermissionDenied("FORBIDDEN", _SHARED_WAY)

    async def allows_change(self, connection: Connection, before: Server, after: Server, *, other_login: bool) -> None:
        """The same of a server that is there, and of the ways that lead through it to others."""
        self.allows_way(before.spec, after.spec)
        if other_login or _way(before.spec) != _way(after.spec):
            await self._is_no_jump_server(connection, before)

    async def allows_trust(self, connection: Connection, server: Server) -> None:
        """PermissionDenied `FORBIDDEN` when another host key would let another machine have what others share."""
        if self._tree is not None and _is_shared(server.spec):
            raise PermissionDenied("FORBIDDEN", _SHARED_WAY)
        await self._is_no_jump_server(connection, server)

    async def _is_no_jump_server(self, connection: Connection, server: Server) -> None:
        # How many and which they are is not told: they may be none of those that are seen.
        if self._tree is not None and await servers.reached_through(connection, server.id, 1):
            message = "Others are reached through this server: how it is reached is for who administers all servers."
            raise PermissionDenied("FORBIDDEN", message)


def _way(spec: ServerSpec) -> object:
    return spec.address, spec.ssh, spec.accept_new_host_key


def _is_shared(spec: ServerSpec) -> bool:
    return spec.ssh.credential_id is not None or bool(spec.ssh.jump_server_ids)
