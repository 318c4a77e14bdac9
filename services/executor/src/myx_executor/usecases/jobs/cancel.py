"""Asking for the end of all that a job has under way."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from myx_executor.domain.command import Command, Completeness, Outcome
from myx_executor.domain.deployment import Kind
from myx_executor.domain.states import Status
from myx_executor.store.jobs import JobStore
from myx_executor.store.outbox import OutboxEvent
from myx_executor.usecases import events
from myx_executor.usecases.deployments.events import DeploymentFacts
from myx_kit.errors import Aborted
from myx_kit.retry import RetryPolicy

# Commands of one statement.
_AT_ONCE = 500
# The owners of these commands write the same rows, in an order of their own: PostgreSQL may let one side begin anew.
_CONFLICTS = RetryPolicy(max_retries=5, base_delay_s=0.05, jitter=0.5)
_UNSENT = Outcome(
    Status.CANCELLED, "cancelled", "cancelled before it was sent to the agent", completeness=Completeness.UNVERIFIED
)


class CancelUnderWay:
    """Cancels by batches; harmless to repeat."""

    def __init__(
        self, store: JobStore, *, wake_all: Callable[[], Awaitable[None]], on_event: Callable[[], None]
    ) -> None:
        self._store = store
        self._wake_all = wake_all
        self._on_event = on_event

    async def cancel(self, job_id: UUID, grace_s: float, actor: str) -> None:
        """What was never sent ends at once; the owners of what runs are told."""
        some_run = False
        while found := await self._store.under_way(job_id, _AT_ONCE):
            some_run |= await self._ask(found, grace_s, actor)
            self._on_event()
            if len(found) < _AT_ONCE:
                break
        if some_run:
            await self._wake_all()

    async def _ask(self, found: Sequence[tuple[Command, str]], grace_s: float, actor: str) -> bool:
        told = [_event(command, kind) for command, kind in found]
        ids = [command.id for command, _ in found]
        for delay_s in _CONFLICTS.delays():
            try:
                return await self._store.cancel_commands(ids, grace_s, actor, _UNSENT.message, told)
            except Aborted:
                await asyncio.sleep(delay_s)
        return await self._store.cancel_commands(ids, grace_s, actor, _UNSENT.message, told)


def _event(command: Command, kind: str) -> OutboxEvent:
    facts = DeploymentFacts(Kind(kind)) if kind else events
    return facts.finished(command, _UNSENT)
