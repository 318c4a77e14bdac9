"""FollowJob: a job and its targets as they change, and on request what they write."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

from myx_executor.domain.job_states import JOB_FINAL
from myx_executor.domain.jobs import Job, JobTarget
from myx_executor.store.commands import CommandStore
from myx_executor.store.jobs import Changed, JobStore
from myx_executor.store.logs import LogStore
from myx_executor.usecases.jobs.bells import JobBells
from myx_executor.usecases.jobs.manage import not_found
from myx_executor.usecases.jobs.tail import JobTail, Output
from myx_executor.usecases.live import LiveHub
from myx_executor.usecases.patience import patiently
from myx_kit.errors import InvalidArgument, Unavailable

# Targets of one message.
_TARGETS = 500
# The database is looked at this often at most, and at least.
_LOOK_AT_MOST_S = 0.25
_LOOK_S = 0.5
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Update:
    """One step: the job if it changed, targets that changed, output."""

    job: Job | None = None
    targets: Sequence[JobTarget] = ()
    output: Sequence[Output] = ()


@dataclass(slots=True)
class _View:
    """What a follower has been told."""

    # What the follower came with.
    begun: int
    # Targets of greater revisions are looked for.
    seen: int
    job: Job | None = None
    own_revision: int = -1
    sent: dict[int, int] = field(default_factory=dict)

    def news(self, changed: Sequence[Changed]) -> list[JobTarget]:
        """Those of `changed` that the follower does not know."""
        # Not "greater": a transaction that began first may have come last.
        new = [one for one in changed if one.revision > self.begun and one.revision != self.sent.get(one.target.number)]
        self.sent.update((one.target.number, one.revision) for one in new)
        return [one.target for one in new]


class FollowJob:
    """Streams of one job for any number of followers; what a follower takes slowly costs nobody else."""

    def __init__(self, store: JobStore, bells: JobBells, commands: CommandStore, logs: LogStore, hub: LiveHub) -> None:
        self._store = store
        self._bells = bells
        self._commands = commands
        self._logs = logs
        self._hub = hub

    async def stream(
        self, job_id: UUID, after: int, *, output: bool, offsets: Mapping[int, int]
    ) -> AsyncGenerator[Update | None]:
        """Yields None once the request is found good, then updates; the last one has the job in its final state.

        NotFound `JOB_NOT_FOUND`; InvalidArgument; Unavailable when the replica stops or the database stays away.
        """
        if after < 0:
            raise InvalidArgument("ARGUMENT_INVALID", "after_revision must not be negative", field="after_revision")
        await self._get(job_id)
        yield None
        async with AsyncExitStack() as stack:
            news = stack.enter_context(self._bells.listen(job_id))
            tail = None
            if output:
                tail = JobTail(self._commands, self._logs, self._hub, offsets, news.set)
                stack.push_async_callback(tail.close)
            async for update in self._updates(job_id, _View(after, after), news, tail):
                yield update

    async def _updates(
        self, job_id: UUID, view: _View, news: asyncio.Event, tail: JobTail | None
    ) -> AsyncGenerator[Update]:
        clock = asyncio.get_running_loop().time
        looked = float("-inf")
        while True:
            if self._bells.closed:
                raise Unavailable("SHUTTING_DOWN", "this replica stops; come back with your last revision and offsets")
            if clock() - looked >= _LOOK_AT_MOST_S:
                news.clear()
                async for update in self._look(job_id, view, tail):
                    yield update
                looked = clock()
            while tail is not None and tail.ready and clock() - looked < _LOOK_AT_MOST_S:
                found = await tail.take()
                if found:
                    yield Update(output=found)
            if view.job is not None and view.job.status in JOB_FINAL and (tail is None or tail.done):
                yield Update(job=view.job)
                return
            if tail is None or not tail.ready:
                await _wait(news, looked + _LOOK_S - clock())
            if tail is None or not tail.ready:
                await asyncio.sleep(max(looked + _LOOK_AT_MOST_S - clock(), 0))

    async def _look(self, job_id: UUID, view: _View, tail: JobTail | None) -> AsyncGenerator[Update]:
        """What changed since the last look. The final job is kept for the end."""
        # Looked at first: what changes afterwards has a greater revision.
        peek = await patiently(lambda: self._store.peek(job_id), _PATIENCE_S)
        if peek is None:
            raise not_found(str(job_id))
        own_revision, safe = peek
        is_changed = view.job is None or own_revision > view.own_revision
        async for changed in self._changed(job_id, view, everything=view.job is None and tail is not None):
            is_changed = True
            if tail is not None:
                await tail.take_up([one.target for one in changed])
            targets = view.news(changed)
            for start in range(0, len(targets), _TARGETS):
                yield Update(targets=targets[start : start + _TARGETS])
        if is_changed:
            job = await self._get(job_id)
            # Where the follower may go on: all that came before was told.
            job = replace(job, revision=min(job.revision, safe))
            if job != view.job and job.status not in JOB_FINAL:
                yield Update(job=job)
            view.job, view.own_revision = job, own_revision
        view.seen = max(view.seen, safe)

    async def _changed(self, job_id: UUID, view: _View, *, everything: bool) -> AsyncGenerator[list[Changed]]:
        """Targets that changed; `everything`: all, whatever the follower knows, because their output is followed."""
        if view.seen > 0 and not everything:
            changed = await patiently(lambda: self._store.changed(job_id, view.seen), _PATIENCE_S)
            new = [one for one in changed if view.sent.get(one.target.number) != one.revision]
            if new:
                yield new
            return
        behind = 0
        while True:
            read = partial(self._store.all_targets, job_id, behind=behind, limit=_TARGETS)
            page = await patiently(read, _PATIENCE_S)
            if page:
                yield page
            if len(page) < _TARGETS:
                return
            behind = page[-1].target.number

    async def _get(self, job_id: UUID) -> Job:
        job = await patiently(lambda: self._store.get(job_id), _PATIENCE_S)
        if job is None:
            raise not_found(str(job_id))
        return job


async def _wait(news: asyncio.Event, timeout_s: float) -> None:
    if timeout_s > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await news.wait()
