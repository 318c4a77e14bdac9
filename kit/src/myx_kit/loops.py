"""Background work: every task has an owner and a name, and a loop survives its bad turns."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from myx_kit.errors import Unavailable
from myx_kit.lifecycle import request_stop
from myx_kit.logging import get_logger
from myx_kit.metrics import LOOP_TURNS

log = get_logger()

_CANCEL_AGAIN_S = 0.1


class TaskOwner:
    """Owns the tasks of one part: logs those that fail, ends them all on close.

    Use: `owner = TaskOwner("relay"); owner.start(relay.run(), name="outbox-relay"); …; await owner.close(5)`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, coro: Coroutine[Any, Any, Any], *, name: str, critical: bool = False) -> asyncio.Task[Any]:
        """Run `coro` as a task. If it fails that is logged at error; a critical one stops the process, exit code 1."""
        if self._closed:
            coro.close()
            raise RuntimeError(f"task owner {self._name} is closed")
        task = asyncio.create_task(coro, name=f"{self._name}/{name}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, critical=critical))
        return task

    async def close(self, timeout_s: float = 5.0) -> None:
        """Cancel what still runs and wait for its end, at most `timeout_s`; no task can be started afterwards."""
        self._closed = True
        tasks = {task for task in self._tasks if task is not asyncio.current_task()}
        deadline = time.monotonic() + timeout_s
        while tasks and (left_s := deadline - time.monotonic()) > 0:
            for task in tasks:
                task.cancel()
            # More than once: asyncio.wait_for of Python 3.11 loses a cancellation that meets its result.
            _, tasks = await asyncio.wait(tasks, timeout=min(_CANCEL_AGAIN_S, left_s))
        for task in tasks:
            log.error("task_ignores_cancel", task=task.get_name(), after_s=timeout_s)

    async def __aenter__(self) -> "TaskOwner":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _ended(self, task: asyncio.Task[Any], *, critical: bool) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("task_failed", task=task.get_name(), critical=critical, exc_info=error)
            if critical:
                request_stop(1)


class Loop:
    """Calls `run_once` every `interval_s` and whenever `wake` is set; give `loop.run()` to a TaskOwner.

    A turn that raises is logged at error (Unavailable at warning) and the loop goes on, its pauses doubling up
    to `max_backoff_s` until a turn succeeds. `jitter` is the share of each pause drawn at random, so that replicas do
    not march in step.
    """

    def __init__(
        self,
        name: str,
        interval_s: float,
        run_once: Callable[[], Awaitable[object]],
        *,
        wake: asyncio.Event | None = None,
        jitter: float = 0.1,
        max_backoff_s: float = 30.0,
    ) -> None:
        self._name = name
        self._interval_s = interval_s
        self._run_once = run_once
        self._wake = wake or asyncio.Event()
        self._jitter = jitter
        self._max_backoff_s = max_backoff_s
        self._failures = 0

    def wake(self) -> None:
        """Start the next turn now (or right after the one that runs); a loop that is backing off goes on waiting."""
        self._wake.set()

    async def run(self) -> None:
        """Turn until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._run_once()
                self._failures = 0
                LOOP_TURNS.labels(self._name, "ok").inc()
            except Unavailable as error:
                self._failures += 1
                LOOP_TURNS.labels(self._name, "unavailable").inc()
                log.warning("loop_turn_unavailable", loop=self._name, failures=self._failures, reason=error.reason)
            except Exception as error:
                self._failures += 1
                LOOP_TURNS.labels(self._name, "failed").inc()
                log.error("loop_turn_failed", loop=self._name, failures=self._failures, exc_info=error)
            await self._pause()

    async def _pause(self) -> None:
        if self._failures:
            exponent = min(self._failures - 1, 16)
            backoff_s = min(max(self._interval_s, 0.1) * 2**exponent, self._max_backoff_s)
            await asyncio.sleep(self._jittered(backoff_s))
            return
        try:
            async with asyncio.timeout(self._jittered(self._interval_s)):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 - self._jitter * random.random())  # noqa: S311 - spreads load, guards nothing
