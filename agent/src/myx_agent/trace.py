"""The trace that a request belongs to, as its `traceparent` header says (W3C Trace Context): noted, nothing more."""

import re
from contextvars import ContextVar

shown_trace_id: ContextVar[str] = ContextVar("shown_trace_id", default="")

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def note_trace(header: bytes | None) -> None:
    """Take the trace's id from the header of the request at hand."""
    found = _TRACEPARENT.fullmatch(header or b"")
    shown_trace_id.set("" if found is None else found.group(1).decode())
