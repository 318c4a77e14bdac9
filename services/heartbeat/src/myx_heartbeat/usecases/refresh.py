"""The fleet as the registry has it, and our share of it."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from prometheus_client import Gauge

from myx_heartbeat.domain import Endpoint, is_checked
from myx_heartbeat.usecases.checks import Checks
from myx_heartbeat.usecases.doubt import Doubt
from myx_heartbeat.usecases.fleet import Fleet
from myx_heartbeat.usecases.ports import Registry
from myx_heartbeat.usecases.reports import Reports
from myx_kit.errors import MyxError
from myx_kit.logging import get_logger

log = get_logger()

AGENTS = Gauge("myx_heartbeat_agents", "Agents that this replica checks")


class Refresh:
    """Takes over the registry's list of agents, one reading at a time. `is_mine` says which of them we check."""

    def __init__(
        self,
        registry: Registry,
        fleet: Fleet,
        checks: Checks,
        reports: Reports,
        doubt: Doubt,
        *,
        is_mine: Callable[[str], bool],
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._fleet = fleet
        self._checks = checks
        self._reports = reports
        self._doubt = doubt
        self._is_mine = is_mine
        self._now = now
        self._lock = asyncio.Lock()
        # Readings that have begun.
        self._begun = 0
        # The whole list, so that a share can be taken over while the registry is away.
        self._endpoints: dict[str, Endpoint] = {}
        # When the next pause of an agent ends.
        self._resumes_at: datetime | None = None
        # Set once the registry was reached for the first time.
        self.known = asyncio.Event()

    async def run_once(self) -> None:
        """Bring the fleet up to date. Raises MyxError when the registry is away; the fleet stays as it was."""
        async with self._lock:
            await self._read()

    async def newest(self, agent_id: str) -> Endpoint | None:
        """Connection data of an agent by a reading that begins now; while the registry is away, what was known.

        All who ask while another reading runs share the next one, also when it fails.
        """
        begun = self._begun
        async with self._lock:
            if self._begun == begun:
                try:
                    await self._read()
                except MyxError as error:
                    log.warning("fleet_not_read", reason=error.reason)
        return self._endpoints.get(agent_id)

    async def _read(self) -> None:
        self._begun += 1
        endpoints = {one.agent_id: one for one in await self._registry.list_endpoints()}
        self._reports.forget([agent_id for agent_id in self._endpoints if agent_id not in endpoints])
        self._endpoints = endpoints
        self.share()
        if not self.known.is_set():
            self.known.set()
            log.info("fleet_known", agents=len(self._endpoints), ours=len(self._fleet))

    def share(self) -> None:
        """Check what is ours now and nothing else. What was found out about the others still goes to the registry."""
        now = self._now()
        pauses = (one.paused_until for one in self._endpoints.values())
        self._resumes_at = min((until for until in pauses if until is not None and until > now), default=None)
        ours = [one for agent_id, one in self._endpoints.items() if is_checked(one, now) and self._is_mine(agent_id)]
        self._doubt.forget(self._fleet.replace(ours, self._checks.is_running))
        AGENTS.set(len(self._fleet))
        self._checks.changed.set()

    async def resume(self) -> None:
        """Check agents again whose pause is over, also while the registry is away."""
        if self._resumes_at is not None and self._resumes_at <= self._now():
            self.share()

    def quarantine(self, agent_ids: Iterable[str]) -> None:
        """Another machine answers for these agents: nothing more is sent to them."""
        for agent_id in agent_ids:
            known = self._endpoints.get(agent_id)
            if known is not None and not known.quarantined:
                self._endpoints[agent_id] = replace(known, quarantined=True)
                log.warning("agent_quarantined", agent_id=agent_id, server=known.server_name)
        self.share()

    def endpoint_of_agent(self, agent_id: str) -> Endpoint | None:
        """Connection data of an agent, whoever checks it."""
        return self._endpoints.get(agent_id)

    def endpoint_of(self, server: str) -> Endpoint | None:
        """Connection data of the agent of a server named by id or name, whoever checks it."""
        named = (one for one in self._endpoints.values() if server in (one.server_id, one.server_name))
        return min(named, key=lambda one: one.server_id != server, default=None)
