"""What one request may touch."""

from collections.abc import Iterable, Mapping, Sequence

from myx.executor.v1 import schedule_service_pb2
from myx_gateway.access.guard import Guard, Params, Visible, forbidden
from myx_gateway.access.operation import Operation
from myx_gateway.access.principal import Principal
from myx_gateway.access.rights import EVERYWHERE, Grant, Role, closed
from myx_kit.errors import NotFound, PermissionDenied


class Access:
    """The guard, bound to a request: its principal and the role of its operation."""

    def __init__(self, guard: Guard, principal: Principal, operation: Operation) -> None:
        self._guard = guard
        self.principal = principal
        self.operation = operation
        # Whether the handler asked: a handler of a body or a list that did not has told or done too much.
        self.used = False
        # The servers that were meant, as they were named and by the ids that were found, for the audit trail.
        self.meant: list[str] = []

    @property
    def everywhere(self) -> bool:
        """Whether the role is held on all servers."""
        return self.principal.rights.everywhere(self.operation.role)

    @property
    def selector(self) -> str:
        """The servers that the role is held on. PermissionDenied `FORBIDDEN` when there is no such selector."""
        self.used = True
        held = self.principal.rights.selector(self.operation.role)
        if held is None:
            raise forbidden(self.operation.role)
        return held

    async def narrow(self, selector: str) -> str:
        """`selector` within what the role is held on; an empty one stays empty where it is held on all.

        InvalidArgument `SELECTOR_INVALID`, with the place in what was sent.
        """
        self.used = True
        if self.everywhere:
            return selector
        held = self.selector
        if not selector:
            return held
        # Alone first: that it is right, and where it is not.
        await self._guard.fleet.any(closed(selector))
        return self.principal.rights.narrowed(self.operation.role, selector) or held

    async def matching(self, selector: str) -> str:
        """The same, with the servers that match now noted for the trail: for an act whose answer does not tell them."""
        narrowed = await self.narrow(selector)
        self.meant.extend(sorted(await self._guard.fleet.matching(narrowed)))
        return narrowed

    async def servers(self, references: Sequence[str]) -> list[str]:
        """The ids of servers that are named, the role being held on each; where it is held on all, as they came.

        NotFound `SERVER_NOT_FOUND`, PermissionDenied `FORBIDDEN`.
        """
        return await self._named(references)

    async def server(self, reference: str) -> str:
        """The same of one."""
        return (await self.servers([reference]))[0]

    async def kept(self, references: Sequence[str]) -> list[str]:
        """The same, always as ids: for what is kept until later, when another server may have the name."""
        return await self._named(references, by_id=True)

    async def _named(self, references: Sequence[str], *, by_id: bool = False) -> list[str]:
        self.used = True
        self.meant.extend(references)
        ids = await self._guard.servers(self.principal, self.operation.role, references, by_id=by_id)
        self.meant.extend(ids)
        return ids

    async def names(self, ids: Iterable[str]) -> Mapping[str, str]:
        """By id the names of those servers that may be seen, for showing them."""
        return await self._guard.names(self.principal, set(ids))

    async def need(self, role: Role, server_id: str) -> None:
        """That `role`, greater than the operation's, is held on the server too. PermissionDenied `FORBIDDEN`."""
        await self._guard.servers(self.principal, role, [server_id])

    async def visible(self, since: float = 0.0) -> Visible:
        """The servers that the role is held on, for reading: as they were within the last two seconds, and not before
        `since` (of the monotonic clock).
        """
        self.used = True
        return await self._guard.visible(self.principal, self.operation.role, since)

    async def sees(self, server_id: str) -> bool:
        """Whether the role is held on a server, for reading."""
        return server_id in await self.visible()

    async def seen(self, reference: str) -> str:
        """The id of a server that may be seen, by id or name. NotFound `SERVER_NOT_FOUND`."""
        self.used = True
        return await self._guard.seen(self.principal, reference)

    async def allows(self, operation: Operation, params: Params) -> bool:
        """Whether another operation is allowed to the principal, on what the parameters of its path name."""
        try:
            await self._guard.require(self.principal, operation, params)
        except (NotFound, PermissionDenied):
            return False
        return True

    async def seen_schedules(
        self, schedules: Iterable[schedule_service_pb2.Schedule]
    ) -> list[schedule_service_pb2.Schedule]:
        """The principal's own, and those where the role is held on all that they would be about now."""
        self.used = True
        role = self.operation.role
        return [one for one in schedules if await self._guard.sees_schedule(self.principal, one, role)]

    def need_whole(self) -> None:
        """PermissionDenied `TOKEN_NARROWED` for a token that is narrower than its user: what it made would outlive it,
        and act with all that the user may.
        """
        self.used = True
        if self.principal.rights.cap != Grant(Role.ADMIN):
            message = (
                "schedules act with all rights of their owner: a token with a narrower role or selector makes none"
            )
            raise PermissionDenied("TOKEN_NARROWED", message)

    def need_all(self, role: Role = Role.ADMIN) -> None:
        """PermissionDenied `FORBIDDEN` unless `role` is held on all servers."""
        self.used = True
        if not self.principal.rights.everywhere(role):
            raise forbidden(role, everywhere=True)

    def required_selector(self) -> str:
        """What a server must match before and after a change; empty: anything."""
        held = self.selector
        return "" if held == EVERYWHERE else held
