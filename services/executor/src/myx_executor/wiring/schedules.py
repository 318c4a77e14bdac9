"""Schedules from parts."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from myx.executor.v1.schedule_service_pb2_grpc import add_ScheduleServiceServicer_to_server
from myx_executor.adapters.access import NoAccess
from myx_executor.adapters.scheduled_jobs import JobStarter
from myx_executor.adapters.scheduled_work import CommandStarter, DeploymentStarter, ScheduledWork
from myx_executor.domain.schedules import WorkKind
from myx_executor.rpc.schedules import ScheduleServicer
from myx_executor.settings import ExecutorSettings
from myx_executor.store.jobs import JobStore
from myx_executor.store.schedule_fires import FireStore
from myx_executor.store.schedules import ScheduleStore
from myx_executor.usecases.deployments.create import CreateDeployment
from myx_executor.usecases.jobs.create import CreateJob
from myx_executor.usecases.run_command import RunCommand
from myx_executor.usecases.schedules.manage import Schedules
from myx_executor.usecases.schedules.slots import Slots
from myx_executor.usecases.schedules.start import Starts
from myx_executor.wiring.jobs import Around
from myx_kit.loops import Loop, TaskOwner
from myx_kit.rpc.server import RpcServer

SCHEDULES = "myx.executor.v1.ScheduleService"
METHODS = (
    "CreateSchedule",
    "GetSchedule",
    "ListSchedules",
    "UpdateSchedule",
    "DeleteSchedule",
    "ListScheduleFires",
    "PreviewSchedule",
)


@dataclass(frozen=True, slots=True)
class Doors:
    """Ways by which work is accepted."""

    commands: RunCommand
    deployments: CreateDeployment
    jobs: CreateJob


def run_schedules(
    settings: ExecutorSettings, owner: str, around: Around, doors: Doors, stack: AsyncExitStack
) -> Schedules:
    """Everything, with what fires schedules under way; closed by the stack."""
    pool, targets, box = around.pool, around.targets, around.base.box
    store, commands = ScheduleStore(pool), around.base.commands
    work = ScheduledWork(
        {
            WorkKind.COMMAND: CommandStarter(doors.commands, commands, targets),
            WorkKind.DEPLOYMENT: DeploymentStarter(doors.deployments, commands, targets),
            WorkKind.JOB: JobStarter(doors.jobs, JobStore(pool), targets, doors.deployments),
        }
    )
    fires = FireStore(pool)
    access = around.base.authority.access or NoAccess(allow=settings.schedules_unchecked)
    starts = Starts(fires, work, access, box, owner=owner, lease_s=settings.lease_s, on_event=around.tell)
    stack.push_async_callback(starts.close, settings.drain_s / 2)
    slots = Slots(fires, grace_s=settings.schedule_grace_s, on_made=starts.wake.set, on_event=around.tell)
    interval_s = settings.schedule_interval_s
    loops = {
        "schedule-slots": Loop("schedule-slots", interval_s, slots.run_once, max_backoff_s=5),
        "schedule-starts": Loop("schedule-starts", interval_s, starts.run_once, wake=starts.wake, max_backoff_s=5),
    }
    background = TaskOwner("schedule-loops")
    stack.push_async_callback(background.close)
    for name, loop in loops.items():
        background.start(loop.run(), name=name, critical=True)
    return Schedules(store, work, box)


def add_schedules(server: RpcServer, schedules: Schedules) -> None:
    """Serves them to the gateway, which says who asks (`requested_by`) and is believed."""
    server.add(add_ScheduleServiceServicer_to_server, ScheduleServicer(schedules), SCHEDULES)
    server.allow({f"/{SCHEDULES}/{method}": {"gateway", "standalone"} for method in METHODS})
