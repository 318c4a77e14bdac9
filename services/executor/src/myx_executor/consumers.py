"""Events of the registry that make the executor do something by itself."""

from myx.events.v1.events_pb2 import Event
from myx_executor.usecases.deployments.self_repair import SelfRepair


class OfflineAgents:
    """An agent went offline: perhaps it is to be repaired. What is missed here the sweep finds."""

    def __init__(self, repair: SelfRepair) -> None:
        self._repair = repair

    async def on_event(self, event: Event) -> None:
        """One event of an agent."""
        if event.WhichOneof("fact") == "agent_offline":
            self._repair.note(event.agent_offline.server_id, event.agent_offline.cause)
