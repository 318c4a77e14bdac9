"""The end of what waited too long: never sent, so any replica may say so."""

from collections.abc import Callable

from myx_executor.domain.command import Command, Completeness, Outcome, RowKind
from myx_executor.domain.next_step import without_until
from myx_executor.domain.states import Status
from myx_executor.store.commands import CommandStore
from myx_executor.store.deployments import DeploymentStore
from myx_executor.store.outbox import OutboxEvent
from myx_executor.usecases import events
from myx_executor.usecases.deployments.events import DeploymentFacts
from myx_executor.usecases.locks import Locks
from myx_executor.usecases.metrics import FINISHED
from myx_kit.errors import Unavailable
from myx_kit.logging import get_logger

log = get_logger()

_BATCH = 200


class Expiry:
    """Ends commands and deployments at their queue deadline."""

    def __init__(
        self,
        owner: str,
        commands: CommandStore,
        deployments: DeploymentStore,
        locks: Locks,
        on_event: Callable[[], None],
    ) -> None:
        self._owner = owner
        self._commands = commands
        self._deployments = deployments
        self._locks = locks
        self._on_event = on_event

    async def run_once(self) -> None:
        """One batch; what another replica ends meanwhile is passed over."""
        try:
            for command in await self._commands.expired(_BATCH):
                await self._end(command)
        except Unavailable as error:
            log.warning("expiry_failed", reason=error.reason)

    async def _end(self, command: Command) -> None:
        waited_for = without_until(command.message) or "it waited for a replica with room"
        message = f"it waited longer than its queue limit of {command.queue_timeout_s:g} s: {waited_for}"
        outcome = Outcome(Status.FAILED, "queue_timeout", message, completeness=Completeness.UNVERIFIED)
        ended = await self._commands.expire(command.id, self._owner, message, await self._event(command, outcome))
        if ended is not None:
            FINISHED.labels(ended.status).inc()
            self._on_event()
            await self._locks.released(ended)

    async def _event(self, command: Command, outcome: Outcome) -> OutboxEvent:
        if command.kind is RowKind.COMMAND:
            return events.finished(command, outcome)
        deployment = await self._deployments.get(command.id)
        if deployment is None:
            return events.finished(command, outcome)
        return DeploymentFacts(deployment.plan.kind).finished(command, outcome)
