"""One try of agents for another replica that doubts itself."""

import asyncio
import random
from collections.abc import Callable, Sequence

from myx_heartbeat.domain import Endpoint, Sighting
from myx_heartbeat.usecases.doubt import MIN_ANSWERS, Doubt
from myx_heartbeat.usecases.fleet import Fleet
from myx_heartbeat.usecases.ports import Probe
from myx_kit.errors import InvalidArgument

MAX_PROBES = 50
# Agents of our own that are tried beside the others'.
_OWN = 10


class ProbeAgents:
    """Tells what this replica sees of agents that another one checks; nothing is reported.

    Both may be cut off by the same outage, and ours may be so new that we do not suspect it yet. So some of our own
    agents, alive when last seen, are tried at the same moment: with fewer than four in five of them there, or too few
    to tell, we doubt ourselves too.
    """

    def __init__(self, endpoint_of: Callable[[str], Endpoint | None], fleet: Fleet, doubt: Doubt, probe: Probe) -> None:
        """`endpoint_of`: any agent of the fleet."""
        self._endpoint_of = endpoint_of
        self._fleet = fleet
        self._doubt = doubt
        self._probe = probe

    async def __call__(self, agent_ids: Sequence[str]) -> Sighting:
        """What is seen of those agents that are known here. InvalidArgument `TOO_MANY_PROBES`."""
        if len(agent_ids) > MAX_PROBES:
            message = f"agent_ids must not be more than {MAX_PROBES}"
            raise InvalidArgument("TOO_MANY_PROBES", message, field="agent_ids")
        asked = [one for one in map(self._endpoint_of, agent_ids) if one is not None]
        living = self._fleet.living()
        own = random.sample(living, min(_OWN, len(living)))
        causes, own_causes = await asyncio.gather(self._try(asked), self._try(own))
        reached = sum(1 for cause in own_causes.values() if not cause)
        reaches_its_own = reached >= MIN_ANSWERS and 5 * reached >= 4 * len(own)
        return Sighting(causes, doubts_itself=self._doubt.suspicion is not None or not reaches_its_own)

    async def _try(self, endpoints: Sequence[Endpoint]) -> dict[str, str]:
        outcomes = await asyncio.gather(*(self._probe(one, retry=False) for one in endpoints))
        return {one.agent_id: outcome.cause for one, outcome in zip(endpoints, outcomes, strict=True)}
