"""Jobs: all that a replica needs for them, put together."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from myx.executor.v1.job_service_pb2_grpc import add_JobServiceServicer_to_server
from myx_executor.adapters.live_bus import KitLiveBus
from myx_executor.domain.job_states import PROOF_MARGIN_S
from myx_executor.rpc.jobs import JobCases, JobServicer
from myx_executor.settings import ExecutorSettings
from myx_executor.store.jobs import JobStore
from myx_executor.store.jobs_owner import ClaimedJob, JobOwnerStore
from myx_executor.store.pool import Pool
from myx_executor.usecases.deployments.create import CreateDeployment
from myx_executor.usecases.deployments.ports import Registry
from myx_executor.usecases.drive import Tools
from myx_executor.usecases.jobs.bells import JobBells
from myx_executor.usecases.jobs.cancel import CancelUnderWay
from myx_executor.usecases.jobs.create import CreateJob
from myx_executor.usecases.jobs.drive import JobDrive, JobTools
from myx_executor.usecases.jobs.follow import FollowJob
from myx_executor.usecases.jobs.manage import ChangeJobs, ReadJobs, RetryJob
from myx_executor.usecases.jobs.ports import Targets
from myx_executor.usecases.jobs.runner import JobRunner
from myx_executor.usecases.jobs.start import StartTools
from myx_kit.loops import Loop, TaskOwner
from myx_kit.rpc.server import RpcServer

JOBS = "myx.executor.v1.JobService"
METHODS = (
    "PreviewJob",
    "CreateJob",
    "GetJob",
    "ListJobs",
    "ListJobTargets",
    "PauseJob",
    "ResumeJob",
    "CancelJob",
    "RetryJob",
    "UpdateJob",
    "FollowJob",
)


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of this replica."""

    runner: JobRunner
    bells: JobBells
    cases: JobCases


@dataclass(frozen=True, slots=True)
class Around:
    """What jobs work with that others have too. `wake_all`: commands wait to be claimed or cancelled."""

    pool: Pool
    lease_pool: Pool
    base: Tools
    registry: Registry
    targets: Targets
    deployments: CreateDeployment
    bells: JobBells
    wake_all: Callable[[], Awaitable[None]]
    tell: Callable[[], None]


def make_jobs(settings: ExecutorSettings, owner: str, around: Around) -> Jobs:
    """Everything, not started."""
    store, owned = JobStore(around.pool, lost_after_s=settings.lost_after_s), JobOwnerStore(around.pool)
    under_way = CancelUnderWay(
        store, around.base.locks, around.registry, wake_all=around.wake_all, on_event=around.tell
    )
    proof_s = settings.lost_after_s + PROOF_MARGIN_S
    base, bells = around.base, around.bells
    tools = JobTools(
        owned,
        under_way,
        bells,
        StartTools(
            owned,
            around.deployments,
            base.box,
            around.wake_all,
            default_timeout_s=settings.default_timeout_s,
            connect_timeout_s=settings.delivery_deadline_s,
        ),
        proof_s,
        around.tell,
        base.authority,
    )

    def make_drive(claimed: ClaimedJob) -> JobDrive:
        return JobDrive(tools, claimed, f"executor:{owner}")

    runner = JobRunner(
        owner,
        JobOwnerStore(around.lease_pool),
        make_drive,
        max_active=settings.max_active_jobs,
        lease_s=settings.lease_s,
    )
    create = CreateJob(store, around.targets, base.box, around.deployments, runner.wake.set)
    cases = JobCases(
        create=create,
        read=ReadJobs(store),
        change=ChangeJobs(store, bells, under_way, proof_s=proof_s, on_event=around.tell, on_new=runner.wake.set),
        retry=RetryJob(store, create),
        follow=FollowJob(store, bells, base.commands, base.logs, base.hub),
    )
    return Jobs(runner, bells, cases)


def run_jobs(
    settings: ExecutorSettings, owner: str, around: Around, stack: AsyncExitStack, live_bus: KitLiveBus
) -> Jobs:
    """Everything, with what a replica does of jobs by itself under way; closed by the stack."""
    jobs = make_jobs(settings, owner, around)
    runner, bells = jobs.runner, jobs.bells
    stack.push_async_callback(runner.close, settings.drain_s / 4)
    background = TaskOwner("job-loops")
    stack.push_async_callback(background.close)
    loops = {
        "renew": Loop("job-renew", settings.lease_renew_s, runner.renew_once, max_backoff_s=1),
        "sweep": Loop("job-sweep", settings.sweep_interval_s, runner.sweep_once, wake=runner.wake, max_backoff_s=2),
    }
    for name, loop in loops.items():
        background.start(loop.run(), name=name, critical=True)
    background.start(live_bus.watch_jobs(bells.ring, bells.ring_all), name="bells")
    return jobs


def add_jobs(server: RpcServer, jobs: Jobs) -> None:
    """Serves them to the gateway, which says who asks (`requested_by`) and is believed."""
    server.add(add_JobServiceServicer_to_server, JobServicer(jobs.cases), JOBS)
    server.allow({f"/{JOBS}/{method}": {"gateway", "standalone"} for method in METHODS})
