"""Following the log of one command or deployment to its true end, across every loss of the connection."""

import json
import os
import time
from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple, Protocol

from myx_cli.api import Client, segment
from myx_cli.errors import ApiError, Failure, Unreachable
from myx_cli.nouns import COMMAND, Noun
from myx_cli.output import Bytes, note
from myx_cli.websocket import BINARY, TEXT, Closed, Message, WebSocket

STREAMS = {1: "stdout", 2: "stderr"}
_HEADER = Struct(">BQ")  # stream, offset of the first byte (CONTRACTS: log stream)
_HEADER_BYTES = 9
_FIRST_DELAY_S = 0.1
_LAST_DELAY_S = 2.0
_SILENT_TROUBLE_S = 2.0
# Close codes that say that something is wrong rather than away: tried again for a short time only.
FAULTS = frozenset({1002, 1007, 1009, 1011})
FAULT_S = 5.0


class Sink(Protocol):
    """Where the output of one command goes."""

    def data(self, stream: int, offset: int, parts: list[Bytes]) -> None:
        """Bytes of stream 1 (stdout) or 2 (stderr), the first one at `offset`. Valid during the call only."""

    def gap(self, start: int, end: int, reason: str) -> None:
        """The log has no bytes from `start` up to `end`."""


class Patience:
    """How long to try again: pauses of 0.1 s growing to 2 s, until `limit_s` has passed without progress."""

    def __init__(
        self,
        limit_s: float,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit_s = limit_s
        self._sleep = sleep
        self._clock = clock
        self._since: float | None = None
        self._delay_s = _FIRST_DELAY_S
        self._told = False

    def progress(self) -> None:
        """All is well; the next trouble gets the full time."""
        if self._told:
            note("connected again")
        self._since, self._delay_s, self._told = None, _FIRST_DELAY_S, False

    def pause(self, cause: str, limit_s: float) -> bool:
        """Waits before the next try. False when `limit_s` has passed since the last progress."""
        now = self._clock()
        self._since = now if self._since is None else self._since
        left = limit_s - (now - self._since)
        if left <= 0:
            return False
        if not self._told and now - self._since >= _SILENT_TROUBLE_S:
            self._told = True
            note(f"{cause}; trying again for up to {left:.0f} s more")
        self._sleep(min(left, self._delay_s * (0.75 + os.urandom(1)[0] / 510)))
        self._delay_s = min(_LAST_DELAY_S, self._delay_s * 2)
        return True


class End(NamedTuple):
    """How a log ended: the offset behind its last byte and, unless only a part was asked for, whose log it was."""

    offset: int
    document: dict[str, Any] | None


class Follower:
    """Reads the log of the command (or what `noun` says) `id_` from `offset` into `sink`."""

    def __init__(
        self,
        client: Client,
        id_: str,
        sink: Sink,
        patience: Patience,
        offset: int = 0,
        *,
        noun: Noun = COMMAND,
        silent: Callable[[], object] | None = None,
    ) -> None:
        """`silent` is called when MyX says that there is nothing to say, every 15 s."""
        self._silent = silent
        self._client = client
        self._id = id_
        self._noun = noun
        self._sink = sink
        self._patience = patience
        self.offset = offset
        self._end: End | None = None

    def run(self, until: int | None = None) -> End:
        """Follows until its end, or until the log is read up to `until`.

        A connection that is lost is opened again behind the last byte that was written. Failure when MyX declines or
        stays away longer than the patience lasts.
        """
        while True:
            if until is not None and self.offset >= until:
                return End(self.offset, None)
            cause, limit_s = self._follow_once(until)
            if self._end is not None:
                return self._end
            if not self._patience.pause(cause, limit_s):
                raise Failure(
                    f"{cause}, for {limit_s:.0f} s; the {self._noun.word} goes on and its output is kept: "
                    f"{self._noun.follow} {self._id} --offset {self.offset}"
                )

    def _follow_once(self, until: int | None) -> tuple[str, float]:
        """Follows one connection; why it ended, and for how long to try again."""
        limit_s = self._patience.limit_s
        try:
            socket = WebSocket(self._client, f"{self._noun.path}/{segment(self._id)}/log/stream?offset={self.offset}")
        except Unreachable as error:
            if error.permanent:
                raise
            return error.message, limit_s
        except ApiError as error:
            if not error.temporary:
                raise
            return error.message, limit_s
        try:
            while self._end is None and (until is None or self.offset < until):
                self._take(socket.receive())
                self._patience.progress()
        except Closed as closed:
            cause = f"MyX closed the log stream ({closed.reason or closed.code})"
            return cause, min(limit_s, FAULT_S) if closed.code in FAULTS else limit_s
        finally:
            socket.close()
        return "", limit_s

    def _take(self, messages: list[Message]) -> None:
        """Hands messages on; runs of the same stream together, so that many short lines are one write."""
        run: list[Bytes] = []
        run_stream, run_offset = 0, self.offset
        for kind, data in messages:
            if kind == BINARY and len(data) > _HEADER_BYTES:
                stream, offset = _HEADER.unpack_from(data)
                payload = data[_HEADER_BYTES:]
                if stream != run_stream or offset != self.offset:
                    self._flush(run_stream, run_offset, run)
                    payload = self._new_part(offset, payload)
                    run, run_stream, run_offset = [], stream, self.offset
                run.append(payload)
                self.offset += len(payload)
            elif kind == TEXT:
                self._flush(run_stream, run_offset, run)
                run, run_stream = [], 0
                self._event(data)
        self._flush(run_stream, run_offset, run)

    def _new_part(self, offset: int, payload: memoryview) -> memoryview:
        """What of a frame was not written before; bytes that were skipped without a word are a gap."""
        if offset > self.offset:
            self._sink.gap(self.offset, offset, "not sent by MyX")
            self.offset = offset
        return payload[self.offset - offset :]

    def _flush(self, stream: int, offset: int, run: list[Bytes]) -> None:
        if stream in STREAMS and any(run):
            self._sink.data(stream, offset, run)

    def _event(self, data: memoryview) -> None:
        try:
            event = json.loads(bytes(data))
            kind = event["type"]
            if kind == "gap":
                start, end = max(int(event["from"]), self.offset), int(event["to"])
                if end > start:
                    self._sink.gap(start, end, str(event.get("reason") or "unknown"))
                    self.offset = end
            elif kind == "final":
                self._final(event)
            elif kind == "ping" and self._silent is not None:
                self._silent()
        except (ValueError, KeyError, TypeError):
            raise Failure("the log stream holds what is not MyX's; is the address right?") from None

    def _final(self, event: dict[str, Any]) -> None:
        end, document = int(event["offset"]), event[self._noun.word]
        if not isinstance(document, dict):
            raise TypeError
        if end > self.offset:
            self._sink.gap(self.offset, end, "not sent by MyX")
            self.offset = end
        self._end = End(end, document)
