"""The chain of the audit trail: how an entry is hashed, and how a chain of them is checked. No network, no database."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

# What stands before the first entry.
GENESIS: Final = "0" * 64
# The operation of the entry that says which older entries were dropped.
SEAL: Final = "audit.seal"


class Result(StrEnum):
    """What became of an operation."""

    # It was done.
    OK = "ok"
    # It was not done: no right, wrong arguments, wrong state, wrong password.
    REFUSED = "refused"
    # It ended with a fault; that a part was done cannot be ruled out.
    FAILED = "failed"
    # It was begun, and what became of it cannot be known: the gateway died meanwhile, or no answer came in time.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Head:
    """An entry by its number and its hash; all entries up to it follow from the hash."""

    seq: int
    hash: str


START: Final = Head(0, GENESIS)


def time_text(at: datetime) -> str:
    """A time as it is hashed: UTC with microseconds, always six digits."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def digest(document: Mapping[str, Any]) -> str:
    """The hash of an entry: SHA-256 over its JSON without `hash`, keys sorted, no spaces, all but ASCII escaped."""
    hashed = {name: value for name, value in document.items() if name != "hash"}
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def linked(document: Mapping[str, Any], before: Head) -> dict[str, Any]:
    """An entry as the one that follows `before`."""
    entry = {**document, "seq": before.seq + 1, "prev_hash": before.hash}
    return {**entry, "hash": digest(entry)}


@dataclass(frozen=True)
class Fault:
    """The first place where a chain is not what it was."""

    seq: int
    problem: str


class Check:
    """Checks a chain, entry by entry in order of their numbers; the first fault stays.

    `sealed`: the last entry that was dropped by retention; an entry of the chain must say so.
    `expected`: a head that somebody has kept elsewhere; without one a tail that was cut off together with the head on
    record, or a chain that was made anew from some entry on, cannot be told from the truth.
    """

    def __init__(self, sealed: Head = START, expected: Head | None = None) -> None:
        self._sealed = sealed
        self._seal_seen = sealed == START
        self._expected = expected
        self._expected_seen = expected is None or expected == sealed
        self.count = 0
        self.head = sealed
        self.fault: Fault | None = None

    def add(self, document: Mapping[str, Any]) -> bool:
        """Check the next entry; False when there is a fault, and then nothing more need be read."""
        self.fault = self.fault or self._fault_of(document)
        if self.fault is None:
            self.count += 1
            self.head = Head(document["seq"], document["hash"])
            self._look_for_seal(document)
        return self.fault is None

    def end(self, recorded: Head) -> None:
        """All was read; `recorded` is the head on record."""
        self.fault = self.fault or self._fault_at_end(recorded)

    def _fault_of(self, document: Mapping[str, Any]) -> Fault | None:
        seq = self.head.seq + 1
        if document["seq"] < seq:
            return Fault(document["seq"], f"entry {document['seq']} does not belong there")
        if document["seq"] > seq:
            return Fault(seq, f"entry {seq} is missing")
        if document["hash"] != digest(document):
            return Fault(seq, f"entry {seq} is not what was hashed")
        if document["prev_hash"] != self.head.hash:
            return Fault(seq, f"entry {seq} does not follow the one before it")
        if self._expected is not None and self._expected.seq == seq:
            self._expected_seen = self._expected.hash == document["hash"]
            if not self._expected_seen:
                return Fault(seq, f"entry {seq} is not the one that was expected: it or one before it was made anew")
        return None

    def _look_for_seal(self, document: Mapping[str, Any]) -> None:
        if not self._seal_seen and document["operation"] == SEAL:
            details = document["details"]
            self._seal_seen = (details.get("through"), details.get("hash")) == (self._sealed.seq, self._sealed.hash)

    def _fault_at_end(self, recorded: Head) -> Fault | None:
        after = self.head.seq + 1
        if recorded.seq > self.head.seq:
            return Fault(after, f"entry {after} is missing: the head on record is {recorded.seq}")
        if recorded != self.head:
            seq = recorded.seq
            return Fault(seq + (seq < self.head.seq), f"the head on record is another entry {seq}, or was forgotten")
        if not self._expected_seen:
            return Fault(after, self._missing_expected())
        if not self._seal_seen:
            seq = self._sealed.seq
            return Fault(seq, f"no entry says that the entries up to {seq} were dropped")
        return None

    def _missing_expected(self) -> str:
        expected = self._expected
        assert expected is not None  # noqa: S101 - else it would count as seen
        if expected.seq < self._sealed.seq:
            return f"entry {expected.seq} is expected, but was dropped: the chain begins behind {self._sealed.seq}"
        return f"the chain ends at {self.head.seq}, entry {expected.seq} is expected"
