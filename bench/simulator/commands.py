"""A command that is played: its log, its end, and who waits for news of it."""

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.simulator.scripts import STDERR, STDOUT, Exit, Lines, Sleep, Step, Write

MAX_TEXT_BYTES = 64 * 1024
# What a real host takes to start a process; 0 plays at once.
SPAWN_S = 0.002
_TICK_S = 0.005
_EMPTY = hashlib.sha256().hexdigest()


class Ticker:
    """Wakes all commands that print at a rate, together, every few milliseconds while there are any."""

    def __init__(self) -> None:
        self._printing: set[Command] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, command: "Command") -> None:
        """From now on it is woken."""
        self._printing.add(command)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def remove(self, command: "Command") -> None:
        """No more."""
        self._printing.discard(command)

    def _tick(self) -> None:
        for command in list(self._printing):
            command.print_due()
        more = bool(self._printing)
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick) if more else None


class Command:
    """Plays its steps; `watchers` are called at each news of it."""

    __slots__ = (
        "_begun",
        "_line",
        "_lines",
        "_position",
        "_runs",
        "_started_at",
        "_steps",
        "_ticker",
        "_timers",
        "data",
        "digest",
        "id",
        "name",
        "result",
        "watchers",
    )

    def __init__(
        self,
        command_id: str,
        name: str,
        digest: str,
        steps: list[Step],
        ticker: Ticker,
    ) -> None:
        self.id = command_id
        self.name = name
        self.digest = digest
        self.data = bytearray()
        self.result: dict[str, Any] | None = None
        self.watchers: set[Callable[[], None]] = set()
        self._steps = steps
        self._position = 0
        self._runs: list[tuple[int, int]] = []  # (offset, stream), each other than the one before
        self._ticker = ticker
        self._started_at = time.time()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._lines: Lines | None = None
        self._begun = 0.0
        self._line = 0

    @property
    def size(self) -> int:
        """Bytes of the log so far."""
        return len(self.data)

    @property
    def started_at(self) -> str:
        """As the protocol writes times."""
        return _rfc3339(self._started_at)

    def start(self, timeout_s: float | None, no_output_timeout_s: float | None) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        if timeout_s:
            self._timers["limit"] = loop.call_later(timeout_s, self.end, None, "timeout")
        if no_output_timeout_s:
            self._watch_output(no_output_timeout_s, -1)
        self._timers["step"] = loop.call_later(SPAWN_S, self._go_on)

    def end(self, code: int | None, reason: str, message: str | None = None) -> None:
        """It ends now, with a code or by a signal."""
        if self.result is not None:
            return
        for timer in self._timers.values():
            timer.cancel()
        self._ticker.remove(self)
        signal = None if code is not None else "SIGTERM"
        streams = {name: bytes(self._stream(number)) for name, number in (("stdout", STDOUT), ("stderr", STDERR))}
        self.result = {
            "success": reason == "exited" and code == 0,
            "return_code": 143 if code is None else code,
            "signal": signal,
            "reason": reason,
            "message": message,
            "started_at": self.started_at,
            "ended_at": _rfc3339(time.time()),
            **{name: _count(data) for name, data in streams.items()},
            "tree_gone": True,
            "log_size": self.size,
        }
        for name, data in streams.items():
            if len(data) <= MAX_TEXT_BYTES:
                self.result[f"{name}_text"] = base64.b64encode(data).decode()
        self._tell()

    def read(self, offset: int, limit: int) -> tuple[int, bytes] | None:
        """(stream, bytes) of one stream's run from an offset on; None when there is nothing yet."""
        if offset >= len(self.data):
            return None
        number = len(self._runs) - 1
        while self._runs[number][0] > offset:
            number -= 1
        end = self._runs[number + 1][0] if number + 1 < len(self._runs) else len(self.data)
        return self._runs[number][1], bytes(self.data[offset : min(end, offset + limit)])

    def print_due(self) -> None:
        """Write the lines whose time has come."""
        lines = self._lines
        if lines is None:
            return
        due = min((time.monotonic() - self._begun) * lines.rate, lines.rate * lines.seconds)
        while self._line < due:
            text = b"%.6f line %d" % (time.time(), self._line)
            self._write(STDOUT, text.ljust(lines.length - 1, b".") + b"\n")
            self._line += 1
        if time.monotonic() - self._begun >= lines.seconds:
            self._lines = None
            self._ticker.remove(self)
            self._go_on()

    def _go_on(self) -> None:
        while self.result is None:
            step = self._steps[self._position]
            self._position += 1
            match step:
                case Write(stream, data):
                    self._write(stream, data)
                case Sleep(seconds):
                    self._timers["step"] = asyncio.get_running_loop().call_later(seconds, self._go_on)
                    return
                case Lines():
                    self._lines, self._begun, self._line = step, time.monotonic(), 0
                    self._ticker.add(self)
                    return
                case Exit(code, found):
                    message = None if found else "the command cannot be executed: No such file or directory"
                    self.end(code, "exited" if found else "spawn_failed", message)

    def _write(self, stream: int, data: bytes) -> None:
        if not self._runs or self._runs[-1][1] != stream:
            self._runs.append((len(self.data), stream))
        self.data += data
        self._tell()

    def _tell(self) -> None:
        for watcher in list(self.watchers):
            watcher()

    def _stream(self, wanted: int) -> bytearray:
        if [stream for _, stream in self._runs] == [wanted]:
            return self.data
        found = bytearray()
        for number, (offset, stream) in enumerate(self._runs):
            if stream == wanted:
                end = self._runs[number + 1][0] if number + 1 < len(self._runs) else len(self.data)
                found += self.data[offset:end]
        return found

    def _watch_output(self, limit_s: float, seen: int) -> None:
        if seen == self.size:
            self.end(None, "no_output_timeout")
        else:
            loop = asyncio.get_running_loop()
            self._timers["silence"] = loop.call_later(limit_s, self._watch_output, limit_s, self.size)


def _count(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest() if data else _EMPTY, "dropped": 0}


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
