"""The fleet as the registry has it, and our share of it."""

import asyncio
from collections.abc import Callable, Mapping

from prometheus_client import Gauge

from myx_heartbeat.domain import Endpoint
from myx_heartbeat.usecases.checks import Checks
from myx_heartbeat.usecases.fleet import Fleet
from myx_heartbeat.usecases.ports import Registry
from myx_heartbeat.usecases.reports import Reports
from myx_kit.logging import get_logger

log = get_logger()

AGENTS = Gauge("myx_heartbeat_agents", "Agents that this replica checks")


class Refresh:
    """Takes over the registry's list of agents, one reading at a time. `is_mine` says which of them we check."""

    def __init__(
        self, registry: Registry, fleet: Fleet, checks: Checks, reports: Reports, is_mine: Callable[[str], bool]
    ) -> None:
        self._registry = registry
        self._fleet = fleet
        self._checks = checks
        self._reports = reports
        self._is_mine = is_mine
        self._lock = asyncio.Lock()
        # The whole list, so that a share can be taken over while the registry is away.
        self._endpoints: Mapping[str, Endpoint] = {}
        # False until the registry was reached for the first time.
        self.known = False

    async def run_once(self) -> None:
        """Bring the fleet up to date. Raises MyxError when the registry is away; the fleet stays as it was."""
        async with self._lock:
            endpoints = {one.agent_id: one for one in await self._registry.list_endpoints()}
            self._reports.forget([agent_id for agent_id in self._endpoints if agent_id not in endpoints])
            self._endpoints = endpoints
            self.share()
        if not self.known:
            self.known = True
            log.info("fleet_known", agents=len(self._endpoints), ours=len(self._fleet))

    def share(self) -> None:
        """Check what is ours now and nothing else. What was found out about the others still goes to the registry."""
        self._fleet.replace(
            [one for agent_id, one in self._endpoints.items() if self._is_mine(agent_id)], self._checks.is_running
        )
        AGENTS.set(len(self._fleet))
        self._checks.changed.set()

    def endpoint_of_agent(self, agent_id: str) -> Endpoint | None:
        """Connection data of an agent, whoever checks it."""
        return self._endpoints.get(agent_id)

    def endpoint_of(self, server: str) -> Endpoint | None:
        """Connection data of the agent of a server named by id or name, whoever checks it."""
        named = (one for one in self._endpoints.values() if server in (one.server_id, one.server_name))
        return min(named, key=lambda one: one.server_id != server, default=None)
