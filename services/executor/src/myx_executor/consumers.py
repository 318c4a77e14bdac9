"""Events of the registry that make the executor do something by itself."""

import asyncio

from myx.events.v1.events_pb2 import Event
from myx_executor.store.commands import CommandStore
from myx_executor.usecases.deployments.self_repair import SelfRepair
from myx_kit.errors import Unavailable
from myx_kit.logging import get_logger

log = get_logger()


class OfflineAgents:
    """An agent went offline: perhaps it is to be repaired. What is missed here the sweep finds."""

    def __init__(self, repair: SelfRepair) -> None:
        self._repair = repair

    async def on_event(self, event: Event) -> None:
        """One event of an agent."""
        if event.WhichOneof("fact") == "agent_offline":
            self._repair.note(event.agent_offline.server_id, event.agent_offline.cause)


class OnlineAgents:
    """An agent is there again: what waits for it is claimed at once. What is missed here the next look finds."""

    def __init__(self, commands: CommandStore, wake: asyncio.Event) -> None:
        self._commands = commands
        self._wake = wake

    async def on_event(self, event: Event) -> None:
        """One event of an agent."""
        if event.WhichOneof("fact") != "agent_online":
            return
        server_id = event.agent_online.server_id
        try:
            if await self._commands.wake_queued(server_id):
                self._wake.set()
        except Unavailable as error:
            log.info("queued_work_not_woken", server_id=server_id, reason=error.reason)
