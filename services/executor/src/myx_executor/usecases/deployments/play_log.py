"""Progress events of a deployment's plays: numbered through, bounded, stored under the lease."""

import json
from collections.abc import Sequence

from myx_executor.domain.command import LeaseLost
from myx_executor.domain.deployment import recap_from_wire
from myx_executor.usecases.deployments.ports import PlayEvent
from myx_executor.usecases.deployments.run import Run
from myx_executor.usecases.patience import UNTIL_LOST, patiently

# Beyond it only recaps are kept, and not many of them.
MAX_EVENTS = 20_000
MAX_LATE_RECAPS = 100
# Of one event, and of all of them: what is more is left out, whatever an agent sends.
MAX_EVENT_BYTES = 256 * 1024
MAX_BYTES = 256 * 1024 * 1024
_BATCH = 500


class PlayEvents:
    """Takes the events of one play; `taken` is the number of the last one."""

    def __init__(self, run: Run, begin: int, taken: int) -> None:
        self._run = run
        self._begin = begin
        self._late_recaps = 0
        self._bytes = 0
        self.taken = taken

    @classmethod
    async def open(cls, run: Run, begin: int) -> "PlayEvents":
        """Goes on where what is stored ends; `begin`: events that were there before this play."""
        last = await patiently(lambda: run.tools.store.last_event(run.deployment.id), UNTIL_LOST)
        return cls(run, begin, max(last - begin, 0))

    async def add(self, events: Sequence[PlayEvent]) -> None:
        """Stores what is new."""
        new = [event for event in events if event.seq > self.taken]
        for start in range(0, len(new), _BATCH):
            await self._store(new[start : start + _BATCH])
        if new:
            self.taken = new[-1].seq
            self._run.tools.bells.ring(self._run.deployment.id)

    async def _store(self, events: Sequence[PlayEvent]) -> None:
        run, kept = self._run, []
        for event in events:
            number = self._begin + event.seq
            is_recap = event.event.get("type") == "recap"
            if is_recap:
                await run.set_recap(recap_from_wire(event.event))
            if self._has_room(number, is_recap, event):
                kept.append((number, dict(event.event)))
        if not kept:
            return
        fence = run.lease.command.fence
        stored = await patiently(lambda: run.tools.store.add_events(run.deployment.id, fence, kept), UNTIL_LOST)
        if not stored:
            raise LeaseLost

    def _has_room(self, number: int, is_recap: bool, event: PlayEvent) -> bool:
        if number > MAX_EVENTS:
            self._late_recaps += is_recap
            if not is_recap or self._late_recaps > MAX_LATE_RECAPS:
                return False
        size = len(json.dumps(dict(event.event)))
        if size > MAX_EVENT_BYTES or self._bytes + size > MAX_BYTES:
            return False
        self._bytes += size
        return True


async def why_failed(run: Run) -> str:
    """What the task that failed last said, as a sentence; empty when no event tells."""
    event = await patiently(lambda: run.tools.store.last_failure(run.deployment.id), UNTIL_LOST)
    task, message = str(event.get("task", "")), str(event.get("message", ""))
    return f"{task}: {message}" if task and message else task or message
