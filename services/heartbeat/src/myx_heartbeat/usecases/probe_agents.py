"""One try of agents for another replica that doubts itself."""

import asyncio
from collections.abc import Sequence

from myx_heartbeat.usecases.ports import Probe
from myx_heartbeat.usecases.refresh import Refresh
from myx_kit.errors import InvalidArgument

MAX_PROBES = 50


class ProbeAgents:
    """Tells what this replica sees of agents that another one checks; nothing is reported."""

    def __init__(self, refresh: Refresh, probe: Probe) -> None:
        self._refresh = refresh
        self._probe = probe

    async def __call__(self, agent_ids: Sequence[str]) -> dict[str, str]:
        """Causes (empty: it answered) by agent id, of those that are known here. InvalidArgument `TOO_MANY_PROBES`."""
        if len(agent_ids) > MAX_PROBES:
            message = f"agent_ids must not be more than {MAX_PROBES}"
            raise InvalidArgument("TOO_MANY_PROBES", message, field="agent_ids")
        endpoints = [one for one in map(self._refresh.endpoint_of_agent, agent_ids) if one is not None]
        outcomes = await asyncio.gather(*(self._probe(one, retry=False) for one in endpoints))
        return {one.agent_id: outcome.cause for one, outcome in zip(endpoints, outcomes, strict=True)}
