"""One supervised process: started, waited for, started again when it dies, stopped."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from myx_standalone.errors import StandaloneError
from myx_standalone.logs import Logs

READY_FD = "MYX_READY_FD"
READY_WITHIN_S = 60.0
SLOW_WITHIN_S = 900.0  # of what says that it is still at it
TELL_EVERY_S = 15.0
POLL_S = 0.02
BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_AFTER_S = 30.0
KILL_WAIT_S = 2.0
WELL_EVERY_S = 10.0
UNWELL_TIMES = 3

Say = Callable[[str], None]


@dataclass(frozen=True)
class Service:
    """How a process is run.

    argv: its command line, asked for at each start. environment: all of it. descriptors: inherited as they are.
    is_ready: asked until it says yes; None for a process that writes READY to the descriptor named by MYX_READY_FD.
    is_coming: asked while it is not ready; as long as it says yes it may take up to SLOW_WITHIN_S.
    before_start: clears what a killed predecessor left.
    is_well: asked every WELL_EVERY_S; when it says no UNWELL_TIMES in a row, it is ended and started again.
    """

    name: str
    argv: Callable[[], list[str]]
    environment: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 2.0
    is_ready: Callable[[], bool] | None = None
    is_coming: Callable[[], bool] | None = None
    before_start: Callable[[], None] | None = None
    is_well: Callable[[], bool] | None = None
    descriptors: tuple[int, ...] = field(default=())


class Child:
    """A `Service` that runs. Owns the task that starts it again; `stop()` ends both.

    `say_slow` is told, every TELL_EVERY_S, what takes long without being stuck.
    """

    def __init__(self, service: Service, logs: Logs, say: Say, say_slow: Say | None = None) -> None:
        self.service, self.logs, self.say = service, logs, say
        self.say_slow = say_slow or say
        self.process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready. StandaloneError: it ended or was not ready in time."""
        if self.service.before_start is not None:
            await asyncio.to_thread(self.service.before_start)
        await self._spawn_until_ready()
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.service.name}")

    async def stop(self) -> None:
        """Ask it to stop, and kill it when it does not in time."""
        await self._stop_watching()
        if self.process is not None and self.process.returncode is None:
            await self._end(self.process)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        _signal(process, self.service.stop_signal)
        try:
            async with asyncio.timeout(self.service.stop_within_s):
                await process.wait()
        except TimeoutError:
            self.say(f"{self.service.name} did not stop within {self.service.stop_within_s:g} s and was killed")
            await self._kill()

    async def kill(self) -> None:
        """End it at once."""
        await self._stop_watching()
        await self._kill()

    def kill_now(self) -> None:
        """SIGKILL without waiting."""
        if self.process is not None and self.process.returncode is None:
            _signal(self.process, signal.SIGKILL)

    async def _kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            _signal(self.process, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILL_WAIT_S):
                    await self.process.wait()

    async def _stop_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None

    async def _watch(self) -> None:
        failures, started, name = 0, time.monotonic(), self.service.name
        ended: asyncio.subprocess.Process | None = None
        while self.process is not None:
            status = await self._ended(self.process)
            failures = 0 if time.monotonic() - started > STEADY_AFTER_S else failures + 1
            if self.process is not ended:  # otherwise there was no new one, which was said
                self.say(f"{name} {_ending(status)}; it is started again{self._where()}")
            ended = self.process
            await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
            started = time.monotonic()
            try:
                if self.service.before_start is not None:
                    await asyncio.to_thread(self.service.before_start)
                await self._spawn_until_ready()
            except StandaloneError as error:
                self.say(str(error).partition("; the end of ")[0])
                await self._kill()
            except Exception as error:  # noqa: BLE001 (the edge of a task: without it nobody would start this again)
                self.say(f"{name} cannot be started now, it is tried again: {error}")
                await self._kill()

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Its exit status, once it has ended; it is ended when it has not been well for long."""
        unwell, is_well = 0, self.service.is_well
        while is_well is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WELL_EVERY_S):
                    return await process.wait()
            unwell = 0 if await asyncio.to_thread(is_well) else unwell + 1
            if unwell == UNWELL_TIMES:
                self.say(f"{self.service.name} runs but does not work{self._where()}")
                await self._end(process)
        return await process.wait()

    async def _spawn_until_ready(self) -> None:
        service, loop = self.service, asyncio.get_running_loop()
        log = self.logs.open(service.name)
        try:
            reading, writing = os.pipe()
        except OSError:
            os.close(log)
            raise
        try:
            self.process = await asyncio.create_subprocess_exec(
                *service.argv(),
                env={**service.environment, READY_FD: str(writing)},
                cwd="/",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writing, *service.descriptors),
                start_new_session=True,  # Ctrl-C at the terminal is for the supervisor alone
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            os.close(log)
        reader = asyncio.StreamReader()
        pipe = os.fdopen(reading, "rb", buffering=0)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        limit, began = asyncio.timeout(READY_WITHIN_S), loop.time()
        try:
            async with limit:
                is_ready = service.is_ready
                wrote_ready: Awaitable[bool] = (
                    self._polled(is_ready, self.process, limit) if is_ready else _said_ready(reader)
                )
                if not await wrote_ready:
                    ending = _ending(await self.process.wait())
                    raise StandaloneError(self._failure(f"{service.name} {ending} while starting"))
        except TimeoutError:
            within_s = round((limit.when() or began) - began, 1)
            raise StandaloneError(self._failure(f"{service.name} was not ready within {within_s:g} s")) from None
        finally:
            transport.close()

    async def _polled(
        self, is_ready: Callable[[], bool], process: asyncio.subprocess.Process, limit: asyncio.Timeout
    ) -> bool:
        """Whether it got ready before it ended; `limit` is put off while it says that it is coming."""
        loop, is_coming = asyncio.get_running_loop(), self.service.is_coming
        began = told = loop.time()
        while process.returncode is None:
            if await asyncio.to_thread(is_ready):
                return True
            now = loop.time()
            if is_coming is not None and now - told >= TELL_EVERY_S and await asyncio.to_thread(is_coming):
                told = now
                self.say_slow(f"{self.service.name} is still starting after {now - began:.0f} s{self._where()}")
                limit.reschedule(min(now + READY_WITHIN_S, began + SLOW_WITHIN_S))
            await asyncio.sleep(POLL_S)
        return False

    def _where(self) -> str:
        return f" (log: {self.logs.path(self.service.name)})"

    def _failure(self, what: str) -> str:
        return f"{what}; the end of {self.logs.path(self.service.name)}:\n{self.logs.tail(self.service.name)}"


async def _said_ready(reader: asyncio.StreamReader) -> bool:
    return (await reader.readline()).strip() == b"READY"


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _ending(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
