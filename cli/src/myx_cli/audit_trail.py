"""Exports of the audit trail: whether one is whole, and whether its entries are what they were (docs/audit.md)."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from myx_cli.api import Document
from myx_cli.errors import Failure
from myx_cli.places import expanded
from myx_cli.text import clean

_GENESIS = "0" * 64


class Ending:
    """Looks at the last line of an export while it passes by."""

    def __init__(self) -> None:
        self._last = b""
        self.count = 0
        self.head = ""

    def take(self, data: bytes) -> None:
        """More of it."""
        lines = (self._last + data).split(b"\n")
        # The last line is whole when nothing stands behind its end.
        self._last = b"\n".join(lines[-2:])

    def check(self) -> None:
        """Failure: it broke off."""
        try:
            told = json.loads(self._last)
            self.count, head = int(told["count"]), told["head"]
            self.head = f"{head['seq']}:{head['hash']}"
        except (ValueError, KeyError, TypeError):
            raise Failure("the export broke off: it is not complete") from None


def check_export(path: str, expected: Document | None) -> Document:
    """What MyX says of its own trail, of an export: whether each entry follows from the one before it."""
    found = _Check(expected)
    for document in _documents(path):
        if not found.add(document):
            break
    return found.verdict()


def _documents(path: str) -> Iterator[Any]:
    try:
        with expanded(path).open("rb") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:
                    yield None
    except OSError as error:
        raise Failure(f"{clean(path)} cannot be read: {error.strerror or 'unreadable'}") from None


class _Check:
    def __init__(self, expected: Document | None) -> None:
        self._expected = expected
        self._met = expected is None
        self._seq: int | None = None
        self._hash = _GENESIS
        self._first = 0
        self._count = 0
        self._ended = False
        self._bad: int | None = None
        self._problem = ""

    def add(self, document: Any) -> bool:
        """The next line; whether all is right so far."""
        if not isinstance(document, dict) or self._ended:
            return self._fail(None, "there is a line that is no entry")
        if "head" in document:
            return self._end(document)
        seq = document.get("seq")
        if self._seq is None and isinstance(seq, int):
            self._seq, self._first = seq - 1, seq
            self._hash = _GENESIS if seq == 1 else str(document.get("prev_hash"))
        if self._seq is None or seq != self._seq + 1:
            return self._fail(seq, f"after entry {self._seq} comes {seq}: entries are missing, or in another order")
        if document.get("prev_hash") != self._hash or document.get("hash") != _digest(document):
            return self._fail(seq, "it is not what it was when it was written")
        self._seq, self._hash, self._count = seq, str(document["hash"]), self._count + 1
        if self._expected is not None and seq == self._expected["seq"]:
            self._met = self._hash == self._expected["hash"]
            if not self._met:
                return self._fail(seq, "it is another one than expected")
        return True

    def _end(self, document: Document) -> bool:
        head = document.get("head") or {}
        self._ended = True
        if self._count and (head.get("seq"), head.get("hash")) != (self._seq, self._hash):
            return self._fail(head.get("seq"), "entries are missing at the end")
        return document.get("count") == self._count or self._fail(None, "entries are missing")

    def _fail(self, seq: object, problem: str) -> bool:
        self._bad, self._problem = seq if isinstance(seq, int) else (self._seq or 0) + 1, problem
        return False

    def verdict(self) -> Document:
        """As the API says it."""
        if not self._problem and not self._ended:
            self._fail(None, "the export broke off")
        if not self._problem and not self._met:
            self._fail(None, "the expected entry is not in it")
        return {
            "ok": not self._problem,
            "count": self._count,
            "head_seq": self._seq or 0,
            "head_hash": self._hash,
            "sealed_through": max(0, self._first - 1),
            "bad_seq": self._bad,
            "problem": self._problem,
        }


def _digest(document: Document) -> str:
    """The hash of an entry: SHA-256 over its JSON without `hash`, keys sorted, no spaces, all but ASCII escaped."""
    hashed = {name: value for name, value in document.items() if name != "hash"}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
