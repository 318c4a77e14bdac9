"""What a task works for: the request and the trace. Both go into its log lines and along with its calls.

Tasks hand it on to those that they start. Work that a service does by itself has none.
"""

import re
import secrets
from contextvars import ContextVar
from typing import Final

import structlog

from myx_kit import tracing

# Metadata of gRPC; the public API says X-Request-Id.
REQUEST_ID_KEY: Final = "myx-request-id"

_request_id: ContextVar[str] = ContextVar("myx_request_id", default="")
_GOOD_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
Pairs = tuple[tuple[str, str], ...]


def enter(request_id: str, traceparent: str) -> None:
    """This task works for this request (empty: for none) within this trace from now on."""
    good_id = request_id if _GOOD_ID.fullmatch(request_id) else ""
    place = tracing.enter(traceparent)
    _request_id.set(good_id)
    structlog.contextvars.clear_contextvars()
    known = {"request_id": good_id, "trace_id": "" if place is None else place.trace_id}
    structlog.contextvars.bind_contextvars(**{name: value for name, value in known.items() if value})


def note(**facts: str) -> None:
    """Every line of this task, and of those that it starts, has these facts from now on: `note(command_id=…)`."""
    structlog.contextvars.bind_contextvars(**facts)


def note_trace() -> None:
    """After a span that began a trace was entered: every line says which."""
    place = tracing.current()
    if place is not None:
        structlog.contextvars.bind_contextvars(trace_id=place.trace_id)


def request_id() -> str:
    """The id of the request that this task works for; empty: none."""
    return _request_id.get()


def choose_request_id(proposed: str) -> str:
    """The caller's own id if it is one that can stand in a log, else a new one."""
    return proposed if _GOOD_ID.fullmatch(proposed) else secrets.token_hex(8)


def outgoing() -> Pairs:
    """What a call of this task tells the service that it calls, as metadata of gRPC."""
    own_id, header = _request_id.get(), tracing.traceparent()
    pairs: Pairs = ()
    if own_id:
        pairs = ((REQUEST_ID_KEY, own_id),)
    return (*pairs, (tracing.HEADER, header)) if header else pairs
