"""Asking for the end of all that a job has under way, or of what was never sent of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import UUID

from myx_executor.domain.command import Command, Completeness, Outcome
from myx_executor.domain.deployment import Kind
from myx_executor.domain.states import Status
from myx_executor.store.jobs import JobStore
from myx_executor.store.outbox import OutboxEvent
from myx_executor.usecases import events
from myx_executor.usecases.deployments.events import DeploymentFacts
from myx_executor.usecases.deployments.maintenance import needs_lease
from myx_executor.usecases.deployments.ports import Registry
from myx_executor.usecases.locks import Locks
from myx_kit.errors import Aborted, MyxError
from myx_kit.logging import get_logger
from myx_kit.retry import RetryPolicy

log = get_logger()

# Commands of one statement.
_AT_ONCE = 500
_RELEASES_AT_ONCE = 20
# The owners of these commands write the same rows, in an order of their own: PostgreSQL may let one side begin anew.
_CONFLICTS = RetryPolicy(max_retries=5, base_delay_s=0.05, jitter=0.5)
_UNSENT = Outcome(
    Status.CANCELLED, "cancelled", "cancelled before it was sent to the agent", completeness=Completeness.UNVERIFIED
)

# A command and, of a deployment, its kind.
_Found = tuple[Command, str]
# Asks for the end of commands, with the events of those never sent; what each one is now.
_Ask = Callable[[Sequence[UUID], Sequence[OutboxEvent]], Awaitable[dict[UUID, Status]]]


class CancelUnderWay:
    """Ends by batches; harmless to repeat."""

    def __init__(
        self,
        store: JobStore,
        locks: Locks,
        registry: Registry,
        *,
        wake_all: Callable[[], Awaitable[None]],
        on_event: Callable[[], None],
    ) -> None:
        self._store = store
        self._locks = locks
        self._registry = registry
        self._wake_all = wake_all
        self._on_event = on_event

    async def cancel(self, job_id: UUID, grace_s: float, actor: str) -> None:
        """What was never sent ends at once; the owners of what runs are told."""

        def ask(ids: Sequence[UUID], told: Sequence[OutboxEvent]) -> Awaitable[dict[UUID, Status]]:
            return self._store.cancel_commands(ids, grace_s, actor, _UNSENT.message, told)

        if Status.CANCELLING in await self._end(job_id, ask):
            await self._wake_all()

    async def take_back(self, job_id: UUID, reason: str, actor: str) -> bool:
        """What was never sent ends, and its targets are not started for this reason; whether there was any."""
        message = f"its job was stopped before it was begun: {reason}"

        def ask(ids: Sequence[UUID], told: Sequence[OutboxEvent]) -> Awaitable[dict[UUID, Status]]:
            return self._store.take_back(ids, reason, actor, message, told)

        return bool(await self._end(job_id, ask, unsent=True))

    async def _end(self, job_id: UUID, ask: _Ask, *, unsent: bool = False) -> set[Status]:
        """What they became."""
        became: set[Status] = set()
        while found := await self._store.under_way(job_id, _AT_ONCE, unsent=unsent):
            asked = await _through_conflicts(found, ask)
            became |= set(asked.values())
            self._on_event()
            await self._let_go([one for one in found if asked.get(one[0].id) is Status.CANCELLED])
            if len(found) < _AT_ONCE:
                break
        return became

    async def _let_go(self, ended: Sequence[_Found]) -> None:
        """Of what was never sent: its turn at locks, and the right to change an agent. Both run out by themselves."""
        for command, _ in ended:
            await self._locks.released(command)
        leased = [command for command, kind in ended if kind and needs_lease(Kind(kind))]
        try:
            for start in range(0, len(leased), _RELEASES_AT_ONCE):
                await asyncio.gather(*map(self._release, leased[start : start + _RELEASES_AT_ONCE]))
        except MyxError as error:
            log.info("maintenance_not_released", count=len(leased), reason=error.reason)

    def _release(self, command: Command) -> Awaitable[None]:
        return self._registry.release_maintenance(command.server_id, str(command.id))


async def _through_conflicts(found: Sequence[_Found], ask: _Ask) -> dict[UUID, Status]:
    again = partial(ask, [command.id for command, _ in found], [_event(command, kind) for command, kind in found])
    for delay_s in _CONFLICTS.delays():
        try:
            return await again()
        except Aborted:
            await asyncio.sleep(delay_s)
    return await again()


def _event(command: Command, kind: str) -> OutboxEvent:
    facts = DeploymentFacts(Kind(kind)) if kind else events
    return facts.finished(command, _UNSENT)
