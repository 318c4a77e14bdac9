"""What must be there before the registry can serve."""

from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import FailedPrecondition, Internal, Unavailable
from myx_registry.store import agents, database
from myx_registry.usecases.vault import Vault


async def check_schema(uow: UnitOfWork) -> None:
    """Raises Unavailable `DATABASE_UNAVAILABLE`, or `SCHEMA_MISSING` before the migrations have run."""
    async with uow.begin() as connection:
        if not await database.schema_is_there(connection):
            raise Unavailable("SCHEMA_MISSING", "The schema is missing: run `python -m myx_registry migrate`.")


async def check_master_key(uow: UnitOfWork, vault: Vault) -> None:
    """Raises FailedPrecondition `MASTER_KEY_MISMATCH` when the stored secrets were sealed with another master key."""
    async with uow.begin() as connection:
        sealed = await agents.list_endpoints(connection, after_id=None, limit=1)
    try:
        for endpoint in sealed:
            vault.open_endpoint(endpoint)
    except Internal:
        raise FailedPrecondition(
            "MASTER_KEY_MISMATCH", "The master key file does not hold the key that the stored secrets were sealed with."
        ) from None
