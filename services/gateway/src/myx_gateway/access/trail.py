"""The audit trail as it is kept: an intent before the act, a chained entry after it, and nothing is lost in between.

A gateway that dies between the two leaves its intents; another one (or the same, started again) makes entries with the
result `unknown` of them, once the lease of the dead one has run out.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from myx_gateway.access.audit import MOST_TARGETS, NOBODY, Entry
from myx_gateway.access.audit_details import bounded, details_of
from myx_gateway.access.batches import Batches
from myx_gateway.access.names import id_in
from myx_gateway.access.principal import Principal
from myx_gateway.chain import SEAL, Head, Result, time_text
from myx_gateway.observed import AUDIT_ENTRIES
from myx_gateway.problems import status_of
from myx_gateway.store.audit import AuditStore, Intent
from myx_kit.errors import MyxError, Unavailable
from myx_kit.ids import new_id
from myx_kit.logging import get_logger
from myx_kit.loops import TaskOwner

log = get_logger()

# How long an act waits for its intent to be on record.
_BEGIN_S: Final = 5.0
# How long an answer waits for its entry; after that it is made later.
_END_S: Final = 2.0
_RETRY_S: Final = 1.0
# Acts that wait for their intents, and refused ones of which it is not known whether the intent is on record.
_MOST_WAITING: Final = 2000
# The bound of the setting.
LONGEST_LEASE_S: Final = 300.0


class Trail:
    """An Auditor (access/audit.py) on PostgreSQL."""

    def __init__(self, store: AuditStore, lease: "Lease", owner: TaskOwner) -> None:
        self._store = store
        self._lease = lease
        self._intents = Batches("audit-intents", owner, self._record, _MOST_WAITING)
        self._entries = Batches("audit-entries", owner, self._conclude)
        self._doubtful = 0

    async def close(self, timeout_s: float) -> None:
        """Wait until the entries of all that has ended are made, at most `timeout_s`; then the process has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._entries.drained()
                await self._lease.leave()

    @asynccontextmanager
    async def entry(
        self,
        *,
        operation: str,
        principal: Principal | None,
        address: str,
        request_id: str,
        path_params: Mapping[str, str],
        body: object = None,
    ) -> AsyncIterator[Entry]:
        """The entry of a call, for as long as the call lasts. Unavailable `AUDIT_UNAVAILABLE`: it must not be done."""
        entry = Entry(
            operation,
            principal.name if principal else NOBODY,
            via=principal.via if principal else "",
            address=address,
            request_id=request_id,
            resource=next((value for name, value in path_params.items() if name != "server"), ""),
            details=details_of(operation, body),
        )
        entry.targets = _targets(entry, path_params)
        record = _Record(entry)
        await self._begin(record)
        try:
            yield entry
        except Exception as error:
            _settle(entry, error)
            await self._end(record)
            raise
        except BaseException as error:
            # Cancelled: there is no time to wait.
            _settle(entry, error)
            self._entries.put(record)
            raise
        entry.status = entry.status or 200
        await self._end(record)

    async def _begin(self, record: "_Record") -> None:
        try:
            async with asyncio.timeout(_BEGIN_S):
                await asyncio.shield(self._intents.put(record))
        except BaseException as error:
            self._leave(record)
            if isinstance(error, MyxError | TimeoutError):
                raise Unavailable("AUDIT_UNAVAILABLE", "the audit trail cannot be written: nothing was done") from error
            raise

    def _leave(self, record: "_Record") -> None:
        """Nothing is done. The intent may be on record, or get there: then there is an entry that says so."""
        record.entry.result(503, "AUDIT_UNAVAILABLE")
        record.is_left = True
        if self._doubtful < _MOST_WAITING:
            self._doubtful += 1
            self._entries.put(record)

    async def _end(self, record: "_Record") -> None:
        await asyncio.wait({self._entries.put(record)}, timeout=_END_S)

    async def _record(self, records: Sequence["_Record"]) -> None:
        wanted = [record for record in records if not record.is_left]
        if wanted:
            await self._lease.ensure()
            await self._store.intend(self._lease.process_id, [record.intent() for record in wanted])

    async def _conclude(self, records: Sequence["_Record"]) -> None:
        """Chain entries, trying until the database takes them."""
        while True:
            try:
                chained = await self._store.conclude([record.concluded() for record in records])
            except MyxError as error:
                log.warning("audit_waits", entries=len(records), reason=error.reason)
                await asyncio.sleep(_RETRY_S)
            except Exception:
                if len(records) == 1:
                    # Its intent stays, and becomes an entry of its own when this process has ended.
                    raise
                for record in records:
                    with suppress(Exception):
                        await self._conclude([record])
                return
            else:
                AUDIT_ENTRIES.inc(chained)
                break
        left = sum(record.is_left for record in records)
        self._doubtful -= left
        missing = sum(record.entry.is_kept and not record.is_left for record in records) - chained
        if missing > 0:
            # After a commit whose answer was lost, or because somebody took this process for dead.
            log.warning("audit_entries_were_there", entries=missing)


