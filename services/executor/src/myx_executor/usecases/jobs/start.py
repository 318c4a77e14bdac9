"""Starting targets: commands by the batch, deployments one by one with ids that were reserved before."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from myx_executor.domain.command import DEFAULT_CONNECT_TIMEOUT_S, RowKind, Secrets
from myx_executor.domain.deployment import Deployment
from myx_executor.domain.job_states import UNREACHABLE_REASONS
from myx_executor.domain.jobs import TargetStatus, Work
from myx_executor.store.jobs_owner import ClaimedJob, JobBrief, JobOwnerStore, Started
from myx_executor.usecases.deployments.checks import CreateRequest
from myx_executor.usecases.jobs.metrics import START_S, STARTED
from myx_executor.usecases.jobs.work import command_template, to_request, with_secrets
from myx_executor.usecases.run_command import RunRequest
from myx_executor.usecases.sealing import open_secrets, seal_secrets
from myx_kit.errors import DeadlineExceeded, MyxError, ResourceExhausted, Unavailable
from myx_kit.ids import new_id
from myx_kit.logging import get_logger
from myx_kit.secretbox import SecretBox

log = get_logger()

# Targets of one statement, and what it may carry of sealed standard input.
COMMANDS_AT_ONCE = 200
_SEALED_BYTES = 8 * 1024 * 1024
DEPLOYMENTS_AT_ONCE = 10
# What passes by itself: the same deployment is asked for again.
_PASSING = (Unavailable, DeadlineExceeded, ResourceExhausted)


class Deployments(Protocol):
    """Accepts deployments."""

    async def create(self, request: CreateRequest) -> Deployment:
        """The stored deployment; the one with the reserved id if it is there already."""
        ...


@dataclass(frozen=True, slots=True)
class StartTools:
    """What starting works with. `wake_all`: something waits to be claimed by any replica."""

    store: JobOwnerStore
    deployments: Deployments
    box: SecretBox
    wake_all: Callable[[], Awaitable[None]]
    default_timeout_s: float
    connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S


class Starter(Protocol):
    """Starts targets of one job."""

    @property
    def at_once(self) -> int:
        """How many targets one call may name."""
        ...

    async def start(self, numbers: Sequence[int]) -> Sequence[int]:
        """Those that are under way now; fewer when the job is not running any more, or not ours."""
        ...

    async def go_on(self) -> bool:
        """Makes what was reserved and is not there yet; False when some of it has to be tried again later."""
        ...


def starter_for(tools: StartTools, claimed: ClaimedJob, brief: JobBrief) -> Starter:
    """The starter of a job's kind. Internal `SECRET_UNREADABLE` when the key of its secrets is gone."""
    work = Work(RowKind(brief.kind), brief.spec, brief.secret_names, brief.has_stdin)
    secrets = open_secrets(tools.box, claimed.job_id, brief.sealed, table="job")
    if work.kind is RowKind.COMMAND:
        return _Commands(tools, claimed, brief, work, secrets)
    return _Deployments(tools, claimed, brief, work, secrets)


class _Commands:
    def __init__(self, tools: StartTools, claimed: ClaimedJob, brief: JobBrief, work: Work, secrets: Secrets) -> None:
        request = to_request(work, secrets)
        assert isinstance(request, RunRequest)  # noqa: S101 - by its kind
        self._tools = tools
        self._claimed = claimed
        self._secrets = secrets
        self._template = command_template(
            request,
            job_id=claimed.job_id,
            requested_by=brief.requested_by,
            schedule_id=brief.schedule_id,
            default_timeout_s=tools.default_timeout_s,
            connect_timeout_s=tools.connect_timeout_s,
        )
        size = len(brief.sealed or b"")
        self.at_once = min(COMMANDS_AT_ONCE, max(1, _SEALED_BYTES // max(size, 1)))

    async def start(self, numbers: Sequence[int]) -> Sequence[int]:
        ids = [new_id() for _ in numbers]
        orders = [(command_id, seal_secrets(self._tools.box, command_id, self._secrets)) for command_id in ids]
        began = time.perf_counter()
        started = await self._tools.store.dispatch(self._claimed, self._template, numbers, orders)
        START_S.observe(time.perf_counter() - began)
        STARTED.labels("command").inc(len(started))
        if started:
            await self._tools.wake_all()
        return [one.number for one in started]

    async def go_on(self) -> bool:
        return True


class _Deployments:
    at_once = DEPLOYMENTS_AT_ONCE

    def __init__(self, tools: StartTools, claimed: ClaimedJob, brief: JobBrief, work: Work, secrets: Secrets) -> None:
        self._tools = tools
        self._claimed = claimed
        self._brief = brief
        self._work = work
        self._secrets = secrets
        # Another owner may have reserved ids before us, and an answer may be lost: the database knows which.
        self._looked = False
        self._left: list[Started] = []

    async def start(self, numbers: Sequence[int]) -> Sequence[int]:
        ids = [new_id() for _ in numbers]
        self._looked = False
        began = time.perf_counter()
        reserved = await self._tools.store.reserve(self._claimed.job_id, self._claimed.fence, numbers, ids)
        START_S.observe(time.perf_counter() - began)
        STARTED.labels("deployment").inc(len(reserved))
        return [one.number for one in reserved]

    async def go_on(self) -> bool:
        if not self._looked:
            self._left = await self._tools.store.reserved(self._claimed.job_id)
            self._looked = True
        batch, rest = self._left[: self.at_once], self._left[self.at_once :]
        if not batch:
            return True
        done = await asyncio.gather(*(self._create(one) for one in batch))
        self._left = rest + [one for one, is_done in zip(batch, done, strict=True) if not is_done]
        return all(done)

    async def _create(self, one: Started) -> bool:
        request = with_secrets(
            self._work,
            self._secrets,
            one.server_id,
            job_id=self._claimed.job_id,
            deployment_id=one.command_id,
            requested_by=self._brief.requested_by,
            schedule_id=self._brief.schedule_id,
        )
        assert isinstance(request, CreateRequest)  # noqa: S101 - by its kind
        try:
            await self._tools.deployments.create(request)
        except _PASSING as error:
            log.info("job_deployment_delayed", deployment_id=str(one.command_id), reason=error.reason)
            return False
        except MyxError as error:
            await self._refused(one.command_id, error)
        return True

    async def _refused(self, deployment_id: UUID, error: MyxError) -> None:
        reason = error.reason.lower()
        status = TargetStatus.UNREACHABLE if reason in UNREACHABLE_REASONS else TargetStatus.FAILED
        await self._tools.store.refused(deployment_id, status, reason, error.message)
