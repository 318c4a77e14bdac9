"""Traces after W3C Trace Context: where this task stands in one, and spans for what it does.

Without an address to send spans to nothing is recorded and `span()` costs a comparison; a `traceparent` that came in
is passed on all the same. What is recorded are names, ids and statuses, never arguments, variables, output, statements.
"""

import importlib
import re
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Final, Protocol, Self, cast

from myx_kit.errors import FailedPrecondition, MyxError

HEADER: Final = "traceparent"
Value = str | int | float | bool

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a trace: a span that others can be children of. Ids in lower-case hex."""

    trace_id: str
    span_id: str
    is_sampled: bool

    @property
    def traceparent(self) -> str:
        """As the header says it."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"


class Kind(Enum):
    """What a span is of."""

    SERVER = "server"
    CLIENT = "client"
    INTERNAL = "internal"


class OpenSpan(Protocol):
    """A span that is being recorded."""

    @property
    def place(self) -> Place:
        """What its children are told."""
        ...

    def set(self, name: str, value: Value) -> None:
        """Add an attribute."""
        ...

    def rename(self, name: str) -> None:
        """A better name than it began with."""
        ...

    def end(self, error: str) -> None:
        """The work is over; `error` names what went wrong, empty: nothing."""
        ...


class Recorder(Protocol):
    """Where spans go."""

    def begin(self, name: str, kind: Kind, parent: Place | None, attributes: dict[str, Value]) -> OpenSpan:
        """A span that begins now."""
        ...

    def close(self) -> None:
        """Send what is left; takes at most some seconds."""
        ...


_place: ContextVar[Place | None] = ContextVar("myx_trace_place", default=None)


class _Sink:
    """The process' one recorder."""

    recorder: Recorder | None = None


def start(recorder: Recorder) -> Callable[[], None]:
    """Record spans from now on; what is returned ends it and closes the recorder."""
    _Sink.recorder = recorder

    def stop() -> None:
        if _Sink.recorder is recorder:
            _Sink.recorder = None
        recorder.close()

    return stop


def start_otlp(service: str, endpoint: str, share: float) -> Callable[[], None]:
    """As `start`, with spans sent to `endpoint` by OTLP over HTTP; `share` of the traces that begin here are recorded.

    FailedPrecondition `TRACING_NOT_INSTALLED` when the libraries are not there: they are an extra of myx-kit.
    """
    try:
        otlp = importlib.import_module("myx_kit.otlp")
    except ImportError:
        message = "tracing needs OpenTelemetry: pip install 'myx-kit[tracing]'"
        raise FailedPrecondition("TRACING_NOT_INSTALLED", message) from None
    return start(cast(Recorder, otlp.OtlpRecorder(service, endpoint, share)))


def is_recording() -> bool:
    """Whether spans are recorded at all."""
    return _Sink.recorder is not None


def current() -> Place | None:
    """Where this task stands."""
    return _place.get()


def traceparent() -> str:
    """The header for calls of this task; empty: it is in no trace."""
    place = _place.get()
    return "" if place is None else place.traceparent


def parse(header: str) -> Place | None:
    """The place that a header names; None for one that is none."""
    found = _TRACEPARENT.fullmatch(header)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return Place(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def enter(header: str) -> Place | None:
    """This task works within the trace that `header` names from now on (no longer in any, when it names none)."""
    place = parse(header) if header else None
    _place.set(place)
    return place


class Span:
    """A context manager; nothing is recorded by this one itself."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def set(self, name: str, value: Value) -> None:
        """Add an attribute: an id, a name, a status; never what a user wrote or a program answered."""

    def rename(self, name: str) -> None:
        """A better name than it began with; names are few, ids are attributes."""

    def fail(self, reason: str) -> None:
        """It went wrong, for this reason (a constant name)."""


_NOTHING: Final = Span()


class _Recorded(Span):
    def __init__(self, open_span: OpenSpan) -> None:
        self._span = open_span
        self._token: Token[Place | None] | None = None
        self._error = ""

    def __enter__(self) -> Self:
        self._token = _place.set(self._span.place)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _place.reset(self._token)
        if error is not None and not self._error:
            self._error = error.reason if isinstance(error, MyxError) else type(error).__name__
        self._span.end(self._error)

    def set(self, name: str, value: Value) -> None:
        self._span.set(name, value)

    def rename(self, name: str) -> None:
        self._span.rename(name)

    def fail(self, reason: str) -> None:
        self._error = reason


def span(name: str, kind: Kind = Kind.INTERNAL, *, begins: bool = False, **attributes: Value) -> Span:
    """A span around a block: `with span("deliver", command_id=…) as one:`; its children are what is called inside.

    Outside of any trace there is none, unless it `begins` one: what the services do by themselves makes no traces.
    In names of attributes two underscores stand for a dot.
    """
    recorder = _Sink.recorder
    if recorder is None:
        return _NOTHING
    parent = _place.get()
    if parent is None and not begins:
        return _NOTHING
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return _Recorded(recorder.begin(name, kind, parent, named))
