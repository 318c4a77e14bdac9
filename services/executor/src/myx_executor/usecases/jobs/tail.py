"""The output of many targets for one follower: what is stored, then live, with one bound on what waits for it."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from myx_executor.domain.job_states import TARGET_FINAL
from myx_executor.domain.jobs import JobTarget
from myx_executor.domain.log import PIECE_BYTES, Piece, cut
from myx_executor.store.codec import decode
from myx_executor.store.commands import CommandStore
from myx_executor.store.logs import LogStore
from myx_executor.usecases.follow_log import NOT_STORED, RETENTION
from myx_executor.usecases.live import Cursor, LiveHub, held_bytes
from myx_executor.usecases.patience import patiently
from myx_kit.errors import Unavailable

# Live bytes that wait for one follower, of all targets together; beyond it a target is read from the database.
ROOM_BYTES = 4 * 1024 * 1024
# Subscriptions that are made at the same time.
_JOINS = 32
_PATIENCE_S = 5.0
_PAGE_ROWS = 1024

Output = tuple[int, list[Piece]]


@dataclass(slots=True)
class _Room:
    left: int = ROOM_BYTES


class _Cursor(Cursor):
    """A cursor that shares its room with those of the other targets."""

    def __init__(self, position: int, room: _Room, on_news: Callable[[], None]) -> None:
        super().__init__(position)
        self._room = room
        self._on_news = on_news

    def offer(self, piece: Piece) -> None:
        before = self._bytes
        if held_bytes(piece) > self._room.left:
            self.fall_behind()
            return
        super().offer(piece)
        self._room.left -= self._bytes - before
        self._on_news()

    def fall_behind(self) -> None:
        self._room.left += self._bytes
        super().fall_behind()
        self._on_news()

    def close(self, error: Unavailable) -> None:
        super().close(error)
        self._on_news()

    def forget(self) -> None:
        """Gives the room back."""
        self._room.left += self._bytes
        self._bytes = 0
        self._pieces.clear()

    def _pop(self) -> list[Piece]:
        before = self._bytes
        taken = super()._pop()
        self._room.left += before - self._bytes
        return taken


@dataclass(slots=True)
class _Log:
    number: int
    command_id: UUID
    position: int
    cursor: _Cursor | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    # The database has, or may have, what was not taken yet.
    behind: bool = False
    # Known once the target is final.
    size: int | None = None
    waits: bool = False

    @property
    def done(self) -> bool:
        """Whether nothing follows."""
        return self.size is not None and self.position >= self.size


class JobTail:
    """The logs of a job's targets from given offsets on; `on_news` is called when there may be something to take."""

    def __init__(
        self,
        commands: CommandStore,
        logs: LogStore,
        hub: LiveHub,
        offsets: Mapping[int, int],
        on_news: Callable[[], None],
    ) -> None:
        self._commands = commands
        self._store = logs
        self._hub = hub
        self._offsets = offsets
        self._on_news = on_news
        self._logs: dict[int, _Log] = {}
        self._open: set[int] = set()
        self._ready: deque[int] = deque()
        self._room = _Room()

    @property
    def ready(self) -> bool:
        """Whether `take` may give something."""
        return bool(self._ready)

    @property
    def done(self) -> bool:
        """Whether nothing follows of the targets that are known."""
        return not self._open

    async def take_up(self, targets: Sequence[JobTarget]) -> None:
        """Targets as they are now: those that were started are followed, those that are final to their end."""
        joins: list[_Log] = []
        for target in targets:
            log = self._logs.get(target.number)
            if target.command_id is None:
                if log is not None:
                    # Taken back before it was sent: nothing was written, and nothing will be.
                    log.size = log.position
                    await self._leave(log)
                continue
            if log is None:
                log = _Log(target.number, target.command_id, max(self._offsets.get(target.number, 0), 0))
                self._logs[target.number] = log
                self._open.add(target.number)
                if target.status not in TARGET_FINAL:
                    joins.append(log)
            if target.status in TARGET_FINAL and log.size is None:
                log.size = target.log_size
                await self._look(log)
        for start in range(0, len(joins), _JOINS):
            await asyncio.gather(*(self._join(log) for log in joins[start : start + _JOINS]))

    async def take(self) -> list[Output]:
        """About PIECE_BYTES of output; a target that has more takes its turn again. Unavailable when we stop."""
        found: list[Output] = []
        size = 0
        while self._ready and size < PIECE_BYTES:
            log = self._logs[self._ready.popleft()]
            log.waits = False
            pieces = await self._page(log) if log.behind else self._live(log)
            if pieces:
                found.append((log.number, pieces))
                size += sum(len(piece.data) for piece in pieces)
            if log.done:
                await self._leave(log)
        return found

    async def close(self) -> None:
        """Leaves all logs."""
        for log in self._logs.values():
            await self._leave(log)

    async def _join(self, log: _Log) -> None:
        log.cursor = _Cursor(log.position, self._room, partial(self._news, log))
        await log.stack.enter_async_context(self._hub.join(log.command_id, log.position, log.cursor))
        await self._look(log)

    async def _look(self, log: _Log) -> None:
        if log.done:
            await self._leave(log)
            return
        log.behind = True
        self._news(log)

    async def _leave(self, log: _Log) -> None:
        self._open.discard(log.number)
        if log.cursor is not None:
            log.cursor.forget()
            log.cursor = None
        await log.stack.aclose()

    def _news(self, log: _Log) -> None:
        if not log.waits and log.number in self._open:
            log.waits = True
            self._ready.append(log.number)
        self._on_news()

    def _live(self, log: _Log) -> list[Piece]:
        if log.cursor is None:
            return []
        taken = log.cursor.take_now()
        if taken is None or (taken and taken[0].offset > log.position):
            log.behind = True
            self._news(log)
            return []
        pieces = [part for part in (cut(piece, log.position) for piece in taken) if part is not None]
        self._moved(log, pieces)
        if taken:
            self._news(log)
        return pieces

    async def _page(self, log: _Log) -> list[Piece]:
        log.behind = False
        read_page = partial(self._store.page, log.command_id, log.position, PIECE_BYTES)
        rows = await patiently(read_page, _PATIENCE_S)
        if not rows or rows[0].offset > log.position:
            return await self._missing(log, rows[0].offset if rows else log.size)
        pieces = [part for part in (cut(decode(row), log.position) for row in rows) if part is not None]
        begun = log.position
        self._moved(log, pieces)
        if log.size is not None:
            log.behind = not log.done
        else:
            log.behind = len(rows) == _PAGE_ROWS or log.position >= begun + PIECE_BYTES
        self._news(log)
        return pieces

    async def _missing(self, log: _Log, end: int | None) -> list[Piece]:
        """A gap up to where the log goes on; nothing while it may still be written."""
        if end is None or end <= log.position:
            return []
        command = await patiently(lambda: self._commands.get(log.command_id), _PATIENCE_S)
        gone = command is None or command.log_purged_at is not None
        gap = Piece(log.position, end - log.position, gap_reason=RETENTION if gone else NOT_STORED)
        self._moved(log, [gap])
        log.behind = not log.done
        self._news(log)
        return [gap]

    @staticmethod
    def _moved(log: _Log, pieces: Sequence[Piece]) -> None:
        if pieces:
            log.position = pieces[-1].end
            if log.cursor is not None:
                log.cursor.position = log.position
