"""What the audit trail is told: one entry for each call of an audited operation, whatever becomes of it."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from myx_gateway.access.principal import Principal

# Who is not known: a login that failed.
NOBODY = "nobody"
# Of one entry; of more it is said how many.
MOST_TARGETS: Final = 100


@dataclass
class Entry:
    """The entry of one call while it is made; what is known only later is added here.

    A call that ends without `result` is `unknown` when it ended by an error, else `ok`.
    """

    operation: str
    # `user:alice`; of a login it is set by the handler once it knows that there is such a user, never from what was
    # typed: people type passwords into the field of the name.
    principal: str = NOBODY
    # `session`, `token:<name>` or empty.
    via: str = ""
    address: str = ""
    request_id: str = ""
    # Servers that were meant: as they were named, and by their ids as far as they were resolved.
    targets: list[str] = field(default_factory=list)
    # How many there are beyond those.
    more_targets: int = 0
    # What was meant or made: the id or name of a command, a job, a user …
    resource: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    reason: str = ""
    # Of a call that could be repeated without end, and of which nothing is to be remembered: no entry is made.
    is_kept: bool = True

    def result(self, status: int, reason: str = "") -> None:
        """The HTTP status of the answer and, of an error, its reason."""
        self.status, self.reason = status, reason

    def meant(self, servers: Iterable[str]) -> None:
        """More servers that were meant, by id or name; those that are known already may be among them."""
        self.targets = list(dict.fromkeys((*self.targets, *servers)))

    def made(self, location: str) -> None:
        """What the answer says that was made, by its address; what it was made of stays in the details."""
        made = location.rpartition("/")[2]
        if made:
            if self.resource:
                self.details["of"] = self.resource
            self.resource = made


class Auditor(Protocol):
    """Where entries go."""

    def entry(
        self,
        *,
        operation: str,
        principal: Principal | None,
        address: str,
        request_id: str,
        path_params: Mapping[str, str],
        body: object = None,
    ) -> AbstractAsyncContextManager[Entry]:
        """The entry of a call, for as long as the call lasts; say `result` inside, also when it is an error.

        `body`: the JSON of the request, not validated yet; what may be shown of it is chosen here, by name.
        Before the block is entered the intent is on record: Unavailable `AUDIT_UNAVAILABLE` when that cannot be, and
        then the act must not be done. When the block is left the entry is made, or made later; it raises nothing.
        """
        ...
