"""The guarded writes of one command by its owner: each lands once or the lease is lost."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from myx_executor.domain.command import AgentResult, Attempt, Command, Completeness, Head, LeaseLost, Outcome
from myx_executor.domain.log import Piece
from myx_executor.domain.outcome import StreamHash, never_sent, verdict
from myx_executor.domain.states import FINAL, Status
from myx_executor.store.codec import StoredPiece, decode, encode
from myx_executor.store.commands import CommandStore
from myx_executor.store.logs import LogStore, Write
from myx_executor.store.outbox import OutboxEvent
from myx_executor.usecases import events
from myx_executor.usecases.live import LiveHub
from myx_executor.usecases.metrics import LOG_BYTES
from myx_executor.usecases.patience import UNTIL_LOST, patiently
from myx_kit.errors import Unavailable

_T = TypeVar("_T")

# Compressing and hashing this much is worth a thread.
_THREAD_BYTES = 128 * 1024
# Pieces of one write.
_LAST_PIECES = 5
_PAGE_BYTES = 1024 * 1024
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


@dataclass(slots=True)
class Lease:
    """The right to write a command, until `valid_until` of the loop's clock unless it is renewed.

    `margin_s`: how long before that to stop what may not go on beside another replica; stopping takes time too.
    """

    command: Command
    valid_until: float
    done: bool = False
    margin_s: float = 0.0

    def holds(self) -> bool:
        """Whether no other replica can have taken the command yet."""
        return asyncio.get_running_loop().time() < self.valid_until

    async def running_out(self) -> None:
        """Returns once no more than the margin is left, whatever keeps it from being renewed."""
        while True:
            left_s = self.valid_until - self.margin_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)


class Facts(Protocol):
    """The events that a row's changes are told by."""

    def started(self, command: Command) -> OutboxEvent:
        """It runs."""
        ...

    def finished(self, command: Command, outcome: Outcome) -> OutboxEvent:
        """It is final."""
        ...


