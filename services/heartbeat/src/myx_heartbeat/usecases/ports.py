"""What the use cases need from outside; adapters provide it."""

from collections.abc import Sequence
from typing import Protocol

from myx_heartbeat.domain import Endpoint, Outcome, Report


class Probe(Protocol):
    """Asks one agent."""

    async def __call__(self, endpoint: Endpoint, *, retry: bool) -> Outcome:
        """What the agent answered, or why it did not; without `retry` after one try."""
        ...


class Registry(Protocol):
    """Knows the fleet and takes reports. Everything may raise MyxError."""

    async def list_endpoints(self) -> list[Endpoint]:
        """Connection data of all agents."""
        ...

    async def report(self, reports: Sequence[Report]) -> list[str]:
        """Hand over at most 500 reports; ids of agents that the registry does not know any more."""
        ...

    async def require_agent(self, server: str) -> None:
        """Raises NotFound `SERVER_NOT_FOUND` or `AGENT_NOT_FOUND` when there is no such server or it has no agent."""
        ...
