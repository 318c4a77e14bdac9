"""Which jobs this replica works on: leases, takeovers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from myx_executor.domain.command import LeaseLost
from myx_executor.store.jobs_owner import ClaimedJob, JobOwnerStore
from myx_executor.usecases import origins
from myx_executor.usecases.jobs.metrics import ACTIVE, CLAIMED, LEASES_LOST
from myx_kit import correlation, tracing
from myx_kit.errors import Unavailable
from myx_kit.logging import get_logger
from myx_kit.loops import TaskOwner

log = get_logger()

# Jobs of one claim.
_CLAIM_BATCH = 20
# A job whose driver broke is left to its lease for this long before this replica looks at it again.
_BROKEN_S = 30.0


class Driver(Protocol):
    """The owner's work on one job."""

    async def run(self) -> None:
        """To the end; LeaseLost when another replica has it."""
        ...


@dataclass(slots=True)
class _Work:
    claimed: ClaimedJob
    task: asyncio.Task[None] | None = None


class JobRunner:
    """Drives at most `max_active` jobs at once; every one of them under a lease of `lease_s` seconds."""

    def __init__(
        self,
        owner: str,
        store: JobOwnerStore,
        make_driver: Callable[[ClaimedJob], Driver],
        *,
        max_active: int,
        lease_s: float,
    ) -> None:
        self.owner = owner
        # Set when there may be something to claim.
        self.wake = asyncio.Event()
        self._store = store
        self._make_driver = make_driver
        self._max_active = max_active
        self._lease_s = lease_s
        self._work: dict[UUID, _Work] = {}
        self._broken: dict[UUID, float] = {}
        self._tasks = TaskOwner("jobs")
        self._closing = False

    @property
    def active(self) -> int:
        """Jobs that this replica works on."""
        return len(self._work)

    async def renew_once(self) -> None:
        """Prolongs all leases. That one is lost its driver sees at its next look, and none of its writes lands."""
        held = [work.claimed for work in self._work.values()]
        if not held:
            return
        try:
            await self._store.renew(self._lease_s, held)
        except Unavailable as error:
            log.warning("job_leases_not_renewed", count=len(held), reason=error.reason)

    async def sweep_once(self) -> None:
        """Takes over what nobody works on, as far as there is room."""
        now = asyncio.get_running_loop().time()
        self._broken = {job_id: until for job_id, until in self._broken.items() if until > now}
        while not self._closing and (room := self._max_active - len(self._work)) > 0:
            limit = min(room, _CLAIM_BATCH)
            held = [*self._work, *self._broken]
            try:
                claimed = await self._store.claim(self.owner, self._lease_s, limit, held)
            except Unavailable as error:
                log.warning("job_sweep_failed", reason=error.reason)
                return
            CLAIMED.inc(len(claimed))
            for one in claimed:
                log.info("job_claimed", job_id=str(one.job_id), fence=one.fence)
                self._start(one)
            if len(claimed) < limit:
                return

    async def close(self, timeout_s: float) -> int:
        """Stops all work and gives the leases up, so that other replicas go on at once; how many there were."""
        self._closing = True
        held = [work.claimed for work in self._work.values()]
        await self._tasks.close(timeout_s)
        if not held:
            return 0
        try:
            return await self._store.give_up(held)
        except Unavailable as error:
            log.warning("job_leases_not_given_up", count=len(held), reason=error.reason)
            return 0

    def _start(self, claimed: ClaimedJob) -> None:
        if self._closing:
            return
        work = _Work(claimed)
        self._work[claimed.job_id] = work
        ACTIVE.set(len(self._work))
        work.task = self._tasks.start(self._run(work), name=str(claimed.job_id))

    async def _run(self, work: _Work) -> None:
        job_id = work.claimed.job_id
        origins.recall(job_id)
        correlation.note(job_id=str(job_id))
        try:
            with tracing.span("job", myx__job_id=str(job_id)):
                await self._make_driver(work.claimed).run()
        except LeaseLost:
            LEASES_LOST.inc()
            log.info("job_left_to_its_owner", job_id=str(job_id), fence=work.claimed.fence)
        except Exception:
            self._broken[job_id] = asyncio.get_running_loop().time() + _BROKEN_S
            raise
        finally:
            if self._work.get(job_id) is work:
                del self._work[job_id]
            ACTIVE.set(len(self._work))
            self.wake.set()
