"""The partitions of `command_log`: a day of commands each, made ahead, dropped whole.

Dropping and attaching lock the whole table for a moment. They wait for that at most LOCK_TIMEOUT_MS, because all reads
and writes queue up behind them meanwhile, and are tried again at the next turn. (DETACH CONCURRENTLY is not to be had
beside a default partition.)
"""

import re
from dataclasses import replace
from uuid import UUID

from psycopg.errors import CheckViolation, DuplicateTable, UndefinedTable
from psycopg.sql import SQL, Identifier, Literal

from myx_executor.domain.retention import Partition
from myx_executor.store.pool import Pool
from myx_kit.errors import Unavailable

LOCK_TIMEOUT_MS = 500
# Attaching looks through the default partition under its lock.
_LIMIT_MS = 5_000
# What is counted exactly; of more a sample is taken.
_SAMPLE_BYTES = 64 << 20
# Row, index entry and what a large value costs beside its bytes.
_ROW_BYTES = 150

_DEFAULT = "command_log_default"
_PARTIAL = "rows were deleted"
_SCHEMA = Identifier("executor")
_LOG = SQL(".").join((_SCHEMA, Identifier("command_log")))
_BOUNDS = re.compile(r"FOR VALUES FROM \((?:'([0-9a-f-]{36})'|MINVALUE)\) TO \((?:'([0-9a-f-]{36})'|MAXVALUE)\)")

_LIST = """
select c.relname, pg_get_expr(c.relpartbound, c.oid), coalesce(pg_total_relation_size(c.oid), 0),
  obj_description(c.oid, 'pg_class')
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'executor.command_log'::regclass"""

_DEFAULT_ENDS = """
select (select command_id from executor.command_log_default order by command_id limit 1),
  (select command_id from executor.command_log_default order by command_id desc limit 1)"""

_COUNT = """
select coalesce(sum(coalesce(octet_length(data), 0) + %(row)s)::bigint, 0)
from executor.command_log tablesample system (%(percent)s)
where command_id >= %(lower)s and command_id < %(upper)s"""

_COUNT_DEFAULT = """
select coalesce(sum(coalesce(octet_length(data), 0) + %(row)s)::bigint, 0)
from executor.command_log_default tablesample system (%(percent)s)"""

_HEAP = "select coalesce(pg_relation_size(to_regclass('executor.' || quote_ident(%(name)s))), 0)"


class LogPartitions:
    """Lists, makes and drops partitions; one replica at a time does (RetentionStore.lease)."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def all(self) -> list[Partition]:
        """Oldest first, the default one last; its bounds are those of the rows that it has."""
        first, last = (await self._pool.rows(_DEFAULT_ENDS))[0]
        upper = UUID(int=0) if last is None else UUID(int=last.int + 1)
        found = [_partition(*row) for row in await self._pool.rows(_LIST)]
        found = [replace(one, lower=first or UUID(int=0), upper=upper) if one.is_default else one for one in found]
        return sorted(found, key=lambda one: (one.is_default, one.lower or UUID(int=0)))

    async def add(self, partition: Partition) -> bool:
        """Makes a partition. False: it is there already, or the default one has rows of that range and keeps them.

        Unavailable when the lock is not had in time.
        """
        table = SQL(".").join((_SCHEMA, Identifier(partition.name)))
        make = SQL("create table {} (like {} including all)").format(table, _LOG)
        attach = SQL("alter table {} attach partition {} for values from ({}) to ({})").format(
            _LOG, table, Literal(str(partition.lower)), Literal(str(partition.upper))
        )
        try:
            await self._pool.change_tables(make, attach, lock_timeout_ms=LOCK_TIMEOUT_MS, limit_ms=_LIMIT_MS)
        except (DuplicateTable, CheckViolation):
            return False
        return True

    async def drop(self, partition: Partition) -> bool:
        """Removes a partition with all its rows. False: it is the default one, or the lock was not had in time."""
        if partition.is_default:
            return False
        table = SQL(".").join((_SCHEMA, Identifier(partition.name)))
        try:
            drop = SQL("drop table {}").format(table)
            await self._pool.change_tables(drop, lock_timeout_ms=LOCK_TIMEOUT_MS, limit_ms=_LIMIT_MS)
        except Unavailable as error:
            if error.reason != "DATABASE_TIMEOUT":
                raise
            return False
        except UndefinedTable:
            pass
        return True

    async def mark_partial(self, partition: Partition) -> None:
        """Says that rows are deleted from it; before the first one is."""
        table = SQL(".").join((_SCHEMA, Identifier(partition.name)))
        comment = SQL("comment on table {} is {}").format(table, Literal(_PARTIAL))
        # Nobody waits behind this lock; long enough that a vacuum gives way.
        await self._pool.change_tables(comment, lock_timeout_ms=_LIMIT_MS, limit_ms=_LIMIT_MS)

    async def stored_bytes(self, partition: Partition) -> int:
        """Bytes of the rows that it holds: its size, or when rows were deleted, counted (above 64 MiB of heap from a
        sample: what was deleted is free space in its files until it is dropped)."""
        if not (partition.is_partial or partition.is_default):
            return partition.size_bytes
        heap = (await self._pool.rows(_HEAP, {"name": partition.name}))[0][0]
        percent = min(100.0, 100.0 * _SAMPLE_BYTES / heap) if heap else 100.0
        values = {"row": _ROW_BYTES, "percent": percent}
        if partition.is_default:
            rows = await self._pool.rows(_COUNT_DEFAULT, values)
        else:
            lower, upper = partition.lower or UUID(int=0), partition.upper or UUID(int=(1 << 128) - 1)
            rows = await self._pool.rows(_COUNT, values | {"lower": lower, "upper": upper})
        return int(rows[0][0] * 100.0 / percent)


def _partition(name: str, bounds: str, size: int, comment: str | None) -> Partition:
    if name == _DEFAULT or bounds == "DEFAULT":
        return Partition(name, None, None, size, is_default=True, is_partial=True)
    found = _BOUNDS.fullmatch(bounds)
    if found is None:
        raise ValueError(f"{name} has bounds that are not ours: {bounds}")
    lower, upper = (UUID(text) if text else None for text in found.groups())
    return Partition(name, lower, upper, size, is_partial=comment == _PARTIAL)
