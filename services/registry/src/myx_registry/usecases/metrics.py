"""What Prometheus sees of the registry."""

from prometheus_client import Counter, Gauge

from myx_kit.db.unit_of_work import UnitOfWork
from myx_registry.domain.agents import AgentStatus
from myx_registry.store.totals import totals

SERVERS = Gauge("myx_registry_servers", "Servers that are registered")
AGENTS = Gauge("myx_registry_agents", "Agents by status", ["status"])
QUARANTINED = Gauge("myx_registry_quarantined_agents", "Agents that another machine answers for")
FLAPPING = Gauge("myx_registry_flapping_agents", "Agents that change between online and offline all the time")
REPORTS = Counter("myx_registry_reports", "Outcomes of checks that the heartbeat service handed over")
CHANGES = Counter("myx_registry_agent_changes", "Facts about agents that became events: online, offline, …", ["fact"])


class Census:
    """Counts the fleet when somebody looks."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def measure(self) -> None:
        """Bring the gauges up to date. Unavailable when the database is away."""
        async with self._uow.begin() as connection:
            found = await totals(connection)
        SERVERS.set(found.servers)
        for status in AgentStatus:
            AGENTS.labels(status.value).set(found.agents.get(status.value, 0))
        QUARANTINED.set(found.quarantined)
        FLAPPING.set(found.flapping)
