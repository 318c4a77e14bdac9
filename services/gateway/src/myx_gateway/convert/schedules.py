"""Schedules, what they start and what became of it."""

from collections.abc import Mapping
from datetime import UTC

from myx.executor.v1 import schedule_service_pb2 as executor
from myx_gateway.convert import commands, deployments, jobs
from myx_gateway.convert.states import put_seconds
from myx_gateway.convert.wire import moment_of, names_of, seconds_of
from myx_gateway.schemas.schedules import (
    FireOutcome,
    MissedPolicy,
    NewSchedule,
    NewScheduledWork,
    OverlapPolicy,
    Schedule,
    ScheduleChanges,
    ScheduledCommand,
    ScheduledDeployment,
    ScheduledJob,
    ScheduledWork,
    ScheduleFire,
)

_MISSED = names_of(executor.MissedPolicy, MissedPolicy)
_OVERLAP = names_of(executor.OverlapPolicy, OverlapPolicy)
_OUTCOME = names_of(executor.FireOutcome, FireOutcome)
_WIRE_MISSED = {name: number for number, name in _MISSED.items()}
_WIRE_OVERLAP = {name: number for number, name in _OVERLAP.items()}


def wire_work(work: NewScheduledWork) -> executor.ScheduledWork:
    """The wire form of what is started."""
    if work.command is not None:
        command = commands.wire_command(work.command)
        command.server = work.command.server
        return executor.ScheduledWork(command=command)
    if work.deployment is not None:
        deployment = deployments.wire_deployment(work.deployment)
        deployment.server = work.deployment.server
        return executor.ScheduledWork(deployment=deployment)
    assert work.job is not None  # noqa: S101 - the schema has seen to it
    return executor.ScheduledWork(job=jobs.wire_job(work.job))


def wire_schedule(body: NewSchedule) -> executor.CreateScheduleRequest:
    """The request to add a schedule; who asks is the caller's to add."""
    request = executor.CreateScheduleRequest(
        name=body.name,
        cron=body.cron,
        time_zone=body.time_zone,
        missed=_WIRE_MISSED[body.missed],
        overlap=_WIRE_OVERLAP[body.overlap],
        paused=body.paused,
        work=wire_work(body.work),
    )
    put_seconds(request.missed_within, body.missed_within_s)
    return request


def wire_changes(body: ScheduleChanges) -> executor.UpdateScheduleRequest:
    """The request to change a schedule; which one, and who asks, is the caller's to add."""
    request = executor.UpdateScheduleRequest(
        cron=body.cron or "", time_zone=body.time_zone or "", paused=body.paused or False
    )
    request.update_mask.paths.extend(body.changed())
    if body.missed is not None:
        request.missed = _WIRE_MISSED[body.missed]
    if body.overlap is not None:
        request.overlap = _WIRE_OVERLAP[body.overlap]
    if body.work is not None:
        request.work.CopyFrom(wire_work(body.work))
    put_seconds(request.missed_within, body.missed_within_s)
    return request


def _work(message: executor.ScheduledWork, names: Mapping[str, str]) -> ScheduledWork:
    def named(server: str) -> str:
        return names.get(server, server)

    work = ScheduledWork(command=None, deployment=None, job=None)
    kind = message.WhichOneof("work")
    if kind == "command":
        work.command = ScheduledCommand(server=named(message.command.server), **commands.content(message.command))
    elif kind == "deployment":
        content = jobs.deployment_content(message.deployment)
        work.deployment = ScheduledDeployment(server=named(message.deployment.server), **content)
    elif kind == "job":
        work.job = ScheduledJob(
            servers=[named(server) for server in message.job.servers],
            expected_targets_sha256=message.job.expected_targets_sha256,
            **jobs.content(message.job),
        )
    return work


def fire(message: executor.ScheduleFire) -> ScheduleFire:
    """What became of one time."""
    return ScheduleFire(
        slot_at=moment_of(message, "slot_at"),
        outcome=_OUTCOME.get(message.outcome, FireOutcome.UNKNOWN),
        reason=message.reason,
        message=message.message,
        started_kind=message.started_kind,
        started_id=message.started_id,
        decided_at=moment_of(message, "decided_at"),
    )


def schedule(message: executor.Schedule, names: Mapping[str, str]) -> Schedule:
    """A schedule; `names` of servers by their ids, as far as they are known."""
    return Schedule(
        id=message.id,
        name=message.name,
        cron=message.cron,
        time_zone=message.time_zone,
        missed=_MISSED.get(message.missed, MissedPolicy.SKIP),
        missed_within_s=seconds_of(message, "missed_within"),
        overlap=_OVERLAP.get(message.overlap, OverlapPolicy.SKIP),
        paused=message.paused,
        work=_work(message.work, names),
        owner=message.owner,
        next_times=[item.ToDatetime(tzinfo=UTC) for item in message.next_times],
        last_fire=fire(message.last_fire) if message.HasField("last_fire") else None,
        created_at=moment_of(message, "created_at"),
        updated_at=moment_of(message, "updated_at"),
        etag=message.etag,
    )
