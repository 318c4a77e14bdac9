"""The fleet as the registry has it."""

import asyncio

from prometheus_client import Gauge

from myx_heartbeat.usecases.checks import Checks
from myx_heartbeat.usecases.fleet import Fleet
from myx_heartbeat.usecases.ports import Registry
from myx_heartbeat.usecases.reports import Reports
from myx_kit.logging import get_logger

log = get_logger()

AGENTS = Gauge("myx_heartbeat_agents", "Agents that this replica checks")


class Refresh:
    """Takes over the registry's list of agents, one reading at a time."""

    def __init__(self, registry: Registry, fleet: Fleet, checks: Checks, reports: Reports) -> None:
        self._registry = registry
        self._fleet = fleet
        self._checks = checks
        self._reports = reports
        self._lock = asyncio.Lock()
        # False until the registry was reached for the first time.
        self.known = False

    async def run_once(self) -> None:
        """Bring the fleet up to date. Raises MyxError when the registry is away; the fleet stays as it was."""
        async with self._lock:
            endpoints = await self._registry.list_endpoints()
            self._reports.forget(self._fleet.replace(endpoints, self._checks.is_running))
        AGENTS.set(len(self._fleet))
        if not self.known:
            self.known = True
            log.info("fleet_known", agents=len(self._fleet))
        self._checks.changed.set()
