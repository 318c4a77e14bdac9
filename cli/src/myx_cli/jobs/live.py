"""A job on a terminal: a picture that is drawn anew while it runs."""

import threading
import time
from collections import Counter

from myx_cli.api import Document
from myx_cli.errors import OutputError
from myx_cli.jobs.cells import inert
from myx_cli.jobs.picture import Facts, Running, picture
from myx_cli.jobs.terminal import Terminal
from myx_cli.output import Bytes, note
from myx_cli.text import clean
from myx_cli.times import parse_time

_TICK_S = 0.1
_IDLE_TICKS = 10
_TAIL_BYTES = 2048
_ROWS_MOST = 500


class LiveWatcher:
    """Keeps what there is to show; a thread of its own draws it ten times a second at most."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._job: Document = {}
        self._statuses: dict[int, str] = {}
        self._running: dict[int, str] = {}
        self._tails: dict[int, bytes] = {}
        self._changed = True
        self._begin = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="display", daemon=True)
        self._broken: Exception | None = None

    def start(self) -> None:
        """Begins to draw."""
        self._thread.start()

    def stop(self) -> None:
        """Takes the picture away. What broke the drawing is raised: BrokenPipeError, OutputError."""
        self._over.set()
        self._thread.join(5)
        if self._broken is not None:
            raise self._broken
        self._terminal.clear()

    def job(self, job: Document) -> None:
        """Remembers."""
        with self._lock:
            self._job, self._changed = job, True

    def target(self, target: Document) -> None:
        """Remembers those that run."""
        number = int(target["number"])
        with self._lock:
            self._changed = True
            self._statuses[number] = str(target.get("status"))
            if target.get("status") == "running":
                self._running[number] = inert(clean(target.get("server_name")))
            else:
                self._running.pop(number, None)
                self._tails.pop(number, None)

    def data(self, target: Document, _stream: int, _offset: int, parts: list[Bytes]) -> None:
        """Remembers the end of what was written."""
        number = int(target["number"])
        if number not in self._running:
            return
        tail = b"".join(part[-_TAIL_BYTES:] for part in parts[-_TAIL_BYTES:])
        with self._lock:
            self._tails[number] = (self._tails.get(number, b"") + tail)[-_TAIL_BYTES:]
            self._changed = True

    def gap(self, target: Document, start: int, end: int, reason: str) -> None:
        """A picture has no place for it; the summary has."""

    def target_ended(self, target: Document) -> None:
        """Its state was told."""

    def end(self) -> None:
        """The summary follows."""

    def _draw(self) -> None:
        idle = _IDLE_TICKS
        try:
            while not self._over.wait(_TICK_S):
                idle += 1
                if self._changed or idle >= _IDLE_TICKS:
                    idle = 0
                    terminal = self._terminal
                    terminal.draw(picture(self._facts(), terminal.size(), terminal.glyphs, terminal.style))
        except (OSError, OutputError) as error:
            self._broken = error
        except Exception as error:  # noqa: BLE001 (the edge of a thread: a fault of the display must not end the job's run)
            note(f"the display has a fault ({type(error).__name__}); the job goes on without it")

    def _facts(self) -> Facts:
        with self._lock:
            self._changed = False
            job = self._job
            if len(self._statuses) == job.get("target_count"):
                # Newer than what the job tells: the one message may be a moment behind the other.
                job = {**job, "counts": Counter(self._statuses.values())}
            numbers = sorted(self._running)
            shown = [(self._running[number], self._tails.get(number, b"")) for number in numbers[:_ROWS_MOST]]
        running = [Running(name, last_line(tail)) for name, tail in shown]
        return Facts(job, running, len(numbers), self._elapsed_s(job))

    def _elapsed_s(self, job: Document) -> float:
        begin = parse_time(job.get("started_at") or job.get("created_at"))
        own = time.monotonic() - self._begin
        # Clocks differ: a job that was only just started is as old as we are.
        return max(own, time.time() - begin) if begin is not None and time.time() - begin > own + 5 else own


def last_line(tail: bytes) -> str:
    """The last line with something in it, finished or not."""
    for line in reversed(tail.replace(b"\r\n", b"\n").split(b"\n")):
        text = inert(line.decode("utf-8", "replace")).strip()
        if text:
            return text
    return ""
