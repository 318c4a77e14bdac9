"""Reading the whole trail: to check it, and to hand it out."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from myx_gateway.chain import Check, Fault, Head
from myx_gateway.store.audit import AuditStore, Ends


@dataclass(frozen=True)
class Verdict:
    """What a check has found; `head` is the last entry that was right, `count` how many were, from the first kept."""

    count: int
    head: Head
    sealed: Head
    fault: Fault | None


async def verify(store: AuditStore, expected: Head | None = None) -> Verdict:
    """Check the chain as it stands now. Unavailable."""
    while True:
        ends = await store.ends()
        check = Check(ends.sealed, expected)
        await _read(store, ends, check)
        if check.fault is None or (await store.ends()).sealed == ends.sealed:
            return Verdict(check.count, check.head, ends.sealed, check.fault)
        # Retention took away what was being read.


async def _read(store: AuditStore, ends: Ends, check: Check) -> None:
    # Behind the head too, as far as there was something when the head was read: nothing may be there.
    async for batch in store.entries(through=max(ends.last_seq, ends.head.seq)):
        for document in batch:
            if not check.add(document):
                return
    check.end(ends.head)


async def export(store: AuditStore, after: int) -> AsyncIterator[bytes]:
    """The trail behind the entry `after` as JSON lines, a batch at a time; the last line is the head and the count.

    A trail without its last line was cut off on the way.
    """
    ends = await store.ends()
    count = 0
    async for batch in store.entries(through=ends.head.seq, after=after):
        count += len(batch)
        yield "".join(f"{json.dumps(document)}\n" for document in batch).encode()
    head = {"head": {"seq": ends.head.seq, "hash": ends.head.hash}, "count": count}
    yield f"{json.dumps(head)}\n".encode()
