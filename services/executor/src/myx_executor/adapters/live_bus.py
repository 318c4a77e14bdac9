"""Live logs and wake-ups over the kit's bus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from myx_kit.events.bus import Bus
from myx_kit.events.subjects import log_subject, work_subject
from myx_kit.events.subscription import Subscription
from myx_kit.loops import TaskOwner

WORK_KIND = "command"
# The payload is the id of a job of which there is news.
JOB_KIND = "job"

# An empty payload would say "look whether something was lost".
_WAKE = b"wake"
_FLUSH_S = 0.5
_PUBLISH_S = 0.5
_HANG_S = 5.0


class KitLiveBus:
    """Fits `LiveBus`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._tasks = TaskOwner("live-bus")
        self._hangs_until = 0.0

    @property
    def connected(self) -> bool:
        """Whether NATS is there."""
        return self._bus.connected

    async def publish_log(self, command_id: UUID, message: bytes) -> None:
        """To `myx.log.<id>`."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._hangs_until:
            return
        try:
            async with asyncio.timeout(_PUBLISH_S):
                await self._bus.publish(log_subject(str(command_id)), message)
        except TimeoutError:
            # Storing does not wait for a NATS that hangs: followers elsewhere read the database.
            self._hangs_until = loop.time() + _HANG_S

    async def publish_work(self) -> None:
        """To `myx.work.command`: something waits to be claimed or cancelled."""
        await self._bus.publish(work_subject(WORK_KIND), _WAKE)

    async def publish_job(self, job_id: UUID) -> None:
        """To `myx.work.job`: there is news of a job; lost when NATS is away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PUBLISH_S):
                await self._bus.publish(work_subject(JOB_KIND), job_id.bytes)

    async def watch_jobs(self, on_job: Callable[[UUID], None], on_lost: Callable[[], None]) -> None:
        """Calls `on_job` for news of a job, `on_lost` when some may have been missed; runs until cancelled."""

        def heard(message: bytes) -> None:
            if len(message) == 16:
                on_job(UUID(bytes=message))

        async with self._bus.subscribe(work_subject(JOB_KIND)) as subscription:
            await _pump(subscription, heard, on_lost)

    @asynccontextmanager
    async def follow_log(
        self, command_id: UUID, on_message: Callable[[bytes], None], on_lost: Callable[[], None]
    ) -> AsyncIterator[None]:
        """Messages of `myx.log.<id>`; entered when NATS knows the subscription (at once while it is away)."""
        async with self._bus.subscribe(log_subject(str(command_id))) as subscription:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_S):
                    await self._bus.flush()
            task = self._tasks.start(_pump(subscription, on_message, on_lost), name=f"follow {command_id}")
            try:
                yield
            finally:
                task.cancel()

    async def watch_work(self, on_work: Callable[[], None]) -> None:
        """Calls `on_work` for each wake-up, and when one may have been missed; runs until cancelled."""
        async with self._bus.subscribe(work_subject(WORK_KIND)) as subscription:
            await _pump(subscription, lambda _message: on_work(), on_work)

    async def close(self) -> None:
        """Ends all subscriptions."""
        await self._tasks.close(1)


async def _pump(subscription: Subscription, on_message: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
    async for message in subscription:
        if subscription.lost:
            subscription.lost = False
            on_lost()
        if message:
            on_message(message)
