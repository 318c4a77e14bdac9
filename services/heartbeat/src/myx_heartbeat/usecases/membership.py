"""Which replicas share the fleet, and what of it is ours."""

from collections.abc import Sequence
from typing import Protocol

from prometheus_client import Gauge

from myx_heartbeat.domain import Member, holder
from myx_kit.errors import MyxError
from myx_kit.logging import get_logger

log = get_logger()

MEMBERS = Gauge("myx_heartbeat_members", "Replicas that share the fleet, as this one sees them")


class MemberStore(Protocol):
    """Where the leases are. Everything may raise MyxError."""

    async def renew(self, member_id: str, address: str, lease_s: float, agents: int) -> Sequence[Member]:
        """Renew our lease; all members whose lease holds, this one among them."""
        ...

    async def members(self) -> Sequence[Member]:
        """All members whose lease holds."""
        ...

    async def leave(self, member_id: str) -> None:
        """End our lease."""
        ...


class Alone:
    """The share of the only replica: everything."""

    members: Sequence[Member] = ()

    others: Sequence[Member] = ()
    is_suspended = False
    has_joined = True

    def is_mine(self, agent_id: str) -> bool:
        """Yes."""
        return True


class Membership:
    """Renews our lease and notices who joins and leaves.

    While the database is away the members stay as they were: an agent that two check is better than one that nobody
    checks. Before the first renewal nothing is ours.
    """

    def __init__(self, store: MemberStore, member_id: str, lease_s: float) -> None:
        self._store = store
        self.member_id = member_id
        self._lease_s = lease_s
        self._ids: list[str] = []
        self.members: Sequence[Member] = ()
        # Our network is broken: the others have our share until it is not.
        self.is_suspended = False

    @property
    def others(self) -> Sequence[Member]:
        """The members beside this one."""
        return [one for one in self.members if one.member_id != self.member_id]

    @property
    def has_joined(self) -> bool:
        """Whether it is known who shares the fleet."""
        return bool(self._ids)

    def is_mine(self, agent_id: str) -> bool:
        """Whether this replica checks the agent."""
        return not self.is_suspended and bool(self._ids) and holder(agent_id, self._ids) == self.member_id

    async def renew_once(self, address: str, agents: int) -> bool:
        """One renewal with our address and the number of agents that we check; whether other agents are ours now.

        Raises MyxError when the database is away.
        """
        if self.is_suspended:
            await self._store.leave(self.member_id)
            self.members = await self._store.members()
        else:
            self.members = await self._store.renew(self.member_id, address, self._lease_s, agents)
        ids = sorted(one.member_id for one in self.members)
        if ids == self._ids:
            return False
        log.info("members_changed", joined=sorted(set(ids) - set(self._ids)), left=sorted(set(self._ids) - set(ids)))
        self._ids = ids
        MEMBERS.set(len(ids))
        return True

    async def leave(self) -> None:
        """The others take our share over at once; if that cannot be said, when the lease has run out."""
        try:
            await self._store.leave(self.member_id)
        except MyxError as error:
            log.warning("lease_not_given_up", reason=error.reason)
