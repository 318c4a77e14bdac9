"""After a rotation of the master key: what is sealed with another key than the primary one is sealed again."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import partial

from myx_executor.store.sealed import SEALED_COLUMNS, SealedColumn, SealedStore
from myx_kit.errors import FailedPrecondition, Internal, Unavailable
from myx_kit.logging import get_logger
from myx_kit.secretbox import SecretBox, header_of

log = get_logger()

# Also when nothing is left: another replica may have sealed with the old key until it too had looked at the file.
_AGAIN_S = 600.0
# What is left was changed by somebody for a moment, or is damaged and stays so: the pauses double.
_LEFT_AGAIN_S = 1.0


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


class KeyWatch:
    """Takes a changed master key file while running, and seals all again when another key became primary."""

    def __init__(self, box: SecretBox, resealing: Resealing) -> None:
        self._box = box
        self._resealing = resealing
        self._complaint = ""
        self._sealed_for = ""
        self._due_at = 0.0
        self._pause_s = _LEFT_AGAIN_S

    async def run_once(self) -> None:
        """Looks at the file; seals again if there is anything to do. A bad file leaves the keys in force."""
        self._look()
        primary = self._box.primary
        if primary != self._sealed_for:
            self._sealed_for, self._due_at, self._pause_s = primary, 0.0, _LEFT_AGAIN_S
        # What a key that is not in the file has sealed nobody can open.
        if len(self._box.key_ids) == 1 or time.monotonic() < self._due_at:
            return
        try:
            left = await self._resealing.run()
        except Unavailable as error:
            log.warning("resealing_broke_off", reason=error.reason)
            left = 1
        self._due_at = time.monotonic() + (self._pause_s if left else _AGAIN_S)
        self._pause_s = min(self._pause_s * 2, _AGAIN_S) if left else _LEFT_AGAIN_S

    def _look(self) -> None:
        try:
            changed = self._box.reload()
        except FailedPrecondition as error:
            if error.message != self._complaint:
                self._complaint = error.message
                log.error("master_keys_not_taken", reason=error.reason, message=error.message)
            return
        self._complaint = ""
        if changed:
            log.info("master_keys_taken", primary=self._box.primary, ids=sorted(self._box.key_ids))
