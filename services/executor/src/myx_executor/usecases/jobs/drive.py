"""One owned job from where it stands to its end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from myx_executor.domain import job_plan as plan
from myx_executor.domain.command import LeaseLost
from myx_executor.domain.job_states import JOB_FINAL, STOP_GRACE_S
from myx_executor.domain.jobs import JobStatus
from myx_executor.store.jobs_changes import JobChange
from myx_executor.store.jobs_owner import ClaimedJob, JobBrief, JobHead, JobOwnerStore
from myx_executor.usecases.authority import JOB, Authority
from myx_executor.usecases.jobs import events
from myx_executor.usecases.jobs.bells import JobBells
from myx_executor.usecases.jobs.cancel import CancelUnderWay
from myx_executor.usecases.jobs.metrics import FINISHED, MISCOUNTED, RECONCILED
from myx_executor.usecases.jobs.start import Starter, StartTools, starter_for
from myx_kit.errors import Aborted, Internal, Unavailable
from myx_kit.logging import get_logger

log = get_logger()

# Ends and wishes are heard of by bell; this is for the bell that was missed.
_LOOK_S = 0.5
_LOOK_AT_PAUSED_S = 2.0
_AGAIN_S = 1.0
_CANCEL_AGAIN_S = 5.0
_TAKE_BACK_AGAIN_S = 1.0
_RECONCILE_S = 15.0
# How often whoever ordered it is looked at again while targets are started.
_ASK_AGAIN_S = 30.0
DEFAULT_GRACE_S = 10.0
_MAY_STOP = (JobStatus.PENDING, JobStatus.RUNNING, JobStatus.PAUSED)


@dataclass(frozen=True, slots=True)
class JobTools:
    """What every job is worked on with."""

    store: JobOwnerStore
    under_way: CancelUnderWay
    bells: JobBells
    start: StartTools
    # How long ends may take to be proved.
    proof_s: float
    # An event was stored.
    tell: Callable[[], None]
    authority: Authority = field(default_factory=Authority)


class JobDrive:
    """The owner's work on one job; LeaseLost when another replica has it."""

    def __init__(self, tools: JobTools, claimed: ClaimedJob, actor: str) -> None:
        self._tools = tools
        self._claimed = claimed
        self._actor = actor
        self._brief: JobBrief | None = None
        self._starter: Starter | None = None
        self._tally: plan.Tally | None = None
        self._seen = -1
        # Targets whose deployment is still to be made.
        self._unmade: set[int] = set()
        self._broken: plan.Stop | None = None
        # When what is under way is looked at again, to be ended.
        self._end_due = 0.0
        self._reconcile_due = 0.0
        self._server_ids: list[str] = []
        self._ask_due = 0.0

    async def run(self) -> None:
        """Turn by turn: look, decide, act; until it is final. A database that is away delays, nothing more."""
        with self._tools.bells.listen(self._claimed.job_id) as news:
            while True:
                news.clear()
                try:
                    wait_s = await self._turn()
                except (Unavailable, Aborted) as error:
                    log.warning("job_waits", job_id=str(self._claimed.job_id), reason=error.reason)
                    await asyncio.sleep(_AGAIN_S)
                    continue
                if wait_s is None:
                    return
                if wait_s > 0:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait_s):
                            await news.wait()

    async def _turn(self) -> float | None:
        """One look and one act; how long nothing is to be done then, None at the end."""
        head = await self._tools.store.head(self._claimed.job_id)
        if head is None or head.fence != self._claimed.fence:
            raise LeaseLost
        if head.status in JOB_FINAL or head.deadline_at is None:
            return None
        tally = await self._look(head)
        step = self._decide(head, head.deadline_at, tally, await self._unbegun(head, tally))
        # What is not to be started any more is not made any more either.
        if not isinstance(step, plan.Stop) and not await self._keep_up(head, tally):
            return _AGAIN_S
        if isinstance(step, plan.Wait):
            look_s = _LOOK_AT_PAUSED_S if head.status is JobStatus.PAUSED else _LOOK_S
            return max(min((step.until - head.now).total_seconds(), look_s), 0.001)
        if isinstance(step, plan.Finish):
            return None if await self._finish(head, step, tally) else 0
        await self._act(head, step)
        return 0

    async def _unbegun(self, head: JobHead, tally: plan.Tally) -> int:
        """How many of those under way are not known to have begun; commands are only counted where that decides."""
        decides = tally.running and not tally.waiting and not self._unmade and head.status in _MAY_STOP
        if not decides or plan.threshold(head.options, tally) is None:
            return len(self._unmade)
        return await self._tools.store.unbegun(self._claimed.job_id)

    def _decide(self, head: JobHead, deadline_at: datetime, tally: plan.Tally, unbegun: int) -> plan.Step:
        if self._broken and head.status in _MAY_STOP:
            return self._broken
        standing = plan.Standing(
            head.status, head.options, head.batch, head.hold_until, deadline_at, head.reason, unbegun
        )
        return plan.decide(standing, tally, head.now, self._starter.at_once if self._starter else 1)

    async def _look(self, head: JobHead) -> plan.Tally:
        """The targets as they are."""
        if self._brief is None:
            self._brief = await self._open()
        changed = await self._tools.store.states(self._claimed.job_id, self._seen)
        if self._tally is None:
            self._tally = plan.Tally((one.number, one.batch, one.status) for one in changed)
        else:
            for one in changed:
                self._tally.update(one.number, one.status)
        self._unmade -= {one.number for one in changed}
        self._unmade |= {one.number for one in changed if one.reserved is not None}
        self._seen = head.safe
        return self._tally

    async def _open(self) -> JobBrief:
        """What stays as it is; a job whose list is not the frozen one starts nothing."""
        store, job_id = self._tools.store, self._claimed.job_id
        brief = await store.brief(job_id)
        ids = self._server_ids = await store.server_ids(job_id)
        if plan.targets_sha256(ids) != brief.targets_sha256 or len(ids) != brief.target_count:
            self._broken = plan.Stop("targets_changed", "the targets are not those that were frozen")
            MISCOUNTED.inc()
            log.error("job_targets_changed", job_id=str(job_id), count=len(ids), expected=brief.target_count)
            return brief
        try:
            self._starter = starter_for(self._tools.start, self._claimed, brief)
        except Internal as error:
            self._broken = plan.Stop(error.reason.lower(), error.message)
            log.error("job_secrets_unreadable", job_id=str(job_id), reason=error.reason)
        return brief

    async def _keep_up(self, head: JobHead, tally: plan.Tally) -> bool:
        """What is done beside the plan; False when something of it must be tried again before anything new."""
        now = asyncio.get_running_loop().time()
        job_id = self._claimed.job_id
        if not tally.running:
            return True
        if head.status is JobStatus.CANCELLING:
            if now >= self._end_due:
                self._end_due = now + _CANCEL_AGAIN_S
                grace_s = DEFAULT_GRACE_S if head.cancel_grace_s is None else head.cancel_grace_s
                await self._tools.under_way.cancel(job_id, grace_s, self._actor)
        elif head.status is JobStatus.STOPPING:
            # Again and again: what was just being tried when the job was stopped may come back to wait.
            if now >= self._end_due:
                self._end_due = now + _TAKE_BACK_AGAIN_S
                if await self._tools.under_way.take_back(job_id, head.reason, self._actor):
                    self._tools.bells.note(job_id)
        elif head.status is JobStatus.RUNNING and not await self._reserved_are_made():
            return False
        if now >= self._reconcile_due:
            if self._reconcile_due and (count := await self._tools.store.reconcile(job_id, head.fence)):
                RECONCILED.inc(count)
                log.warning("job_targets_reconciled", job_id=str(job_id), count=count)
            self._reconcile_due = now + _RECONCILE_S
        return True

    async def _reserved_are_made(self) -> bool:
        return self._starter is None or await self._starter.go_on()

    async def _act(self, head: JobHead, step: plan.Step) -> None:
        store, job_id = self._tools.store, self._claimed.job_id
        match step:
            case plan.Begin():
                await self._begin(head)
            case plan.Advance(batch, hold_s):
                await store.advance(job_id, head.fence, batch, hold_s)
                self._tools.bells.note(job_id)
            case plan.Start(numbers) if self._starter is not None:
                if await self._still_allowed():
                    await self._starter.start(numbers)
                    await self._starter.go_on()
                    self._tools.bells.note(job_id)
            case plan.Stop():
                await self._stop(head, step)
            case plan.CancelRest():
                await self._cancel_rest(head)
            case plan.GiveUp():
                count = await store.give_up_targets(job_id, head.fence)
                log.error("job_ends_not_proved", job_id=str(job_id), count=count)

    async def _still_allowed(self) -> bool:
        """Whether whoever ordered the job still may; if not, the next turn stops it. Unavailable: not known now."""
        now = asyncio.get_running_loop().time()
        if now < self._ask_due:
            return True
        assert self._brief is not None  # noqa: S101 - opened by the first look
        why = await self._tools.authority.refusal(self._brief.requested_by, JOB, self._server_ids)
        if why is not None:
            self._broken = plan.Stop("access_denied", why)
            return False
        self._ask_due = now + _ASK_AGAIN_S
        return True

    async def _begin(self, head: JobHead) -> None:
        job_id = self._claimed.job_id
        assert self._brief is not None  # noqa: S101 - opened by the first look
        event = events.started(job_id, head.change_count, self._brief.name, self._brief.target_count)
        if await self._change(head, JobStatus.RUNNING, "begun", event=event):
            self._tools.tell()

    async def _stop(self, head: JobHead, step: plan.Stop) -> None:
        if await self._change(
            head,
            JobStatus.STOPPING,
            step.reason,
            evidence=step.message,
            reason=step.reason,
            message=step.message,
            at_least_s=STOP_GRACE_S,
            drop_waiting=True,
        ):
            log.info("job_stopped", job_id=str(self._claimed.job_id), reason=step.reason)

    async def _cancel_rest(self, head: JobHead) -> None:
        await self._change(
            head,
            JobStatus.CANCELLING,
            "deadline",
            evidence="what still runs has had its time",
            reason=head.reason or "deadline",
            message=head.message,
            at_least_s=self._tools.proof_s,
            drop_waiting=True,
        )

    async def _change(self, head: JobHead, to: JobStatus, cause: str, **more: Any) -> bool:
        change = JobChange(
            self._claimed.job_id, head.change_count, to, self._actor, cause, fence=self._claimed.fence, **more
        )
        done = await self._tools.store.change(change)
        self._tools.bells.note(self._claimed.job_id)
        return done

    async def _finish(self, head: JobHead, step: plan.Finish, tally: plan.Tally) -> bool:
        """True when it is final; else something came between, and it is looked at again."""
        job_id = self._claimed.job_id
        event = events.finished(job_id, head.change_count, step.status, step.reason, tally.counts)
        change = JobChange(
            job_id,
            head.change_count,
            step.status,
            self._actor,
            step.reason or "ended",
            reason=step.reason,
            message=step.message,
            fence=head.fence,
        )
        stored = await self._tools.store.finish(change, event)
        if stored is None:
            return False
        self._tools.tell()
        self._tools.bells.note(job_id)
        FINISHED.labels(step.status).inc()
        if sum(stored.counts.values()) != stored.target_count:
            MISCOUNTED.inc()
            log.error("job_miscounted", job_id=str(job_id), counts=dict(stored.counts), expected=stored.target_count)
        log.info("job_finished", job_id=str(job_id), status=step.status, reason=step.reason)
        return True
