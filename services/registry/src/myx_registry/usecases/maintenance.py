"""The exclusive right to change the agent of a server: one holder at a time, until a time."""

from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import Unavailable
from myx_registry.domain.maintenance import Claim, Maintenance, maintenance_held
from myx_registry.store import maintenance, servers
from myx_registry.usecases.references import server_not_found

_TRIES = 3


class Leases:
    """Takes, renews and gives back maintenance leases."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def acquire(self, reference: str, claim: Claim) -> Maintenance:
        """The lease; the same holder renews it by asking again, one that ran out is free.

        Raises NotFound `SERVER_NOT_FOUND`, FailedPrecondition `MAINTENANCE_HELD` with holder, kind, actor and since.
        """
        for _ in range(_TRIES):
            async with self._uow.begin() as connection:
                kept = await servers.keep_server(connection, reference)
                if kept is None:
                    raise server_not_found(reference)
                taken = await maintenance.take_lease(connection, kept[0], claim)
                held = None if taken is not None else await maintenance.find_lease(connection, kept[0])
            if taken is not None:
                return taken
            if held is not None:
                raise maintenance_held(kept[1], held)
            # It ran out or was given back between the two looks.
        raise Unavailable("MAINTENANCE_CHANGING", "The lease changes hands right now; ask again.")

    async def release(self, reference: str, holder: str) -> None:
        """Gives a lease back; of another holder's, and of a server that is gone, nothing changes."""
        async with self._uow.begin() as connection:
            server = await servers.find_server(connection, reference)
            if server is not None:
                await maintenance.drop_lease(connection, server.id, holder)
