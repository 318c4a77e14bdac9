"""A service from start to stop: open, say ready, wait for a signal, close in reverse."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import NoReturn, Protocol

import uvloop

from myx_kit.errors import MyxError
from myx_kit.logging import get_logger

log = get_logger()

# Beyond the drain, for closing connections and files.
_CLOSE_MARGIN_S = 4.0
# Objects of a generation before it is collected. Python's (700, 10, 10) takes a seventh of a busy executor's CPU.
_COLLECT_AFTER = (20_000, 20, 20)


# Threads in which libuv looks names up, of which it gives that half: of its 4, two names that nobody resolves keep the
# database's and the broker's waiting. Read at its first use (docs.libuv.org/en/v1.x/threadpool.html).
_UV_THREADS = "32"


class Ready(Protocol):
    """What can be told to stop looking ready before anything is closed (RpcServer is one)."""

    async def unready(self) -> None:
        """Say NOT_SERVING to those who ask."""
        ...


Start = Callable[[AsyncExitStack], Awaitable[Ready | None]]


class _Stop:
    """The process' one wish to stop: by a signal, or because a part that it cannot do without has failed."""

    def __init__(self) -> None:
        self.event: asyncio.Event | None = None
        self.exit_code = 0


_stop = _Stop()


def request_stop(exit_code: int = 0) -> None:
    """Stop this process as a signal would; `exit_code` other than 0 is kept. No effect outside `run_until_signal`."""
    if _stop.event is not None:
        _stop.exit_code = _stop.exit_code or exit_code
        _stop.event.set()


def serve(start: Start, *, drain_s: float) -> int:
    """Run a service on uvloop to its end, and end the process; returns only when it could not start.

    An error that MyX raises on purpose at start is one line on stderr and exit code 1, which is returned.
    """

    async def start_and_settle(stack: AsyncExitStack) -> Ready | None:
        ready = await start(stack)
        _calm_collector()
        return ready

    async def run_and_leave() -> int:
        _leave(await run_until_signal(start_and_settle, drain_s=drain_s))

    os.environ.setdefault("UV_THREADPOOL_SIZE", _UV_THREADS)
    try:
        return uvloop.run(run_and_leave())
    except MyxError as error:
        sys.stderr.write(f"{error.message} ({error.reason})\n")
        return 1


async def run_until_signal(start: Start, *, drain_s: float) -> int:
    """Await `start(stack)`, say ready, wait for SIGTERM or SIGINT (or `request_stop`), then close the stack.

    `start` pushes the closing of what it opens on the stack, servers last, so that they stop first. A second signal
    ends the process at once. Returns the exit code; errors of `start` are raised after closing what was open.
    """
    event = asyncio.Event()
    _stop.event, _stop.exit_code = event, 0
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, event)
    stack = AsyncExitStack()
    try:
        ready = await _start_unless_stopped(start, stack, event)
        if not event.is_set():
            notify_ready()
            log.info("service_ready")
            await event.wait()
        log.info("service_stopping")
        if ready is not None:
            await ready.unready()
    finally:
        try:
            async with asyncio.timeout(drain_s + _CLOSE_MARGIN_S):
                await stack.aclose()
        except TimeoutError:
            log.warning("service_stop_timed_out", after_s=drain_s + _CLOSE_MARGIN_S)
            _stop.exit_code = _stop.exit_code or 1
        _stop.event = None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    log.info("service_stopped")
    return _stop.exit_code


def notify_ready(fd_env: str = "MYX_READY_FD") -> None:
    """Write `READY` to the inherited descriptor that `fd_env` names and close it; nothing when there is none."""
    number = os.environ.pop(fd_env, "")
    if number.isdecimal():
        with suppress(OSError):
            os.write(int(number), b"READY\n")
            os.close(int(number))


def _leave(code: int) -> NoReturn:
    """End here and now: all that is ours is closed.

    The interpreter would wait for threads and then take thousands of connections and a fleet apart piece by piece,
    which took twice as long as the whole stop.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _calm_collector() -> None:
    """What was made by now stays for good and is not looked through again; what comes is looked through less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def _on_signal(number: signal.Signals, event: asyncio.Event) -> None:
    if event.is_set():
        os._exit(128 + number)
    log.info("signal_received", signal=number.name)
    event.set()


async def _start_unless_stopped(start: Start, stack: AsyncExitStack, event: asyncio.Event) -> Ready | None:
    async def starting_up() -> Ready | None:
        return await start(stack)

    starting = asyncio.create_task(starting_up(), name="start")
    stopping = asyncio.create_task(event.wait(), name="stop")
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
        with suppress(asyncio.CancelledError):
            return await starting
        return None
    finally:
        stopping.cancel()
        starting.cancel()
