"""A play that runs: its output and events as they come, its end, and what must be gone afterwards."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from myx_executor.adapters.ansible_door import PlayDoor
from myx_executor.adapters.ansible_pipes import Pipe
from myx_executor.domain.ssh import PlayEnd, PlayEvent, PlayItem, PlayText
from myx_kit.agent_rpc.wire import clean_all, json_value
from myx_kit.logging import get_logger

log = get_logger()

_READ_BYTES = 64 * 1024
_MAX_EVENT = 256 * 1024
_MAX_SEQ = 1 << 31
# Of a play whose own is not known: what a killed process has.
_KILLED = 128 + signal.SIGKILL
# What run_play.py itself ends with at its time limit.
_TIMED_OUT = 124
_WAITING_ITEMS = 64
# Beyond the play's own limit, which it keeps itself.
_LIMIT_MARGIN_S = 60.0
_KILL_S = 5.0
_SILENT_GRACE_S = 10.0
_DRAIN_S = 5.0


class RunningPlay:
    """`async with` it or call close(): nothing of it is left then."""

    def __init__(self, work: Path, door: PlayDoor) -> None:
        self._work = work
        self._door = door
        self._queue: asyncio.Queue[PlayItem] = asyncio.Queue(_WAITING_ITEMS)
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._silent = False
        self._output_at = time.monotonic()
        self._recap: Mapping[str, Any] = {}

    async def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        document: bytes,
        timeout_s: float,
        no_output_timeout_s: float = 0.0,
    ) -> None:
        """Starts the process in a session of its own; the document goes to its standard input. A limit of 0 is none."""
        os.mkfifo(self._work / "events", 0o600)
        events = Pipe.open(str(self._work / "events"), os.O_RDONLY)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(environment),
                cwd=self._work,
                start_new_session=True,
            )
        except BaseException:
            events.close()
            raise
        limits = (timeout_s, no_output_timeout_s)
        self._task = asyncio.create_task(self._work_off(self._process, events, document, *limits))

    async def items(self) -> AsyncIterator[PlayItem]:
        """Output and events as they come, PlayEnd last; slow readers slow the play down."""
        while True:
            item = await self._queue.get()
            yield item
            if isinstance(item, PlayEnd):
                return

    async def cancel(self, grace_s: float = 10.0) -> None:
        """TERM, then KILL of the play and of what it had running on the host; items() ends with PlayEnd(cancelled)."""
        self._cancelled = True
        self._door.grace_s = grace_s
        await self._end(grace_s)

    async def close(self) -> None:
        """Kills what still runs and removes its folder."""
        await self._end(0)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._door.close()
        await asyncio.to_thread(shutil.rmtree, self._work, ignore_errors=True)

    async def __aenter__(self) -> "RunningPlay":
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.shield(self.close())

    async def _work_off(
        self, process: asyncio.subprocess.Process, events: Pipe, document: bytes, timeout_s: float, silence_s: float
    ) -> None:
        began, code = time.monotonic(), _KILLED
        try:
            code = await self._followed(process, events, document, timeout_s, silence_s)
            code = _TIMED_OUT if self._silent else code
        except Exception:
            log.exception("play_fault")
            await self._end(0)
        finally:
            try:
                await self._door.close()
            finally:
                duration = time.monotonic() - began
                lost, cancelled = self._door.lost, self._cancelled
                await self._tell(PlayEnd(code, self._recap, lost, cancelled, duration, self._silent))

    async def _tell(self, end: PlayEnd) -> None:
        # close() cancels, and nobody need read then: there is no waiting for room.
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            await self._queue.put(end)
            return
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(end)

    async def _followed(
        self, process: asyncio.subprocess.Process, events: Pipe, document: bytes, timeout_s: float, silence_s: float
    ) -> int:
        watch = asyncio.create_task(self._watch(timeout_s)) if timeout_s else None
        silence = asyncio.create_task(self._watch_silence(process, silence_s)) if silence_s else None
        feeder = asyncio.create_task(_feed(process, document))
        text = asyncio.gather(self._text("stdout", process.stdout), self._text("stderr", process.stderr))
        progress = asyncio.create_task(self._events(events))
        try:
            await text
            code = await process.wait()
            with suppress(TimeoutError, OSError):
                # Also where the play has never written: the last writer goes now.
                Pipe.open(str(self._work / "events"), os.O_WRONLY).close()
                async with asyncio.timeout(_DRAIN_S):
                    await progress
        finally:
            tasks = [task for task in (watch, silence, feeder, text, progress) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            events.close()
        return code

    async def _text(self, stream: str, reader: asyncio.StreamReader | None) -> None:
        while reader is not None and (data := await reader.read(_READ_BYTES)):
            await self._queue.put(PlayText(stream, data))
            self._output_at = time.monotonic()

    async def _events(self, pipe: Pipe) -> None:
        try:
            await self._read_events(pipe)
        except Exception:
            # Nobody reads what the play tells any more: it would wait for us.
            log.exception("play_events_fault")
            await self._end(0)

    async def _read_events(self, pipe: Pipe) -> None:
        rest = b""
        while data := await pipe.read(_READ_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[: _MAX_EVENT + 1]
            for line in lines:
                event = _event(line)
                if event is None:
                    continue
                if event["type"] == "recap" and isinstance(event.get("hosts"), dict):
                    self._recap = event["hosts"]
                await self._queue.put(PlayEvent(event))

    async def _watch(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s + _LIMIT_MARGIN_S)
        await self._end(0)

    async def _watch_silence(self, process: asyncio.subprocess.Process, limit_s: float) -> None:
        while (left_s := self._output_at + limit_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)
            if self._queue.full():
                # It may have much to say that nobody takes.
                self._output_at = time.monotonic()
        self._silent = process.returncode is None
        await self._end(_SILENT_GRACE_S)

    async def _end(self, grace_s: float) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        for number, patience in ((signal.SIGTERM, grace_s), (signal.SIGINT, _KILL_S)):
            if patience:
                _signal(process, number)
                if await self._gone(process, patience):
                    return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await self._gone(process, _KILL_S)

    @staticmethod
    async def _gone(process: asyncio.subprocess.Process, patience: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await process.wait()
                return True
        return False


async def _feed(process: asyncio.subprocess.Process, document: bytes) -> None:
    if process.stdin is None:
        return
    with suppress(ConnectionError):
        process.stdin.write(document)
        await process.stdin.drain()
    process.stdin.close()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


def _event(line: bytes) -> dict[str, Any] | None:
    """A play is not trusted: whatever is no event of a sensible size is dropped, and so are numbers none can have."""
    if not line or len(line) > _MAX_EVENT:
        return None
    try:
        event = clean_all(json_value(line))
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return None
    seq = event.get("seq")
    if not isinstance(seq, int) or not 0 < seq < _MAX_SEQ:
        event.pop("seq", None)
    return event
