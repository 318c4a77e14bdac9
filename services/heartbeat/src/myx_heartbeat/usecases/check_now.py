"""A check that somebody asks for."""

import asyncio
from contextlib import suppress

from myx_heartbeat.domain import Report
from myx_heartbeat.usecases.checks import Checks
from myx_heartbeat.usecases.fleet import Agent, Fleet
from myx_heartbeat.usecases.hand_over import HandOver
from myx_heartbeat.usecases.ports import Registry
from myx_heartbeat.usecases.refresh import Refresh
from myx_heartbeat.usecases.reports import Reports
from myx_kit.errors import FailedPrecondition, NotFound

# How long an answer waits for the registry to have the outcome too, so that who reads there next sees it.
_REPORTED_WITHIN_S = 2.0


class CheckNow:
    """Checks the agent of a server now and reports the outcome."""

    def __init__(  # noqa: PLR0917 - parts, wired once in app
        self, registry: Registry, fleet: Fleet, refresh: Refresh, checks: Checks, reports: Reports, hand_over: HandOver
    ) -> None:
        self._registry = registry
        self._fleet = fleet
        self._refresh = refresh
        self._checks = checks
        self._reports = reports
        self._hand_over = hand_over

    async def __call__(self, server: str) -> Report:
        """The report for the agent of a server, which is named by id or name.

        Raises NotFound `SERVER_NOT_FOUND`, `AGENT_NOT_FOUND`; FailedPrecondition `AGENT_QUARANTINED`.
        """
        report = await self._checks.check_now(await self._find(server))
        self._hand_over.hurry.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_REPORTED_WITHIN_S):
                await self._reports.sent(report.agent_id)
        return report

    async def _find(self, server: str) -> Agent:
        agent = self._known(server)
        if agent is None:
            await self._registry.require_agent(server)
            await self._refresh.run_once()
            agent = self._known(server)
        if agent is None:
            raise NotFound("AGENT_NOT_FOUND", f"the server {server} has no agent", server=server)
        if agent.endpoint.quarantined:
            message = f"another machine answers for {server}: nothing is sent to it until an operator accepts it"
            raise FailedPrecondition("AGENT_QUARANTINED", message, server=server)
        return agent

    def _known(self, server: str) -> Agent | None:
        """Ours, or another replica's: that is checked for this once."""
        agent = self._fleet.of_server(server)
        if agent is None:
            endpoint = self._refresh.endpoint_of(server)
            agent = None if endpoint is None else Agent(endpoint, endpoint.status)
        return agent
