"""Every statement about the audit trail. The clock of leases is the database's."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from myx_gateway.chain import Head, Result, linked, time_text
from myx_gateway.models.audit import audit_entry, audit_head, audit_intent, audit_process
from myx_kit.db.unit_of_work import UnitOfWork

# Rows of one read, and of one turn of the sweep.
_BATCH = 500
_SEALED_AT_ONCE = 20_000
_FIRST = -(1 << 63)

DocumentOf = Callable[[Mapping[str, Any]], Mapping[str, Any]]
SealOf = Callable[[Head, int], Mapping[str, Any]]

_COLUMNS = audit_entry.c
_LOCK = sa.select(audit_head).with_for_update()
_ENDS = sa.select(audit_head, sa.select(sa.func.max(_COLUMNS.seq)).scalar_subquery().label("last_seq"))
_RENEW = sa.text(
    """
    insert into gateway.audit_process (id, lease_until) values (:id, now() + make_interval(secs => :lease_s))
    on conflict (id) do update set lease_until = excluded.lease_until
    """
)
# A lease that ends later than one that is given now could was given before the clock was set back: it does not hold.
_DEAD = sa.text(
    """
    select id from gateway.audit_intent
    where process_id not in (
      select id from gateway.audit_process
      where lease_until between now() and now() + make_interval(secs => :longest_s))
    order by id limit :batch
    """
)
# A command passes here twice: one statement for each way, and JSON, which costs less to make than many parameters.
_INTEND = sa.text(
    """
    insert into gateway.audit_intent (id, process_id, document)
    select id, process_id, document from jsonb_to_recordset(cast(:rows as jsonb))
      as rows (id text, process_id text, document jsonb)
    """
)
_TAKE = sa.text(
    """
    with head as materialized (select seq, hash from gateway.audit_head for update),
    taken as (delete from gateway.audit_intent where id = any(:ids) and exists (select from head) returning id)
    select seq, hash, array(select id from taken) as taken from head
    """
)
_ADD = sa.text(
    """
    with added as (
      insert into gateway.audit_entry
      select * from jsonb_populate_recordset(null::gateway.audit_entry, cast(:rows as jsonb)))
    update gateway.audit_head set seq = :seq, hash = :hash
    """
)
_FORGET = sa.text("delete from gateway.audit_process where lease_until < now() - interval '1 day'")


@dataclass(frozen=True)
class Intent:
    """What a process is about to do."""

    # UUIDv7, so that what was begun first is first.
    id: str
    document: Mapping[str, Any]
    # Else it is dropped without an entry when it is concluded.
    is_kept: bool = True


@dataclass(frozen=True)
class Filter:
    """Which entries are wanted; empty: all."""

    principal: str = ""
    operation: str = ""
    # Servers by what callers called them, or resources; one of these.
    targets: Sequence[str] = ()
    result: Result | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Ends:
    """Between which heads the chain lies that is kept."""

    head: Head
    sealed: Head
    # The greatest number of any entry: that of the head, unless somebody has been at the tables.
    last_seq: int


class AuditStore:
    """The trail in PostgreSQL."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def renew(self, process_id: str, lease_s: float) -> None:
        """Have a process live for `lease_s` from now on."""
        async with self._uow.begin() as connection:
            await connection.execute(_RENEW, {"id": process_id, "lease_s": lease_s})

    async def leave(self, process_id: str) -> None:
        """A process has ended."""
        async with self._uow.begin() as connection:
            await connection.execute(sa.delete(audit_process).where(audit_process.c.id == process_id))

    async def intend(self, process_id: str, intents: Sequence[Intent]) -> None:
        """Record intents."""
        rows = [{"id": one.id, "process_id": process_id, "document": one.document} for one in intents]
        async with self._uow.begin() as connection:
            await connection.execute(_INTEND, {"rows": json.dumps(rows)})

    async def conclude(self, entries: Sequence[Intent]) -> int:
        """Chain the entries of intents, and drop the intents; how many were chained.

        One whose intent is gone has its entry already.
        """
        async with self._uow.begin() as connection:
            row = (await connection.execute(_TAKE, {"ids": [one.id for one in entries]})).one()
            documents = [one.document for one in entries if one.is_kept and one.id in row.taken]
            await _chain(connection, Head(row.seq, row.hash), documents)
            return len(documents)

    async def add(self, document: Mapping[str, Any]) -> None:
        """Chain an entry of what had no intent."""
        async with self._uow.begin() as connection:
            head, _ = await _locked(connection)
            await _chain(connection, head, [document])

    async def conclude_dead(self, longest_lease_s: float, document_of: DocumentOf) -> int:
        """Chain an entry for each intent of processes whose lease has run out; how many, at most a batch."""
        async with self._uow.begin() as connection:
            parameters = {"longest_s": longest_lease_s, "batch": _BATCH}
            dead = (await connection.execute(_DEAD, parameters)).scalars().all()
            if not dead:
                return 0
            head, _ = await _locked(connection)
            taken = sa.delete(audit_intent).where(audit_intent.c.id.in_(dead)).returning(audit_intent)
            rows = sorted((await connection.execute(taken)).all(), key=lambda row: str(row.id))
            await _chain(connection, head, [document_of(row.document) for row in rows])
            await connection.execute(_FORGET)
            return len(rows)

    async def seal(self, before: datetime, document_of: SealOf) -> int:
        """Drop the oldest entries, all before `before`, and chain the entry that says so; how many, at most a lot."""
        async with self._uow.begin() as connection:
            head, sealed = await _locked(connection)
            young = await connection.scalar(sa.select(sa.func.min(_COLUMNS.seq)).where(_COLUMNS.at >= before))
            beyond = head.seq + 1 if young is None else young
            through = min(beyond - 1, sealed.seq + _SEALED_AT_ONCE)
            hash_ = await connection.scalar(sa.select(_COLUMNS.hash).where(_COLUMNS.seq == through))
            if through <= sealed.seq or hash_ is None:
                return 0
            dropped = through - sealed.seq
            await _chain(connection, head, [document_of(Head(through, hash_), dropped)])
            await connection.execute(sa.update(audit_head).values(sealed_seq=through, sealed_hash=hash_))
            await connection.execute(sa.delete(audit_entry).where(_COLUMNS.seq <= through))
            return dropped

    async def page(self, wanted: Filter, below: int | None, size: int) -> list[dict[str, Any]]:
        """Entries, newest first, all before the number `below`."""
        query = sa.select(audit_entry).order_by(_COLUMNS.seq.desc()).limit(size).where(*_conditions(wanted))
        if below is not None:
            query = query.where(_COLUMNS.seq < below)
        async with self._uow.begin() as connection:
            return [_document(row) for row in (await connection.execute(query)).all()]

    async def ends(self) -> Ends:
        """Where the chain ends now."""
        async with self._uow.begin() as connection:
            row = (await connection.execute(_ENDS)).one()
            return Ends(*_heads(row), row.last_seq or row.sealed_seq)

    async def entries(self, through: int, after: int = _FIRST) -> AsyncIterator[list[dict[str, Any]]]:
        """Entries in batches, oldest first, with numbers in (after, through]; no transaction is open in between."""
        while True:
            query = sa.select(audit_entry).order_by(_COLUMNS.seq).limit(_BATCH)
            async with self._uow.begin() as connection:
                rows = (await connection.execute(query.where(_COLUMNS.seq > after, _COLUMNS.seq <= through))).all()
            if not rows:
                return
            yield [_document(row) for row in rows]
            after = rows[-1].seq


