"""Statements on everything that is sealed: what is under which master key, and sealing it again."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_registry.models import metadata

_PREFIX = "sealed_"
# Of a sealed value: version, length of the key id.
_KEY_ID_AT = 3


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table with sealed columns; a value's place is the column's name without `sealed_`."""

    name: str
    columns: tuple[str, ...]


SEALED_TABLES = tuple(
    SealedTable(table.name, columns)
    for table in sorted(metadata.tables.values(), key=lambda table: table.name)
    if (columns := tuple(column.name for column in table.columns if column.name.startswith(_PREFIX)))
)

# (row id, place of the column, sealed value) to the value sealed again, None when it is to stay.
Reseal = Callable[[UUID, str, bytes], bytes | None]


async def count_by_key(connection: AsyncConnection, sealed: SealedTable) -> Counter[str]:
    """Key id to the number of values in a table that are sealed with it."""
    counts: Counter[str] = Counter()
    table = _table(sealed)
    for name in sealed.columns:
        column = table.c[name]
        length = sa.case((sa.func.octet_length(column) >= _KEY_ID_AT, sa.func.get_byte(column, 1)), else_=0)
        key_id = sa.func.substring(column, _KEY_ID_AT, length, type_=sa.LargeBinary)
        query = sa.select(key_id, sa.func.count()).where(column.is_not(None)).group_by(key_id)
        for found, count in (await connection.execute(query)).all():
            counts[bytes(found).decode("ascii", "replace")] += count
    return counts


async def sample(connection: AsyncConnection, sealed: SealedTable) -> list[tuple[UUID, str, bytes]]:
    """(row id, place of the column, sealed value) of what one row of a table has; empty for an empty table."""
    table = _table(sealed)
    query = sa.select(table.c.id, *(table.c[name] for name in sealed.columns))
    has_any = sa.or_(*(table.c[name].is_not(None) for name in sealed.columns))
    row = (await connection.execute(query.where(has_any).limit(1))).first()
    if row is None:
        return []
    pairs = zip(sealed.columns, row[1:], strict=True)
    return [(row[0], name.removeprefix(_PREFIX), value) for name, value in pairs if value is not None]


async def reseal_batch(
    connection: AsyncConnection, sealed: SealedTable, header: bytes, reseal: Reseal, *, after: UUID | None, limit: int
) -> tuple[UUID | None, int]:
    """Seals up to `limit` rows after an id again, those with a value that does not begin with `header`.

    The last row's id, None when there was none, and the number of values that changed. Rows that somebody else holds
    are passed over: nobody waits, and nobody waits long for this.
    """
    table = _table(sealed)
    stale = sa.or_(
        *(sa.func.substring(table.c[name], 1, len(header), type_=sa.LargeBinary) != header for name in sealed.columns)
    )
    query = (
        sa.select(table.c.id, *(table.c[name] for name in sealed.columns))
        .where(stale, *(() if after is None else (table.c.id > after,)))
        .order_by(table.c.id)
        .limit(limit)
        .with_for_update(key_share=True, skip_locked=True)
    )
    rows = (await connection.execute(query)).all()
    changed = 0
    updates: list[dict[str, object]] = []
    for row in rows:
        values = dict(zip(sealed.columns, row[1:], strict=True))
        again = _resealed(row[0], values, header, reseal)
        if again:
            changed += len(again)
            updates.append({"row_id": row[0], **values, **again})
    if updates:
        values_of: dict[str, object] = {name: sa.bindparam(name) for name in sealed.columns}
        statement = sa.update(table).where(table.c.id == sa.bindparam("row_id")).values(**values_of)
        await connection.execute(statement, updates)
    return (rows[-1][0] if rows else None), changed


def _resealed(row_id: UUID, row: Mapping[str, bytes | None], header: bytes, reseal: Reseal) -> dict[str, bytes]:
    values: dict[str, bytes] = {}
    for name, value in row.items():
        if value is not None and not value.startswith(header):
            again = reseal(row_id, name.removeprefix(_PREFIX), value)
            if again is not None:
                values[name] = again
    return values


def _table(sealed: SealedTable) -> sa.Table:
    return metadata.tables[f"{metadata.schema}.{sealed.name}"]
