"""Waking those who wait for news of a deployment in this process."""

import asyncio
from collections import defaultdict
from uuid import UUID


class Bells:
    """One bell for each deployment that somebody waits for."""

    def __init__(self) -> None:
        self._waiting: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)

    def ring(self, deployment_id: UUID) -> None:
        """There is news."""
        for event in self._waiting.get(deployment_id, ()):
            event.set()

    async def wait(self, deployment_id: UUID, timeout_s: float) -> None:
        """Until the bell rings or the time is over."""
        event = asyncio.Event()
        self._waiting[deployment_id].add(event)
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting[deployment_id].discard(event)
            if not self._waiting[deployment_id]:
                del self._waiting[deployment_id]
