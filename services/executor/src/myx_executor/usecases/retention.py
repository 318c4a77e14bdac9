"""Retention: makes partitions ahead, removes old logs and old history, in small steps by one replica at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from myx_executor.domain.retention import (
    PATIENCE_S,
    SLACK,
    YOUNG_LOG_S,
    YOUNG_ROW_S,
    Kept,
    Partition,
    Policy,
    id_bound,
    missing_days,
)
from myx_executor.store.log_partitions import LogPartitions
from myx_executor.store.retention import FIRST, LogCutoff, RetentionStore
from myx_executor.usecases.metrics import LOG_STORED, PARTITIONS_DROPPED, PURGED_LOGS, REMOVED_HISTORY
from myx_kit.errors import Unavailable
from myx_kit.logging import get_logger

log = get_logger()

CHORE = "retention"
# Longer than any statement may take; a replica that is silent for this long is replaced.
LEASE_S = 120.0

_BATCH = 500
# Of one log; each may have 256 KiB in 130 rows of its own.
_ROWS = 250
# A log that has no more than this goes together with others.
_SMALL_BYTES = 16 * 1024
# Of history with all that belongs to it: a deployment has up to 20,000 events.
_ROWS_OF = {"commands": 500, "deployments": 20, "jobs": 5}


class LeaseGone(Exception):
    """Another replica does it now."""


@dataclass(slots=True)
class Removed:
    """What one turn removed."""

    logs: int = 0
    log_bytes: int = 0
    partitions: list[str] = field(default_factory=list)
    history: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.logs or self.partitions or any(self.history.values()))


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class Retention:
    """`run_once` does what is due; any number of replicas may call it, one of them works.

    `rest_s`: for how long afterwards no other replica does it.
    """

    def __init__(
        self,
        store: RetentionStore,
        partitions: LogPartitions,
        policy: Policy,
        owner: str,
        *,
        rest_s: float = 0.0,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._partitions = partitions
        self._policy = policy
        self._owner = owner
        self._rest_s = rest_s
        self._now = now

    async def run_once(self) -> Removed | None:
        """What was removed; None when another replica has the lease."""
        removed = Removed()
        try:
            await self._stay()
            await self._make_partitions()
            await self._finish_pending(removed)
            await self._old_logs(removed)
            await self._logs_beyond_bytes(removed)
            for kind, kept in self._kinds():
                await self._history(kind, kept, removed)
            await self._fires(self._policy.fires, removed)
        except LeaseGone:
            return None
        finally:
            self._tell(removed)
        await self._store.lease(CHORE, self._owner, self._rest_s)
        return removed

    def _kinds(self) -> list[tuple[str, Kept]]:
        # Jobs first: what they refer to may go with them.
        policy = self._policy
        return [("jobs", policy.jobs), ("deployments", policy.deployments), ("commands", policy.commands)]

    def _tell(self, removed: Removed) -> None:
        if not removed:
            return
        PURGED_LOGS.inc(removed.logs)
        PARTITIONS_DROPPED.inc(len(removed.partitions))
        for kind, count in removed.history.items():
            REMOVED_HISTORY.labels(kind).inc(count)
        log.info(
            "retention_removed",
            logs=removed.logs,
            log_bytes=removed.log_bytes,
            partitions=removed.partitions,
            **removed.history,
        )

    async def _stay(self) -> None:
        """Before every step: the lease is still ours."""
        if not await self._store.lease(CHORE, self._owner, LEASE_S):
            raise LeaseGone

    async def _make_partitions(self) -> None:
        for partition in missing_days(self._now(), await self._partitions.all()):
            try:
                if not await self._partitions.add(partition):
                    log.info("log_partition_not_made", partition=partition.name, why="the default one has its rows")
            except Unavailable as error:
                # There are two weeks of them and the default one: the next turn will do.
                log.warning("log_partition_postponed", partition=partition.name, reason=error.reason)
                return

    async def _finish_pending(self, removed: Removed) -> int:
        """Deletes the rows of all logs that are marked as gone; their bytes."""
        freed = 0
        while pending := await self._store.pending(_BATCH):
            await self._mark_partial([command_id for command_id, _ in pending])
            small = [command_id for command_id, size in pending if size <= _SMALL_BYTES]
            if small:
                await self._stay()
                freed += await self._store.delete_whole(small)
                await self._store.clear_pending(small)
            for command_id, size in pending:
                if size > _SMALL_BYTES:
                    freed += await self._delete_rows(command_id)
        removed.log_bytes += freed
        return freed

    async def _mark_partial(self, command_ids: Sequence[UUID]) -> None:
        for partition in await self._partitions.all():
            if not partition.is_partial and any(partition.holds(command_id) for command_id in command_ids):
                await self._partitions.mark_partial(partition)

    async def _delete_rows(self, command_id: UUID) -> int:
        freed, rows = 0, _ROWS
        while rows == _ROWS:
            await self._stay()
            rows, size = await self._store.delete_rows(command_id, _ROWS)
            freed += size
        await self._store.clear_pending([command_id])
        return freed

    async def _old_logs(self, removed: Removed) -> None:
        cutoff = LogCutoff(self._before(self._policy.command_log_days), self._before(self._policy.deployment_log_days))
        ends = [end for end in (cutoff.commands, cutoff.deployments) if end is not None]
        if not ends:
            return
        end = max(ends)
        for partition in await self._partitions.all():
            if partition.ended_before(end) and await self._drop(partition, cutoff, removed):
                continue
            if partition.is_day and not partition.ended_before(end - timedelta(seconds=PATIENCE_S)):
                continue
            await self._mark_and_delete(partition, cutoff, removed)

    async def _drop(self, partition: Partition, cutoff: LogCutoff, removed: Removed) -> bool:
        """Drops a partition of which nothing is to be kept; the readers of its logs are told first."""
        await self._stay()
        # Of a day that is not over new commands come.
        if partition.is_default or not partition.ended_before(self._now() - timedelta(seconds=YOUNG_LOG_S)):
            return False
        if await self._store.has_keepers(partition, cutoff):
            return False
        after: UUID | None = _before_first(partition)
        while after is not None:
            await self._stay()
            marked = await self._store.mark_logs(partition, cutoff, after, pending=False, limit=_BATCH)
            removed.logs += marked.count
            after = marked.last
        if not await self._partitions.drop(partition):
            log.warning("log_partition_drop_postponed", partition=partition.name, why="its lock was not had in time")
            return True
        await self._store.clear_pending_of(partition)
        removed.partitions.append(partition.name)
        removed.log_bytes += partition.size_bytes
        return True

    async def _mark_and_delete(
        self, partition: Partition, cutoff: LogCutoff, removed: Removed, need: int = 1 << 62
    ) -> int:
        """Deletes the oldest logs of a partition that may go, about `need` bytes; the bytes that went."""
        freed, after = 0, _before_first(partition)
        while freed < need:
            await self._stay()
            most = max(need - freed, 1)
            marked = await self._store.mark_logs(partition, cutoff, after, pending=True, limit=_BATCH, most=most)
            if marked.last is None:
                break
            after = marked.last
            removed.logs += marked.count
            freed += await self._finish_pending(removed)
        return freed

    async def _logs_beyond_bytes(self, removed: Removed) -> None:
        partitions = await self._partitions.all()
        sizes = {one.name: await self._partitions.stored_bytes(one) for one in partitions}
        total, limit = sum(sizes.values()), self._policy.log_bytes
        LOG_STORED.set(total)
        if not limit or total <= limit:
            return
        need = total - int(limit * (1 - SLACK))
        before = self._now() - timedelta(seconds=YOUNG_LOG_S)
        cutoff = LogCutoff(before, before)
        for partition in sorted(partitions, key=lambda one: (not one.is_default, one.lower or FIRST)):
            if need <= 0:
                break
            size = sizes[partition.name]
            if size <= need and await self._drop(partition, cutoff, removed):
                need -= size
                continue
            need -= await self._mark_and_delete(partition, cutoff, removed, need)
        LOG_STORED.set(int(limit * (1 - SLACK)) + need)
        if need > int(limit * SLACK):
            log.warning(
                "logs_beyond_limit", limit_bytes=limit, beyond_bytes=need - int(limit * SLACK), why="all is open"
            )

    async def _history(self, kind: str, kept: Kept, removed: Removed) -> None:
        before = self._before(kept.days)
        if before is not None:
            await self._remove(kind, id_bound(before), before, removed)
        if kept.rows:
            upto = await self._store.nth_newest(kind, kept.rows)
            if upto is not None:
                await self._remove(kind, upto, self._now() - timedelta(seconds=YOUNG_ROW_S), removed)

    async def _fires(self, kept: Kept, removed: Removed) -> None:
        before = self._before(kept.days)
        wishes = [] if before is None else [(before, 1)]
        if kept.rows:
            wishes.append((self._now() - timedelta(seconds=YOUNG_ROW_S), kept.rows))
        for before, rows in wishes:
            count = _BATCH
            while count == _BATCH:
                await self._stay()
                count = await self._store.delete_fires(before, rows, _BATCH)
                removed.history["fires"] = removed.history.get("fires", 0) + count

    async def _remove(self, kind: str, upto: UUID, before: datetime, removed: Removed) -> None:
        after, limit = FIRST, _ROWS_OF[kind]
        while True:
            await self._stay()
            ids = await self._store.old(kind, after, upto, before, limit)
            if not ids:
                return
            if kind != "jobs":
                removed.logs += await self._store.mark_these(ids)
                await self._finish_pending(removed)
            count = await self._store.delete(kind, ids)
            removed.history[kind] = removed.history.get(kind, 0) + count
            after = ids[-1]

    def _before(self, days: float) -> datetime | None:
        return self._now() - timedelta(days=days) if days else None


def _before_first(partition: Partition) -> UUID:
    lower = partition.lower or FIRST
    return UUID(int=lower.int - 1) if lower.int else FIRST
