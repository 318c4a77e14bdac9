"""Locks of servers: taken before work is sent, held until its row is final, given to whoever is next in line."""

from collections.abc import Awaitable, Callable

from myx_executor.domain.command import Command, LeaseLost, LockMode
from myx_executor.store.locks import InTheWay, LockLost, LockStore
from myx_executor.usecases.patience import UNTIL_LOST, patiently
from myx_kit.errors import Unavailable
from myx_kit.logging import get_logger

log = get_logger()


class Locks:
    """The locks that work asks for; `wake` lets all replicas look for work."""

    def __init__(self, store: LockStore, wake: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._wake = wake

    async def acquire(self, command: Command) -> str:
        """Empty: it has its lock, or asks for none. Else what it waits for, as a sentence. LeaseLost."""
        if command.lock_mode is LockMode.NONE:
            return ""
        try:
            # An attempt whose answer was lost may be repeated: who has the lock gets it again.
            way = await patiently(lambda: self._store.acquire(command.id, command.server_id, command.fence), UNTIL_LOST)
        except LockLost:
            raise LeaseLost from None
        return "" if way is None else _sentence(way)

    async def released(self, command: Command) -> None:
        """Work is final or has stepped back: who is next is claimed at once. Best effort: they look by themselves."""
        if command.lock_mode is LockMode.NONE:
            return
        try:
            if await self._store.wake_next(command.server_id):
                await self._wake()
        except Unavailable as error:
            log.info("lock_waiters_not_woken", server_id=command.server_id, reason=error.reason)


def _sentence(way: InTheWay) -> str:
    if way.holds:
        return f"waits for the {way.mode} lock of {way.kind} {way.id}"
    return f"waits behind {way.kind} {way.id}, which waits for the {way.mode} lock"
