"""Which commands this replica works on: slots, leases, takeovers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from myx_executor.domain.command import Command, LeaseLost
from myx_executor.store.commands import CommandStore, Owned
from myx_executor.usecases import origins
from myx_executor.usecases.deliver import CancelWish
from myx_executor.usecases.ledger import Lease
from myx_executor.usecases.metrics import ACTIVE, CLAIMED, LEASES_LOST
from myx_kit import correlation, tracing
from myx_kit.errors import Unavailable
from myx_kit.logging import get_logger
from myx_kit.loops import TaskOwner

log = get_logger()

# Commands of one claim.
_CLAIM_BATCH = 100
# Of a lease; the rest holds a try to renew it even at the longest interval (settings), and two at the usual one.
_MARGIN = 0.3


class Driver(Protocol):
    """The owner's work on one row: a command, or a deployment."""

    cancel: CancelWish

    async def run(self) -> None:
        """To the end; LeaseLost when another replica has it."""
        ...

    @property
    def dies_with_us(self) -> bool:
        """Whether what is under way cannot be gone on with by another replica."""
        ...


@dataclass(slots=True)
class _Work:
    lease: Lease
    drive: Driver
    task: asyncio.Task[None] | None = None


class Runner:
    """Drives at most `max_active` commands at once; every one of them under a lease of `lease_s` seconds."""

    def __init__(
        self,
        owner: str,
        store: CommandStore,
        make_driver: Callable[[Owned, Lease], Driver],
        *,
        max_active: int,
        lease_s: float,
    ) -> None:
        self.owner = owner
        self.lease_s = lease_s
        # Set when there may be something to claim or to cancel.
        self.wake = asyncio.Event()
        self._store = store
        self._make_driver = make_driver
        self._max_active = max_active
        self._reserved = 0
        self._work: dict[UUID, _Work] = {}
        self._tasks = TaskOwner("commands")
        self._more_waits = False
        self._closing = False

    async def accept(
        self,
        insert: Callable[[str | None], Awaitable[Command | None]],
        sealed: bytes | None,
        on_waiting: Callable[[], Awaitable[None]],
    ) -> Command | None:
        """Stores a new row, leased to us while there is room, and begins work on it; None when `insert` stored none.

        `insert` is given the owner: None when the row must wait in the database, and then `on_waiting` is called.
        """
        leased_at = asyncio.get_running_loop().time()
        reserved = self._reserve()
        try:
            row = await insert(self.owner if reserved else None)
        finally:
            if reserved:
                self._reserved -= 1
        if row is not None and not reserved:
            origins.remember(row.id)
            await on_waiting()
        elif row is not None and not self._closing:
            self._start(Owned(row, sealed), leased_at)
        return row

    def _reserve(self) -> bool:
        if self._closing or len(self._work) + self._reserved >= self._max_active:
            self._more_waits = True
            return False
        self._reserved += 1
        return True

    def request_cancel(self, command_id: UUID, grace_s: float) -> bool:
        """Cancels a command of this replica; false when another works on it, or none."""
        work = self._work.get(command_id)
        if work is not None:
            work.drive.cancel.ask(grace_s)
        return work is not None

    @property
    def active(self) -> int:
        """Commands that this replica works on."""
        return len(self._work)

    async def renew_once(self) -> None:
        """Prolongs all leases; work whose lease another replica has, or whose row has ended, is stopped."""
        held = [(command_id, work.lease.command.fence) for command_id, work in self._work.items()]
        if not held:
            return
        asked_at = asyncio.get_running_loop().time()
        try:
            renewed = await self._store.renew(self.owner, self.lease_s, held)
        except Unavailable as error:
            log.warning("leases_not_renewed", count=len(held), reason=error.reason)
            return
        stopped = []
        for command_id, fence in held:
            work = self._work.get(command_id)
            if work is None or work.lease.command.fence != fence:
                continue
            if command_id in renewed:
                work.lease.valid_until = asked_at + self.lease_s
            elif not work.lease.done and work.task is not None:
                work.task.cancel()
                stopped.append((command_id, fence))
        for command_id, fence in stopped:
            if await self._is_taken(command_id, fence):
                log.warning("lease_lost", command_id=str(command_id), fence=fence)

    async def sweep_once(self) -> None:
        """Takes over what nobody works on, as far as there is room, and hears of cancellations asked elsewhere."""
        try:
            await self._claim()
            if self._work:
                for command in await self._store.cancelling(self.owner, list(self._work)):
                    self._hear_cancel(command)
        except Unavailable as error:
            log.warning("sweep_failed", reason=error.reason)

    async def drain(self, timeout_s: float, renew_every_s: float) -> None:
        """Takes nothing new and lets the work end that nobody could go on with, under its leases, for `timeout_s`."""
        self._closing = True
        deadline = asyncio.get_running_loop().time() + timeout_s
        while (left_s := deadline - asyncio.get_running_loop().time()) > 0:
            tasks = [work.task for work in self._work.values() if work.drive.dies_with_us and work.task is not None]
            if not tasks:
                return
            # At once, too: what renewed them has been stopped some time ago.
            await self.renew_once()
            await asyncio.wait(tasks, timeout=min(renew_every_s, left_s))

    async def close(self, timeout_s: float) -> int:
        """Stops all work and gives the leases up, so that other replicas go on at once; how many there were."""
        self._closing = True
        held = [(command_id, work.lease.command.fence) for command_id, work in self._work.items()]
        await self._tasks.close(timeout_s)
        if not held:
            return 0
        try:
            return await self._store.give_up(held)
        except Unavailable as error:
            log.warning("leases_not_given_up", count=len(held), reason=error.reason)
            return 0

    async def _claim(self) -> None:
        while not self._closing:
            room = self._max_active - len(self._work) - self._reserved
            if room <= 0:
                self._more_waits = True
                return
            limit = min(room, _CLAIM_BATCH)
            asked_at = asyncio.get_running_loop().time()
            self._reserved += limit
            try:
                claimed = await self._store.claim(self.owner, self.lease_s, limit, list(self._work))
            finally:
                self._reserved -= limit
            CLAIMED.inc(len(claimed))
            for owned in claimed:
                command = owned.command
                log.info("command_claimed", command_id=str(command.id), fence=command.fence, status=command.status)
                self._start(owned, asked_at)
            self._more_waits = len(claimed) == limit
            if not self._more_waits:
                return

    def _start(self, owned: Owned, leased_at: float) -> None:
        command_id = owned.command.id
        lease = Lease(owned.command, leased_at + self.lease_s, margin_s=self.lease_s * _MARGIN)
        work = _Work(lease, self._make_driver(owned, lease))
        earlier = self._work.get(command_id)
        if earlier is not None and earlier.task is not None:
            earlier.task.cancel()
        self._work[command_id] = work
        ACTIVE.set(len(self._work))
        work.task = self._tasks.start(self._run(command_id, work), name=str(command_id))

    async def _run(self, command_id: UUID, work: _Work) -> None:
        command = work.lease.command
        origins.recall(command_id, command.job_id)
        correlation.note(command_id=str(command_id))
        try:
            with tracing.span(command.kind, myx__command_id=str(command_id), myx__server_id=command.server_id):
                await work.drive.run()
        except LeaseLost:
            if await self._is_taken(command_id, command.fence):
                log.info("command_left_to_its_owner", command_id=str(command_id), fence=command.fence)
        finally:
            if self._work.get(command_id) is work:
                del self._work[command_id]
            ACTIVE.set(len(self._work))
            if self._more_waits:
                self._more_waits = False
                self.wake.set()

    async def _is_taken(self, command_id: UUID, fence: int) -> bool:
        """Whether another replica has it, which is counted; else it was ended before anything was sent."""
        try:
            head = await self._store.head(command_id)
        except Unavailable:
            head = None
        if head is not None and head.fence == fence:
            return False
        LEASES_LOST.inc()
        return True

    def _hear_cancel(self, command: Command) -> None:
        work = self._work.get(command.id)
        if work is not None:
            work.drive.cancel.ask(command.cancel_grace_s)