def _conditions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.principal:
        conditions.append(_COLUMNS.principal == wanted.principal)
    if wanted.operation:
        conditions.append(_COLUMNS.operation == wanted.operation)
    if wanted.targets:
        named = list(wanted.targets)
        conditions.append(_COLUMNS.targets.overlap(named) | _COLUMNS.resource.in_(named))
    if wanted.result is not None:
        conditions.append(_COLUMNS.result == wanted.result.value)
    if wanted.since is not None:
        conditions.append(_COLUMNS.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(_COLUMNS.at < wanted.until)
    return conditions


async def _locked(connection: AsyncConnection) -> tuple[Head, Head]:
    """The head and the last sealed entry; nobody else adds to the chain until the transaction ends."""
    return _heads((await connection.execute(_LOCK)).one())


def _heads(row: sa.Row[Any]) -> tuple[Head, Head]:
    return Head(row.seq, row.hash), Head(row.sealed_seq, row.sealed_hash)


async def _chain(connection: AsyncConnection, head: Head, documents: Sequence[Mapping[str, Any]]) -> None:
    """Add entries behind the head, which is locked."""
    if not documents:
        return
    rows = []
    for document in documents:
        entry = linked(document, head)
        head = Head(entry["seq"], entry["hash"])
        rows.append(entry)
    await connection.execute(_ADD, {"rows": json.dumps(rows), "seq": head.seq, "hash": head.hash})


def _document(row: sa.Row[Any]) -> dict[str, Any]:
    return {**row._mapping, "at": time_text(row.at)}  # noqa: SLF001 - the public way to a row's columns by name
