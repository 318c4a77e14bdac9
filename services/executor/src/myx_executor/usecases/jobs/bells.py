"""Waking those who wait for news of a job: its owner and its followers, in this process and in the others."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from myx_kit.loops import TaskOwner

# Ends that come within this time are told at once.
_GATHER_S = 0.05


class JobBells:
    """Best effort: who waits looks by itself from time to time."""

    def __init__(self, tell_others: Callable[[UUID], Awaitable[None]]) -> None:
        self._tell_others = tell_others
        self._listeners: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._noted: set[UUID] = set()
        self._tasks = TaskOwner("job-bells")
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the process stops."""
        return self._closed

    def ring(self, job_id: UUID) -> None:
        """There is news, for those in this process."""
        for event in self._listeners.get(job_id, ()):
            event.set()

    def ring_all(self) -> None:
        """There may be news of every job: something may have been missed."""
        for job_id in list(self._listeners):
            self.ring(job_id)

    def note(self, job_id: UUID) -> None:
        """There is news, for everybody; told soon, once for all that comes until then."""
        if self._closed:
            return
        if not self._noted:
            asyncio.get_running_loop().call_later(_GATHER_S, self._tell)
        self._noted.add(job_id)

    @contextmanager
    def listen(self, job_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set at news; who waits clears it."""
        event = asyncio.Event()
        self._listeners[job_id].add(event)
        try:
            yield event
        finally:
            self._listeners[job_id].discard(event)
            if not self._listeners[job_id]:
                del self._listeners[job_id]

    async def close(self) -> None:
        """Sends followers away."""
        self._closed = True
        self.ring_all()
        await self._tasks.close(1)

    def _tell(self) -> None:
        noted, self._noted = self._noted, set()
        if self._closed:
            return
        for job_id in noted:
            self.ring(job_id)
        self._tasks.start(self._publish(noted), name="tell")

    async def _publish(self, noted: set[UUID]) -> None:
        for job_id in noted:
            await self._tell_others(job_id)
