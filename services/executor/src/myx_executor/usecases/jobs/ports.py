"""What jobs need from outside; adapters fit these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Target:
    """A server as the registry knows it; `agent_id` is empty while it has no agent, `status` is its agent's."""

    server_id: str
    name: str
    agent_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    status: str = ""


class Targets(Protocol):
    """Who the servers are."""

    async def resolve(self, *, selector: str = "", servers: Sequence[str] = ()) -> list[Target]:
        """What a selector matches, or the servers of these ids or names; one of both is given.

        InvalidArgument `SELECTOR_INVALID`; NotFound `SERVER_NOT_FOUND`; an empty match is an empty list.
        """
        ...
