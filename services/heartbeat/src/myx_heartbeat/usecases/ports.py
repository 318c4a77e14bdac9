"""What the use cases need from outside; adapters provide it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from myx_heartbeat.domain import Endpoint, Outcome, Report


class Probe(Protocol):
    """Asks one agent."""

    async def __call__(self, endpoint: Endpoint, *, retry: bool) -> Outcome:
        """What the agent answered, or why it did not; without `retry` after one try."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What the registry says of a batch: agents that it does not know any more, and those of another machine."""

    unknown: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(self.unknown + other.unknown, self.quarantined + other.quarantined)


class Registry(Protocol):
    """Knows the fleet and takes reports. Everything may raise MyxError."""

    async def list_endpoints(self) -> list[Endpoint]:
        """Connection data of all agents."""
        ...

    async def report(self, reports: Sequence[Report]) -> Taken:
        """Hand over at most 500 reports."""
        ...

    async def require_agent(self, server: str) -> None:
        """Raises NotFound `SERVER_NOT_FOUND` or `AGENT_NOT_FOUND` when there is no such server or it has no agent."""
        ...
