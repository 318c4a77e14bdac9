"""What somebody may administer who may not administer all servers: those that a selector matches."""

from uuid import UUID

from myx_kit.errors import PermissionDenied
from myx_registry.domain.selector import Selector
from myx_registry.domain.selector_parser import parse
from myx_registry.domain.servers import ServerSpec
from myx_registry.store import servers
from myx_registry.store.database import Connection


class Territory:
    """Those servers; of an empty text all of them, without any restriction. InvalidArgument `SELECTOR_INVALID`."""

    def __init__(self, required: str) -> None:
        self._tree: Selector | None = parse(required) if required else None

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
            message = (
                "A way by a shared credential or over other servers is for who administers all servers."
            )
            raise PermissionDenied("FORBIDDEN", message)


def _way(spec: ServerSpec) -> object:
    return spec.address, spec.ssh


def _is_shared(spec: ServerSpec) -> bool:
    return spec.ssh.credential_id is not None or bool(spec.ssh.jump_server_ids)
