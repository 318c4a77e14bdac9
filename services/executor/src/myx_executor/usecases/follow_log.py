"""FollowLog: what is stored, then live, without gap or repeat."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from uuid import UUID

from myx_executor.domain.command import Command
from myx_executor.domain.log import LogBytes, LogGap, Piece, cut, gather
from myx_executor.store.codec import StoredPiece, decode
from myx_executor.store.commands import CommandStore
from myx_executor.store.logs import LogStore
from myx_executor.usecases.live import LiveHub
from myx_executor.usecases.patience import patiently
from myx_kit.errors import NotFound, OutOfRange
from myx_kit.logging import get_logger

log = get_logger()

# Raw bytes of one read of the database.
PAGE_BYTES = 1024 * 1024

# A database that restarts is waited for; another replica may have one when this one has none.
_PATIENCE_S = 5.0

# Why a log that was stored is not there any more, and why one that should be there is not.
RETENTION, NOT_STORED = "retention", "not_stored"


class FollowLog:
    """Streams of one command's log for any number of followers."""

    def __init__(self, commands: CommandStore, logs: LogStore, hub: LiveHub) -> None:
        self._commands = commands
        self._logs = logs
        self._hub = hub

    async def stream(
        self, command_id: UUID, offset: int, *, follow: bool
    ) -> AsyncGenerator[list[Piece] | Command | None]:
        """Yields None once the request is found good, then lists of consecutive pieces, then the final command.

        Without `follow` it ends with what is stored. NotFound `COMMAND_NOT_FOUND`, OutOfRange `OFFSET_BEYOND_END`;
        Unavailable when the replica stops or the database stays away.
        """
        if offset < 0:
            raise OutOfRange("OFFSET_BEYOND_END", "the offset is negative", offset=str(offset))
        async with AsyncExitStack() as stack:
            cursor = None
            if follow and self._hub.is_local(command_id):
                cursor = await stack.enter_async_context(self._hub.join(command_id, offset))
            command = await self._get(command_id, offset)
            yield None
            if follow and cursor is None and not command.is_final:
                cursor = await stack.enter_async_context(self._hub.join(command_id, offset))
                command = await self._get(command_id, offset)
            position = offset
            while True:
                async for pieces in self._replay(command, position):
                    position = pieces[-1].end
                    yield pieces
                if command.is_final:
                    yield command
                    return
                if cursor is None:
                    return
                cursor.position = position
                while (live := await cursor.take()) is not None:
                    if live[0].offset > position:
                        break
                    parts = [part for part in (cut(piece, position) for piece in live) if part is not None]
                    if parts:
                        position = cursor.position = parts[-1].end
                        yield parts
                if live is None and cursor.final is not None and cursor.final.log_size == position:
                    yield cursor.final
                    return
                command = await self._get(command_id, position)

    async def _replay(self, command: Command, position: int) -> AsyncIterator[list[Piece]]:
        size = command.log_size
        while position < size:
            rows: list[StoredPiece] = []
            if command.log_purged_at is None:
                read_page = partial(self._logs.page, command.id, position, PAGE_BYTES)
                rows = await patiently(read_page, _PATIENCE_S)
            if not rows or rows[0].offset > position:
                yield [Piece(position, size - position, gap_reason=await self._why_missing(command, position))]
                return
            pieces = [part for part in (cut(decode(row), position) for row in rows) if part is not None]
            if len(pieces) > 4:
                pieces = _joined(pieces)
            for piece in pieces:
                position = piece.end
                yield [piece]
            await asyncio.sleep(0)

    async def _why_missing(self, command: Command, position: int) -> str:
        now = await patiently(lambda: self._commands.get(command.id), _PATIENCE_S)
        if now is None or now.log_purged_at is not None:
            return RETENTION
        log.error("log_rows_missing", command_id=str(command.id), offset=position, size=command.log_size)
        return NOT_STORED

    async def _get(self, command_id: UUID, offset: int) -> Command:
        command = await patiently(lambda: self._commands.get(command_id), _PATIENCE_S)
        if command is None:
            raise NotFound("COMMAND_NOT_FOUND", f"there is no command {command_id}", command_id=str(command_id))
        if command.is_final and offset > command.log_size:
            raise OutOfRange(
                "OFFSET_BEYOND_END",
                f"the log ends at {command.log_size}",
                offset=str(offset),
                end=str(command.log_size),
            )
        return command


def _joined(pieces: list[Piece]) -> list[Piece]:
    """The same log in as few pieces as possible."""
    items: list[LogBytes | LogGap] = []
    for piece in pieces:
        if piece.gap_reason is None:
            items.extend(piece.runs())
        else:
            items.append(LogGap(piece.offset, piece.end, piece.gap_reason))
    return gather(items)
