"""Everything that is sealed: how much under which master key, and sealing it again, a stretch of a table at a time."""

# ruff: noqa: S608 - statements are put together from literals only (LiteralString)

from collections.abc import Callable
from dataclasses import dataclass
from typing import LiteralString

from myx_executor.store.pool import Pool

# Blocks of a table that one statement looks at, and values that it takes: one may have some megabytes.
_BLOCKS = 512
_VALUES = 16


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed values. They are bound to `place`, to the column's name and to the row's `key`."""

    table: LiteralString
    column: LiteralString
    place: LiteralString
    key: LiteralString = "id"


SEALED_COLUMNS = (
    SealedColumn("command", "sealed", "command"),
    SealedColumn("command", "sealed_request_digest", "command"),
    SealedColumn("job", "sealed", "job"),
    SealedColumn("job", "sealed_request_digest", "job"),
    SealedColumn("schedule", "sealed", "schedule"),
    SealedColumn("schedule", "sealed_request_digest", "schedule"),
    SealedColumn("schedule_fire", "sealed", "schedule", "schedule_id"),
)

# (key of the row, value) to the value sealed again; None: it is to stay.
Reseal = Callable[[str, bytes], bytes | None]


class SealedStore:
    """Reads and changes sealed values; a value that somebody else changed meanwhile is left alone."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def counts(self, one: SealedColumn) -> dict[str, int]:
        """Key id to the number of values of a column that are sealed with it."""
        key_id: LiteralString = (
            f"case when octet_length({one.column}) > 2"
            f" then substring({one.column} from 3 for get_byte({one.column}, 1)) else '' end"
        )
        rows = await self._pool.rows(
            f"select {key_id}, count(*) from executor.{one.table} where {one.column} is not null group by 1"
        )
        return {bytes(row[0]).decode("ascii", "replace"): row[1] for row in rows}

    async def reseal(self, one: SealedColumn, header: bytes, reseal: Reseal) -> tuple[int, int]:
        """Seals again what does not begin with `header`: how many values changed, and how many are left."""
        size = await self._pool.rows(
            f"select pg_relation_size('executor.{one.table}') / current_setting('block_size')::bigint"
        )
        changed = left = 0
        for first in range(0, size[0][0] + 1, _BLOCKS):
            stretch = {"first": f"({first},0)", "end": f"({first + _BLOCKS},0)", "header": header}
            passed: list[str] = []
            while True:
                values = await self._stale(one, {**stretch, "length": len(header), "passed": passed})
                for place, row, value in values:
                    again = reseal(row, value)
                    if again is not None and await self._replace(one, place, value, again):
                        changed += 1
                    else:
                        left += 1
                        passed.append(place)
                if len(values) < _VALUES:
                    break
        return changed, left

    async def _stale(self, one: SealedColumn, values: dict[str, object]) -> list[tuple[str, str, bytes]]:
        rows = await self._pool.rows(
            f"""
select ctid::text, {one.key}::text, {one.column} from executor.{one.table}
where ctid >= %(first)s::text::tid and ctid < %(end)s::text::tid and {one.column} is not null
  and substring({one.column} from 1 for %(length)s) <> %(header)s::bytea and ctid::text <> all(%(passed)s::text[])
limit {_VALUES}""",
            values,
        )
        return [(row[0], row[1], bytes(row[2])) for row in rows]

    async def _replace(self, one: SealedColumn, place: str, old: bytes, new: bytes) -> bool:
        return bool(
            await self._pool.count(
                f"update executor.{one.table} set {one.column} = %(new)s::bytea"
                f" where ctid = %(place)s::text::tid and {one.column} = %(old)s::bytea",
                {"place": place, "old": old, "new": new},
            )
        )