class _Record:
    """An entry on its way."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.is_left = False
        self._id = str(new_id())
        self._at = time_text(datetime.now(UTC))

    def intent(self) -> Intent:
        return Intent(self._id, self._document(Result.UNKNOWN))

    def concluded(self) -> Intent:
        return Intent(self._id, self._document(_result(self.entry.status)), self.entry.is_kept)

    def _document(self, result: Result) -> dict[str, Any]:
        entry = self.entry
        return {
            "at": self._at,
            "principal": bounded(entry.principal, 255),
            "via": bounded(entry.via, 255),
            "address": bounded(entry.address, 64),
            "operation": entry.operation,
            "targets": _told(entry),
            "resource": bounded(entry.resource, 255),
            "request_id": bounded(entry.request_id, 64),
            "result": result.value,
            "status": entry.status,
            "reason": bounded(entry.reason, 64),
            "details": entry.details,
        }


async def note(store: AuditStore, entry: Entry) -> None:
    """Chain an entry about what was done beside the door, on the machine itself. Unavailable."""
    await store.add(_Record(entry).concluded().document)


def _targets(entry: Entry, path_params: Mapping[str, str]) -> list[str]:
    """The servers that a request names, and the user that it makes; the handler adds those that it finds."""
    # The body is as it was sent, whatever should be in it.
    servers = entry.details.get("servers")
    named = [path_params.get("server"), entry.details.get("server"), *(servers if isinstance(servers, list) else ())]
    if entry.operation in {"servers.create", "users.create"}:
        named.append(entry.details.get("name"))
    return list(dict.fromkeys(name for name in named if isinstance(name, str) and name))


def _told(entry: Entry) -> list[str]:
    """The targets as they are kept. Where there is no room for all, ids go first: they stay what they are."""
    targets = entry.targets
    if len(targets) > MOST_TARGETS:
        targets = sorted(targets, key=lambda one: id_in(one) is None)[:MOST_TARGETS]
    shown = [bounded(target, 255) for target in targets]
    more = entry.more_targets + len(entry.targets) - len(targets)
    return [*shown, f"and {more} more"] if more else shown


def _settle(entry: Entry, error: BaseException) -> None:
    """What an error says, where the caller has not said it."""
    if entry.status:
        return
    if isinstance(error, MyxError):
        entry.result(status_of(error), error.reason)
    elif isinstance(error, Exception):
        entry.result(500, "INTERNAL")
    else:
        # The caller was cancelled in the middle: the client has left, or the process is stopping.
        entry.result(0, "ABANDONED")


def _result(status: int) -> Result:
    if status in {0, 504}:
        return Result.UNKNOWN
    if status >= 500:
        return Result.FAILED
    return Result.OK if status < 400 else Result.REFUSED


class Lease:
    """Keeps this process alive on record, and makes the entries of those that are not."""

    def __init__(self, store: AuditStore, lease_s: float) -> None:
        self.process_id = str(new_id())
        self._store = store
        self._lease_s = lease_s
        self._renewed_at: float | None = None

    @property
    def interval_s(self) -> float:
        """How often `run_once` should be called."""
        return self._lease_s / 4

    async def ensure(self) -> None:
        """Renew it if it may have run out. Unavailable."""
        if self._renewed_at is None or time.monotonic() - self._renewed_at > self._lease_s / 2:
            await self._renew()

    async def run_once(self) -> int:
        """Renew, then sweep; how many entries were made. Unavailable."""
        before = self._renewed_at
        now = await self._renew()
        if before is None or now - before > self._lease_s / 2:
            # The database was away, or we were: give the others the time to renew theirs.
            return 0
        total = 0
        while made := await self._store.conclude_dead(LONGEST_LEASE_S, _lost):
            log.warning("audit_entries_of_dead_gateways", entries=made)
            total += made
        return total

    async def leave(self) -> None:
        """The process ends; what it has not concluded by now is swept. Unavailable."""
        await self._store.leave(self.process_id)

    async def _renew(self) -> float:
        # As it was before the call: the lease began no earlier.
        now = time.monotonic()
        await self._store.renew(self.process_id, self._lease_s)
        self._renewed_at = now
        return now


def _lost(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**document, "result": Result.UNKNOWN.value, "status": 0, "reason": "GATEWAY_DIED"}


class Retention:
    """Drops old entries, so that the chain of the rest can still be checked."""

    def __init__(self, store: AuditStore, keep_days: float) -> None:
        self._store = store
        self._keep = timedelta(days=keep_days)

    async def run_once(self) -> int:
        """Drop what is older; how many. Unavailable."""
        total, before = 0, datetime.now(UTC) - self._keep
        while dropped := await self._store.seal(before, self._seal):
            log.info("audit_entries_dropped", entries=dropped)
            total += dropped
        return total

    def _seal(self, last: Head, dropped: int) -> Mapping[str, Any]:
        entry = Entry(SEAL, "gateway", status=200)
        entry.details = {"through": last.seq, "hash": last.hash, "dropped": dropped}
        record = _Record(entry)
        return record.concluded().document
