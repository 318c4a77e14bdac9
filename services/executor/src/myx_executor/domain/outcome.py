"""From the agent's result to the end of a command, and the verdict on its log."""

import hashlib
import signal as signals
from datetime import datetime

from myx_executor.domain.command import AgentResult, Completeness, Outcome, RowKind, StreamCount
from myx_executor.domain.log import STDERR, STDOUT, Piece, unpack_segments
from myx_executor.domain.states import Status
from myx_executor.domain.text import clean

_SIGNAL_BASE = 128
# What columns and protos hold; an agent that says more is not believed.
_LARGEST = (1 << 63) - 1
_SMALL = 1 << 31
_EARLIEST_YEAR, _LATEST_YEAR = 1970, 9998

_BY_REASON = {
    "timeout": Status.TIMEOUT,
    "no_output_timeout": Status.TIMEOUT,
    "cancelled": Status.CANCELLED,
    "spawn_failed": Status.FAILED,
    "signaled": Status.FAILED,
    "lost": Status.LOST,
    "unknown": Status.UNKNOWN,
}

_ENDED_BY_US = (Status.TIMEOUT, Status.CANCELLED)

_SENTENCES = {
    "timeout": "the time limit was reached",
    "no_output_timeout": "there was no output for longer than allowed",
    "cancelled": "cancelled on request",
    "spawn_failed": "the program could not be started",
    "lost": "it ran, but its outcome cannot be had: the host was restarted or its records are gone",
    "unknown": "it cannot be known whether it started; it is not run again",
}


class StreamHash:
    """Counts and hashes both streams of a log while it is stored."""

    def __init__(self) -> None:
        self._hashes = {STDOUT: hashlib.sha256(), STDERR: hashlib.sha256()}
        self._sizes = {STDOUT: 0, STDERR: 0}
        self._gaps = 0

    def update(self, piece: Piece) -> None:
        """Takes the next piece; pieces must come in order and without a hole."""
        if piece.gap_reason is not None:
            self._gaps += piece.length
            return
        view, position = memoryview(piece.data), 0
        for stream, length in unpack_segments(piece.segments):
            self._hashes[stream].update(view[position : position + length])
            self._sizes[stream] += length
            position += length

    @property
    def gap_bytes(self) -> int:
        """Bytes that are known to be missing."""
        return self._gaps

    def count(self, stream: int) -> StreamCount:
        """What was taken of one stream."""
        return StreamCount(self._sizes[stream], self._hashes[stream].hexdigest())


def never_sent(kind: RowKind) -> Outcome:
    """A cancel that was asked for before anything was sent: it is at once proved."""
    what = "begun" if kind is RowKind.DEPLOYMENT else "sent to the agent"
    return Outcome(Status.CANCELLED, "cancelled", f"cancelled before it was {what}")


def verdict(stored: StreamHash, result: AgentResult) -> Completeness:
    """COMPLETE only when bytes and SHA-256 of both streams are the agent's and nothing was dropped or left out."""
    if result.stdout is None or result.stderr is None:
        return Completeness.INCOMPLETE if result.reason == "lost" else Completeness.UNVERIFIED
    for stream, said in ((STDOUT, result.stdout), (STDERR, result.stderr)):
        have = stored.count(stream)
        if said.dropped or said.bytes != have.bytes:
            return Completeness.INCOMPLETE
        if not said.sha256:
            return Completeness.UNVERIFIED
        if said.sha256 != have.sha256:
            return Completeness.INCOMPLETE
    return Completeness.INCOMPLETE if stored.gap_bytes else Completeness.COMPLETE


def outcome_of(result: AgentResult, completeness: Completeness, *, overdue: str = "") -> Outcome:
    """The end of a command by its result. `overdue`: the limit that the agent let pass until the executor acted."""
    status = _BY_REASON.get(result.reason)
    reason = result.reason
    if status is None:
        status = Status.SUCCESS if result.success else Status.FAILED
    if status is Status.CANCELLED and overdue:
        status, reason = Status.TIMEOUT, overdue
    exit_code = _exit_code(result)
    if status is Status.SUCCESS:
        reason = message = ""
    elif reason in ("exited", ""):
        reason, message = "exit_code", f"the command ended with exit code {exit_code}"
    elif reason == "signaled":
        reason, message = "signal", f"the command was ended by {result.signal or 'a signal'}"
    else:
        message = result.message or _SENTENCES.get(reason, reason)
    if status in _ENDED_BY_US and not result.tree_gone:
        message += "; the agent could not prove that all its processes are gone"
    return Outcome(
        status=status,
        reason=reason,
        message=message,
        exit_code=exit_code,
        signal=result.signal,
        started_at=result.started_at,
        ended_at=result.ended_at,
        completeness=completeness,
        result=result,
        evidence=_evidence(result, exit_code),
    )


def _evidence(result: AgentResult, exit_code: int | None) -> str:
    said = [f"the agent's result: {result.reason or 'no reason'}"]
    if exit_code is not None:
        said.append(f"exit code {exit_code}")
    if result.signal:
        said.append(f"signal {result.signal}")
    said.append("its processes are proved gone" if result.tree_gone else "not proved that its processes are gone")
    return ", ".join(said)


def _exit_code(result: AgentResult) -> int | None:
    code = result.return_code
    if code is not None and code < 0:
        return _SIGNAL_BASE - code
    if code is None and result.signal in signals.Signals.__members__:
        return _SIGNAL_BASE + signals.Signals[result.signal]
    return code


def result_from_wire(wire: dict[str, object]) -> AgentResult:
    """The agent's `result` object read leniently: what is missing or of a wrong type counts as not said."""
    return AgentResult(
        success=wire.get("success") is True,
        return_code=_exit_number(wire.get("return_code")),
        signal=_text(wire.get("signal")),
        reason=_text(wire.get("reason")),
        message=_text(wire.get("message")),
        started_at=_time(wire.get("started_at")),
        ended_at=_time(wire.get("ended_at")),
        stdout=_count(wire.get("stdout")),
        stderr=_count(wire.get("stderr")),
        tree_gone=wire.get("tree_gone") is True,
    )


def _exit_number(value: object) -> int | None:
    code = _integer(value)
    return code if code is not None and -_SMALL <= code < _SMALL else None


def _count(value: object) -> StreamCount | None:
    if not isinstance(value, dict):
        return None
    size = _integer(value.get("bytes"))
    if size is None:
        return None
    return StreamCount(size, _text(value.get("sha256")), _integer(value.get("dropped")) or 0)


def _integer(value: object) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST
    return value if isinstance(value, int) and fits else None


def _text(value: object) -> str:
    return clean(value) if isinstance(value, str) else ""


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo and _EARLIEST_YEAR <= parsed.year <= _LATEST_YEAR else None
