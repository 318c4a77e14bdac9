"""Live logs: one channel per followed command in this process, fed by the owner here or by the bus."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

from myx_executor.domain.command import Command
from myx_executor.domain.log import PIECE_BYTES, Piece
from myx_executor.domain.states import FINAL
from myx_executor.store.codec import StoredPiece, final_message, from_message, to_message
from myx_executor.store.commands import CommandStore
from myx_executor.usecases.ports import LiveBus
from myx_kit.errors import MyxError, Unavailable
from myx_kit.logging import get_logger
from myx_kit.loops import TaskOwner

log = get_logger()

# Bytes that wait for one follower; beyond it the follower reads the database instead.
CURSOR_BYTES = 2 * 1024 * 1024
# What a piece takes beside its bytes: a program that writes letter by letter is not to be held without a bound.
_OVERHEAD = 300


class Cursor:
    """What one follower has not taken yet. Never more than CURSOR_BYTES, whatever the follower does."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.final: Command | None = None
        self._pieces: deque[Piece] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._behind = False
        self._error: Unavailable | None = None

    def offer(self, piece: Piece) -> None:
        """A live piece; kept while there is room."""
        if self._behind or piece.end <= self.position:
            return
        if self._bytes + held_bytes(piece) > CURSOR_BYTES:
            self.fall_behind()
            return
        self._pieces.append(piece)
        self._bytes += held_bytes(piece)
        self._news.set()

    def fall_behind(self) -> None:
        """Something was missed: the follower reads the database before it takes live pieces again."""
        self._pieces.clear()
        self._bytes = 0
        self._behind = True
        self._news.set()

    def end(self, final: Command) -> None:
        """The command is final; its last piece was offered before."""
        self.final = final
        self._news.set()

    def close(self, error: Unavailable) -> None:
        """The follower is sent away."""
        self._error = error
        self._news.set()

    async def take(self) -> list[Piece] | None:
        """The live pieces that are there, each where the one before it ends, about PIECE_BYTES at once.

        None: read the database, because something was missed or the command is final.
        """
        while (taken := self.take_now()) == []:
            self._news.clear()
            await self._news.wait()
        return taken

    def take_now(self) -> list[Piece] | None:
        """As `take`; empty when there is nothing yet."""
        if self._error is not None:
            raise self._error
        if self._behind:
            self._behind = False
            return None
        if self._pieces:
            return self._pop()
        return None if self.final is not None else []

    def _pop(self) -> list[Piece]:
        taken: list[Piece] = []
        size = 0
        # Behind a takeover pieces of two owners come in any order: a hole or a repeat begins the next list.
        while self._pieces and (
            not taken or (self._pieces[0].offset == taken[-1].end and size + len(self._pieces[0].data) <= PIECE_BYTES)
        ):
            taken.append(self._pieces.popleft())
            size += len(taken[-1].data)
        self._bytes -= sum(map(held_bytes, taken))
        return taken


def held_bytes(piece: Piece) -> int:
    """What a piece takes in memory."""
    return len(piece.data) + _OVERHEAD


class _Channel:
    """The followers of one command in this process."""

    def __init__(self, command_id: UUID) -> None:
        self.command_id = command_id
        self.cursors: set[Cursor] = set()
        self.source: AsyncExitStack | None = None
        self.source_lock = asyncio.Lock()
        self.heard = False

    def offer(self, piece: Piece) -> None:
        self.heard = True
        for cursor in self.cursors:
            cursor.offer(piece)

    def fall_behind(self) -> None:
        for cursor in self.cursors:
            cursor.fall_behind()

    def on_message(self, message: bytes) -> None:
        content = from_message(message)
        if isinstance(content, Piece):
            self.offer(content)
        else:
            self.fall_behind()


