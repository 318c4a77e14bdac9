"""What is stored of whether a command may have been sent: whoever takes it over goes by that."""

from collections.abc import Callable
from contextlib import suppress

from myx_executor.domain.command import Command, LeaseLost
from myx_executor.domain.states import Status
from myx_executor.store.commands import CommandStore
from myx_executor.usecases.patience import UNTIL_LOST, patiently
from myx_kit.errors import Unavailable


class SentMark:
    """Fits `Mark`, by the owner's writes."""

    def __init__(self, command: Command, commands: CommandStore, on_cancelling: Callable[[], None]) -> None:
        self._command = command
        self._commands = commands
        self._on_cancelling = on_cancelling
        self._mark = command.dispatch_at

    @property
    def is_set(self) -> bool:
        """Whether it is known to be stored."""
        return self._mark is not None

    async def set(self) -> bool:
        """Before it is sent. False: its job starts nothing now, or its end was asked for. LeaseLost."""
        command = self._command
        self._mark = await patiently(lambda: self._commands.mark_sent(command.id, command.fence), UNTIL_LOST)
        if self._mark is not None:
            return True
        head = await patiently(lambda: self._commands.head(command.id), UNTIL_LOST)
        if head is None or head.fence != command.fence or head.status not in (Status.PENDING, Status.CANCELLING):
            raise LeaseLost
        if head.status is Status.CANCELLING:
            self._on_cancelling()
        return False

    async def clear(self) -> None:
        """It was certainly not sent. Tried once: without that it is only doubted."""
        # Also when the answer is lost: what is not known to be stored is stored again before it is sent.
        mark, self._mark = self._mark, None
        if mark is not None:
            with suppress(Unavailable):
                await self._commands.mark_unsent(self._command.id, self._command.fence, mark)
