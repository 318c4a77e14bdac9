"""What must be there before the registry can serve."""

from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import FailedPrecondition, Internal
from myx_kit.secretbox import SecretBox
from myx_registry.store import database, sealed
from myx_registry.usecases.resealing import Resealing


async def check_schema(uow: UnitOfWork) -> None:
    """Raises Unavailable `DATABASE_UNAVAILABLE`, or `SCHEMA_MISSING` or `SCHEMA_OUTDATED` before the migrations."""
    async with uow.begin() as connection:
        await database.check_schema(connection)


async def check_master_keys(uow: UnitOfWork, box: SecretBox) -> None:
    """Raises FailedPrecondition `MASTER_KEY_MISMATCH` when stored secrets were sealed with keys that are not there, by
    their ids or by what they open."""
    counts = await Resealing(uow, box).counts()
    missing = sorted(key_id for key_id in counts if key_id not in box.key_ids)
    if missing:
        raise FailedPrecondition(
            "MASTER_KEY_MISMATCH",
            f"Stored secrets were sealed with the master keys {', '.join(missing)}: put them back into the file.",
        )
    async with uow.begin() as connection:
        samples = [(table.name, await sealed.sample(connection, table)) for table in sealed.SEALED_TABLES]
    try:
        for table, values in samples:
            for row, column, value in values:
                box.open(value, table=table, column=column, row=str(row))
    except Internal:
        raise FailedPrecondition(
            "MASTER_KEY_MISMATCH", "The master key file does not hold the key that the stored secrets were sealed with."
        ) from None