class LiveHub:
    """Hands what was just stored to the followers, here and in the other replicas.

    The owner calls `begin`, `publish` after each commit, and `end`; followers `join`; `heal_once` finds what was lost.
    """

    def __init__(self, store: CommandStore, bus: LiveBus) -> None:
        self._store = store
        self._bus = bus
        self._channels: dict[UUID, _Channel] = {}
        self._local: set[UUID] = set()
        self._tasks = TaskOwner("live")
        self._closed = False

    def begin(self, command_id: UUID) -> None:
        """This replica owns the command now."""
        self._local.add(command_id)

    def is_local(self, command_id: UUID) -> bool:
        """Whether this replica owns the command: all that is stored passes through here."""
        return command_id in self._local

    async def publish(self, command_id: UUID, pieces: Sequence[Piece], stored: Sequence[StoredPiece]) -> None:
        """What was committed just now."""
        channel = self._channels.get(command_id)
        if channel is not None:
            for piece in pieces:
                channel.offer(piece)
        for row in stored:
            await self._bus.publish_log(command_id, to_message(row))

    async def end(self, command_id: UUID, final: Command | None) -> None:
        """This replica owns the command no more; `final` when that is because it ended."""
        self._local.discard(command_id)
        channel = self._channels.get(command_id)
        if final is None:
            if channel is not None and not self._closed:
                self._tasks.start(self._take_over(channel), name="listen")
            return
        if channel is not None:
            for cursor in channel.cursors:
                cursor.end(final)
        await self._bus.publish_log(command_id, final_message(final.log_size))

    @asynccontextmanager
    async def join(self, command_id: UUID, offset: int, cursor: Cursor | None = None) -> AsyncIterator[Cursor]:
        """A cursor that misses nothing stored after this point, or says so. Unavailable when the process stops.

        `cursor`: the caller's own.
        """
        if self._closed:
            raise Unavailable("SHUTTING_DOWN", "this replica stops")
        channel = self._channels.get(command_id)
        if channel is None:
            channel = self._channels[command_id] = _Channel(command_id)
        cursor = cursor or Cursor(offset)
        channel.cursors.add(cursor)
        try:
            if command_id not in self._local:
                await self._listen(channel)
            yield cursor
        finally:
            channel.cursors.discard(cursor)
            if not channel.cursors:
                if self._channels.get(command_id) is channel:
                    del self._channels[command_id]
                async with channel.source_lock:
                    if channel.source is not None:
                        await channel.source.aclose()
                        channel.source = None

    async def heal_once(self, *, always: bool = False) -> None:
        """Looks up the commands of all quiet channels and sends followers that missed something to the database.

        Run every second; a channel is quiet when nothing came since the turn before. `always`: look at all of them.
        """
        quiet = [
            channel.command_id
            for channel in self._channels.values()
            if always or not (channel.heard or channel.command_id in self._local)
        ]
        for channel in self._channels.values():
            channel.heard = False
        for start in range(0, len(quiet), 500):
            for command_id, progress in (await self._store.progress(quiet[start : start + 500])).items():
                found = self._channels.get(command_id)
                for cursor in found.cursors if found else ():
                    if progress.log_size > cursor.position or progress.status in FINAL:
                        cursor.fall_behind()

    async def close(self) -> None:
        """Sends all followers away (Unavailable `SHUTTING_DOWN`)."""
        self._closed = True
        self._send_away("SHUTTING_DOWN", "this replica stops")
        await self._tasks.close(1)

    def send_away(self) -> None:
        """Sends the followers of now to other replicas: here nothing can be stored any more, and nothing read."""
        self._send_away("DATABASE_UNAVAILABLE", "this replica has lost the database")

    def _send_away(self, reason: str, why: str) -> None:
        for channel in list(self._channels.values()):
            for cursor in channel.cursors:
                cursor.close(Unavailable(reason, f"{why}; come back with the offset behind your last byte"))

    async def _listen(self, channel: _Channel) -> None:
        """Subscribes the channel to the bus; without the bus `heal_once` is what moves the followers."""
        async with channel.source_lock:
            if channel.source is not None or not channel.cursors:
                return
            source = AsyncExitStack()
            try:
                await source.enter_async_context(
                    self._bus.follow_log(channel.command_id, channel.on_message, channel.fall_behind)
                )
            except MyxError as error:
                log.warning("live_log_not_subscribed", command_id=str(channel.command_id), reason=error.reason)
                await source.aclose()
                return
            channel.source = source

    async def _take_over(self, channel: _Channel) -> None:
        """From now on another replica feeds the channel."""
        await self._listen(channel)
        channel.fall_behind()
