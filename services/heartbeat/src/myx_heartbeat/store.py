"""Every statement of the heartbeat service. The clock is the database's, so that members need not agree on the time.

A lease that ends later than one that is renewed now could was given before that clock was set back: it does not hold.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from myx_heartbeat.domain import Member
from myx_kit.db.unit_of_work import UnitOfWork

# The bound of the setting.
LONGEST_LEASE_S = 300.0

_RENEW = sa.text(
    """
    with mine as (
      insert into heartbeat.member (id, address, joined_at, lease_until, agents)
      values (:id, :address, now(), now() + make_interval(secs => :lease_s), :agents)
      on conflict (id) do update
      set address = excluded.address, lease_until = excluded.lease_until, agents = excluded.agents
      returning id, address, joined_at, lease_until, agents),
    long_gone as (delete from heartbeat.member where id <> :id and lease_until < now() - interval '1 day')
    select id, address, joined_at, lease_until, agents from mine
    union all
    select id, address, joined_at, lease_until, agents from heartbeat.member
    where id <> :id and lease_until between now() and now() + make_interval(secs => :longest_s)
    order by id
    """
)

_MEMBERS = sa.text(
    """
    select id, address, joined_at, lease_until, agents from heartbeat.member
    where lease_until between now() and now() + make_interval(secs => :longest_s)
    order by id
    """
)

_LEAVE = sa.text("delete from heartbeat.member where id = :id")


class Members:
    """The leases of the replicas."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def renew(self, member_id: str, address: str, lease_s: float, agents: int) -> Sequence[Member]:
        """Renew a lease (or join); all members whose lease holds, by id. Unavailable: the database is away."""
        values = {
            "id": member_id,
            "address": address,
            "lease_s": lease_s,
            "agents": agents,
            "longest_s": LONGEST_LEASE_S,
        }
        async with self._uow.begin() as connection:
            return [Member(*row) for row in (await connection.execute(_RENEW, values)).all()]

    async def members(self) -> Sequence[Member]:
        """All members whose lease holds, by id. Unavailable: the database is away."""
        async with self._uow.begin() as connection:
            return [Member(*row) for row in (await connection.execute(_MEMBERS, {"longest_s": LONGEST_LEASE_S})).all()]

    async def leave(self, member_id: str) -> None:
        """End a lease; harmless when there is none."""
        async with self._uow.begin() as connection:
            await connection.execute(_LEAVE, {"id": member_id})