class Ledger:
    """What is stored of one owned command. LeaseLost from any write: stop, another replica goes on.

    A database that is away delays a write: it is tried again as long as nobody else has taken the command.
    """

    def __init__(
        self,
        lease: Lease,
        commands: CommandStore,
        logs: LogStore,
        hub: LiveHub,
        on_cancelling: Callable[[], None],
        *,
        facts: Facts = events,
    ) -> None:
        command = lease.command
        self.command = command
        self.size = command.log_size
        self._lease = lease
        self._commands = commands
        self._logs = logs
        self._hub = hub
        self._on_cancelling = on_cancelling
        self._facts = facts
        # None: after a takeover the hash is computed from what is stored, at the end.
        self._hash = StreamHash() if command.log_size == 0 else None

    async def append(self, pieces: Sequence[Piece]) -> None:
        """Adds consecutive pieces that begin at `size`, and shows them to the followers."""
        rows = await self._encoded(pieces)
        write = self._write(rows)
        status = await self._land(lambda: self._logs.append(write), lambda head: head.log_size == write.size)
        self._stored(write)
        await self._hub.publish(self.command.id, pieces, rows)
        if status is Status.CANCELLING:
            self._on_cancelling()

    async def confirm(
        self, pieces: Sequence[Piece], attempts: Sequence[Attempt], confirmed_by: str = "the agent has it"
    ) -> None:
        """The agent has it: RUNNING, with the first pieces."""
        rows = await self._encoded(pieces)
        write = self._write(rows)
        event = self._facts.started(self.command)
        stored = await self._land(
            lambda: self._logs.confirm(write, attempts, [event], confirmed_by),
            lambda head: head.log_size == write.size and head.status is not Status.PENDING,
        )
        self.command = stored or await self._read()
        self._stored(write)
        await self._hub.publish(self.command.id, pieces, rows)
        if self.command.status is Status.CANCELLING:
            self._on_cancelling()

    async def finish(
        self, outcome: Outcome, attempts: Sequence[Attempt], pieces: Sequence[Piece] = (), *, release_pending: bool
    ) -> Command:
        """The end, with the last pieces. What was to be skipped is cancelled if that was asked for first."""
        while len(pieces) > _LAST_PIECES:
            await self.append(pieces[:_LAST_PIECES])
            pieces = pieces[_LAST_PIECES:]
        rows = await self._encoded(pieces)
        write = self._write(rows)
        self._lease.done = True
        try:
            stored = await self._end(write, outcome, attempts, release_pending=release_pending)
        except LeaseLost:
            if outcome.status is not Status.SKIPPED or not await self._is_cancelling():
                raise
            stored = await self._end(write, never_sent(self.command.kind), attempts, release_pending=release_pending)
        self.command = stored or await self._read()
        self._stored(write)
        await self._hub.publish(self.command.id, pieces, rows)
        return self.command

    async def _end(
        self, write: Write, outcome: Outcome, attempts: Sequence[Attempt], *, release_pending: bool
    ) -> Command | None:
        unseen = self.command.started_at is None and outcome.started_at is not None
        new_events = [self._facts.started(self.command)] if unseen else []
        new_events.append(self._facts.finished(self.command, outcome))
        return await self._land(
            lambda: self._logs.finish(write, outcome, attempts, new_events, release_pending=release_pending),
            lambda head: head.log_size == write.size and head.status in FINAL,
        )

    async def _is_cancelling(self) -> bool:
        """Whether it is ours, and its end was asked for."""
        head = await patiently(lambda: self._commands.head(self.command.id), UNTIL_LOST)
        return head is not None and head.fence == self.command.fence and head.status is Status.CANCELLING

    async def queue(self, reason: str, message: str, attempts: Sequence[Attempt], look_s: float) -> Command | None:
        """Gives it back to wait; certainly nothing was sent. None: its end was asked for meanwhile, and it is ours.

        LeaseLost when it is not known whether the write landed: whoever has it now goes on.
        """
        command, pause_s = self.command, _FIRST_PAUSE_S
        while True:
            self._lease.done = True
            try:
                queued = await self._commands.queue(
                    command.id, command.fence, reason, message, attempts=attempts, look_s=look_s
                )
                if queued is not None:
                    return queued
                head = await self._commands.head(command.id)
                if head is None or head.fence != command.fence or head.status is not Status.CANCELLING:
                    raise LeaseLost
                self._lease.done = False
                return None
            except Unavailable:
                self._lease.done = False
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def touch(self) -> None:
        """There was contact: of a command without a run limit the deadline moves on. Of no weight, tried once."""
        try:
            await self._commands.touch(self.command.id, self.command.fence)
        except Unavailable:
            return

    async def note(self, message: str, attempts: Sequence[Attempt]) -> None:
        """Shows why nothing comes; of no weight, so it is tried once."""
        try:
            landed = await self._logs.note(self.command.id, self.command.fence, message, attempts)
        except Unavailable:
            return
        if not landed:
            raise LeaseLost

    async def completeness(
        self, result: AgentResult, end: int, rest: Sequence[Piece]
    ) -> tuple[Completeness, Sequence[Piece]]:
        """The verdict on the log that ends at `end` with `rest`, and what of `rest` is left to be stored."""
        while len(rest) > _LAST_PIECES or (rest and self._hash is None):
            await self.append(rest[:_LAST_PIECES])
            rest = rest[_LAST_PIECES:]
        if self._hash is None:
            stored = await self._stored_hash()
        else:
            stored, self._hash = self._hash, None
            await self._update(stored, rest)
        size = rest[-1].end if rest else self.size
        return (verdict(stored, result) if size == end else Completeness.INCOMPLETE), rest

    async def _stored_hash(self) -> StreamHash:
        stored, position = StreamHash(), 0
        while position < self.size:
            read_page = partial(self._logs.page, self.command.id, position, _PAGE_BYTES)
            rows = await patiently(read_page, UNTIL_LOST)
            pieces = await asyncio.to_thread(_decoded, rows)
            if not pieces or pieces[0].offset != position:
                return StreamHash()
            await self._update(stored, pieces)
            position = pieces[-1].end
        return stored

    @staticmethod
    async def _update(stored: StreamHash, pieces: Sequence[Piece]) -> None:
        def update() -> None:
            for piece in pieces:
                stored.update(piece)

        if sum(len(piece.data) for piece in pieces) > _THREAD_BYTES:
            await asyncio.to_thread(update)
        else:
            update()

    async def _encoded(self, pieces: Sequence[Piece]) -> list[StoredPiece]:
        def encoded() -> list[StoredPiece]:
            rows = []
            for piece in pieces:
                rows.append(encode(piece))
                if self._hash is not None:
                    self._hash.update(piece)
            return rows

        if sum(len(piece.data) for piece in pieces) > _THREAD_BYTES:
            return await asyncio.to_thread(encoded)
        return encoded()

    def _stored(self, write: Write) -> None:
        LOG_BYTES.inc(write.size - self.size)
        self.size = write.size

    def _write(self, rows: Sequence[StoredPiece]) -> Write:
        return Write(self.command.id, self.command.fence, self.size, rows)

    async def _read(self) -> Command:
        stored = await patiently(lambda: self._commands.get(self.command.id), UNTIL_LOST)
        if stored is None or stored.fence != self.command.fence:
            raise LeaseLost
        return stored

    async def _land(self, statement: Callable[[], Awaitable[_T | None]], landed: Callable[[Head], bool]) -> _T | None:
        """Runs the statement until it took effect; None when it had, but its answer was lost."""
        doubtful, pause_s = False, _FIRST_PAUSE_S
        while True:
            try:
                answer = await statement()
                if answer is not None:
                    return answer
                if not doubtful:
                    raise LeaseLost
                head = await self._commands.head(self.command.id)
                if head is None or head.fence != self.command.fence or not landed(head):
                    raise LeaseLost
                return None
            except Unavailable:
                doubtful = True
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _decoded(rows: Sequence[StoredPiece]) -> list[Piece]:
    return [decode(row) for row in rows]
