"""Reading and cancelling commands."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from myx_executor.domain.command import Command, Completeness, Outcome, RowKind
from myx_executor.domain.states import Status
from myx_executor.store.commands import CommandStore
from myx_executor.usecases import events
from myx_executor.usecases.lists import newest_first, server_filter
from myx_executor.usecases.locks import Locks
from myx_executor.usecases.ports import Servers
from myx_executor.usecases.runner import Runner
from myx_kit.errors import InvalidArgument, NotFound
from myx_kit.ids import parse_id

DEFAULT_GRACE_S = 10.0
MAX_GRACE_S = 3600.0


class ReadCommands:
    """One command, and pages of them."""

    def __init__(self, store: CommandStore, servers: Servers) -> None:
        self._store = store
        self._servers = servers

    async def get(self, command_id: UUID) -> Command:
        """NotFound `COMMAND_NOT_FOUND`."""
        command = await self._store.get(command_id)
        if command is None or command.kind is not RowKind.COMMAND:
            raise not_found(command_id)
        return command

    async def list(
        self,
        *,
        page_size: int,
        page_token: str,
        server: str,
        statuses: Sequence[Status],
        job_id: UUID | None = None,
        within: Sequence[str] | None = None,
    ) -> tuple[Sequence[Command], str]:
        """Newest first, and the token of the next page (empty on the last). InvalidArgument `PAGE_TOKEN_INVALID`."""

        async def read(limit: int, before: UUID | None) -> Sequence[Command]:
            server_id, server_name = await server_filter(server, self._id_of)
            return await self._store.page(
                limit=limit,
                before=before,
                server_id=server_id,
                server_name=server_name,
                statuses=statuses,
                job_id=job_id,
                within=within,
            )

        return await newest_first(read, page_size, page_token)

    async def _id_of(self, server: str) -> str:
        return (await self._servers.resolve(server)).server_id


class CancelCommand:
    """Asks for the end of a command."""

    def __init__(
        self,
        store: CommandStore,
        runner: Runner,
        tell_others: Callable[[], Awaitable[None]],
        on_event: Callable[[], None],
        locks: Locks,
    ) -> None:
        self._locks = locks
        self._store = store
        self._runner = runner
        self._tell_others = tell_others
        self._on_event = on_event

    async def cancel(self, command_id: UUID, grace_s: float | None, requested_by: str = "") -> Command:
        """The command once the wish is stored; a final one as it is. NotFound; InvalidArgument `GRACE_INVALID`."""
        if grace_s is None:
            grace_s = DEFAULT_GRACE_S
        if not 0 <= grace_s <= MAX_GRACE_S:
            message = f"grace must be from 0 to {MAX_GRACE_S:.0f} seconds"
            raise InvalidArgument("GRACE_INVALID", message, field="grace")
        command = await self._store.get(command_id)
        if command is None or command.kind is not RowKind.COMMAND:
            raise not_found(command_id)
        if command.is_final:
            return command
        if command.status is not Status.CANCELLING:
            command = await self._ask(command, grace_s, requested_by) or await self._again(command_id)
        if not command.is_final and not self._runner.request_cancel(command_id, grace_s):
            await self._tell_others()
        return command

    async def _ask(self, command: Command, grace_s: float, actor: str) -> Command | None:
        message = "cancelled before it was sent to the agent"
        outcome = Outcome(Status.CANCELLED, "cancelled", message, completeness=Completeness.UNVERIFIED)
        event = events.finished(command, outcome)
        asked = await self._store.cancel(command.id, grace_s, actor=actor, message=message, event=event)
        if asked is not None and asked.is_final:
            self._on_event()
            await self._locks.released(asked)
        return asked

    async def _again(self, command_id: UUID) -> Command:
        command = await self._store.get(command_id)
        if command is None:
            raise not_found(command_id)
        return command


def not_found(command_id: UUID) -> NotFound:
    """The error for an id that no command has."""
    return NotFound("COMMAND_NOT_FOUND", f"there is no command {command_id}", command_id=str(command_id))


def command_id_of(text: str) -> UUID:
    """A command id as callers give it; NotFound `COMMAND_NOT_FOUND` for what can be none."""
    try:
        return parse_id(text, "command_id")
    except InvalidArgument:
        raise NotFound("COMMAND_NOT_FOUND", "there is no such command", command_id=text[:64]) from None
