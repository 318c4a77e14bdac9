"""After a rotation of the master key: what is sealed with another key than the primary one is sealed again."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import partial

from myx_executor.store.sealed import SEALED_COLUMNS, SealedColumn, SealedStore
from myx_kit.errors import Internal, Unavailable
from myx_kit.logging import get_logger
from myx_kit.secretbox import SecretBox, header_of

log = get_logger()


class Resealing:
    """Any number of replicas may do it at once: a value is replaced only where it still is what was read."""

    def __init__(self, store: SealedStore, box: SecretBox) -> None:
        self._store = store
        self._box = box

    async def counts(self) -> Mapping[str, Counter[str]]:
        """Key id to table to the number of values that are sealed with it."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for one in SEALED_COLUMNS:
            for key_id, count in (await self._store.counts(one)).items():
                counts[key_id][one.table] += count
        return dict(counts)

    def is_needed(self) -> bool:
        """False with a single key: what one that is not in the file has sealed nobody can open."""
        return len(self._box.key_ids) > 1

    async def turn(self) -> int:
        """As `run`; when the database goes away meanwhile something is left."""
        try:
            return await self.run()
        except Unavailable as error:
            log.warning("resealing_broke_off", reason=error.reason)
            return 1

    async def run(self) -> int:
        """How many values are left; those that cannot be opened are logged at error, one by one."""
        primary = self._box.primary
        done = left = 0
        for one in SEALED_COLUMNS:
            changed, stays = await self._store.reseal(one, header_of(primary), partial(self._again, one))
            done, left = done + changed, left + stays
            await asyncio.sleep(0)
        if done or left:
            log.info("resealing_ended", primary=primary, done=done, left=left)
        return left

    def _again(self, one: SealedColumn, row: str, value: bytes) -> bytes | None:
        try:
            plain = self._box.open(value, table=one.place, column=one.column, row=row)
        except Internal as error:
            log.error("resealing_failed", table=one.table, column=one.column, row=row, reason=error.reason)
            return None
        return self._box.seal(plain, table=one.place, column=one.column, row=row)
