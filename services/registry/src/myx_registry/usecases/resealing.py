"""What is sealed with which master key, and sealing it again with the primary one, beside all other work."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from uuid import UUID

from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import Internal
from myx_kit.logging import get_logger
from myx_kit.secretbox import SecretBox, header_of
from myx_registry.store import sealed
from myx_registry.store.sealed import SEALED_TABLES, SealedTable

log = get_logger()

# Rows that are locked at once; a batch takes milliseconds.
_BATCH_ROWS = 50
_TELL_EVERY_VALUES = 5000


class Resealing:
    """Any number of replicas may do it at once: each passes over the rows that another one holds."""

    def __init__(self, uow: UnitOfWork, box: SecretBox, batch_rows: int = _BATCH_ROWS) -> None:
        self._uow = uow
        self._box = box
        self._batch_rows = batch_rows

    async def counts(self) -> Mapping[str, Counter[str]]:
        """Key id to table to the number of values that are sealed with it."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for table in SEALED_TABLES:
            async with self._uow.begin() as connection:
                for key_id, count in (await sealed.count_by_key(connection, table)).items():
                    counts[key_id][table.name] += count
        return dict(counts)

    async def run(self) -> int:
        """Seal again whatever another key than the primary one sealed; the number of values that are left.

        Left is what somebody else held or what cannot be opened (logged at error, value by value).
        """
        primary = self._box.primary
        stale = await self._stale(primary)
        if not stale:
            return 0
        log.info("resealing_began", primary=primary, values=stale)
        done = 0
        for table in SEALED_TABLES:
            done = await self._reseal_table(table, primary, done, stale)
        left = await self._stale(primary)
        log.info("resealing_ended", primary=primary, done=done, left=left)
        return left

    async def _stale(self, primary: str) -> int:
        counts = await self.counts()
        return sum(tables.total() for key_id, tables in counts.items() if key_id != primary)

    async def _reseal_table(self, table: SealedTable, primary: str, done: int, total: int) -> int:
        def again(row: UUID, column: str, value: bytes) -> bytes | None:
            return self._again(value, table.name, column, str(row))

        after: UUID | None = None
        while True:
            async with self._uow.begin() as connection:
                after, changed = await sealed.reseal_batch(
                    connection, table, header_of(primary), again, after=after, limit=self._batch_rows
                )
            if done // _TELL_EVERY_VALUES != (done + changed) // _TELL_EVERY_VALUES:
                log.info("resealing_goes_on", primary=primary, done=done + changed, values=total)
            done += changed
            if after is None:
                return done

    def _again(self, value: bytes, table: str, column: str, row: str) -> bytes | None:
        try:
            plain = self._box.open(value, table=table, column=column, row=row)
        except Internal as error:
            log.error("resealing_failed", table=table, column=column, row=row, reason=error.reason)
            return None
        return self._box.seal(plain, table=table, column=column, row=row)
