"""Schedules: what may be asked for, what each policy does, and what a time that comes leaves behind."""

import asyncio
from datetime import UTC, timedelta

import pytest
from executor_schedules import QUICK, Schedules, command, commands_of, now

from myx.executor.v1 import command_pb2
from myx.executor.v1 import schedule_service_pb2 as pb
from myx.executor.v1.job_service_pb2 import GetJobRequest
from myx.executor.v1.job_service_pb2_grpc import JobServiceStub
from myx.executor.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from myx_kit.errors import Aborted, AlreadyExists, InvalidArgument, MyxError, NotFound, PermissionDenied
from myx_kit.rpc.client import open_channel
from myx_testkit.wait import until

STARTED, SKIPPED = pb.FIRE_OUTCOME_STARTED, pb.FIRE_OUTCOME_SKIPPED
MISSED, DENIED, FAILED = pb.FIRE_OUTCOME_MISSED, pb.FIRE_OUTCOME_DENIED, pb.FIRE_OUTCOME_FAILED
WAITING, PENDING = pb.FIRE_OUTCOME_WAITING, pb.FIRE_OUTCOME_PENDING


pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def executor(start_executor):
    """One executor for the tests that leave it alone."""
    return start_executor(**QUICK)


@pytest.fixture
async def schedules(executor, module_postgres):
    async with Schedules(executor, module_postgres) as client:
        yield client
        await client.clear()


# ---- what may be asked for ----------------------------------------------------------------------------------


async def test_a_schedule_is_kept_shown_and_removed(schedules, agent):
    work = command(agent.name, "/bin/sh", "-c", "true", secret_env={"TOKEN": "hush"}, stdin=b"secret")
    made = await schedules.create(work, "nightly", cron="30 2 * * *", time_zone="Europe/Berlin")
    assert made.name == "nightly"
    assert made.owner == "token:admin"
    assert (made.missed, made.overlap) == (pb.MISSED_POLICY_SKIP, pb.OVERLAP_POLICY_SKIP)
    assert made.missed_within.ToTimedelta() == timedelta(hours=1)
    assert len(made.next_times) == 5
    assert all(time.ToDatetime(UTC) > now() for time in made.next_times)
    assert dict(made.work.command.secret_env) == {"TOKEN": ""}
    assert b"secret" not in made.SerializeToString().replace(b"secret_env", b"")
    assert made == await schedules.get(made.id) == await schedules.get("nightly")
    await schedules.create(command(agent.name), "another")
    listed = await schedules.stub.ListSchedules(pb.ListSchedulesRequest(page_size=1))
    rest = await schedules.stub.ListSchedules(pb.ListSchedulesRequest(page_token=listed.next_page_token))
    assert [one.name for one in (*listed.schedules, *rest.schedules)] == ["another", "nightly"]
    rows = schedules.execute("select row_to_json(s)::text from executor.schedule s")
    assert all("hush" not in row[0] and 'secret"' not in row[0] for row in rows)
    await schedules.delete("nightly")
    with pytest.raises(NotFound, match="SCHEDULE_NOT_FOUND"):
        await schedules.get("nightly")


def bad(**fields):
    work = command("x")
    for name, value in fields.items():
        setattr(work.command, name, value)
    return work


def job(**fields):
    work = pb.ScheduledWork()
    work.job.work.command.command = "true"
    for name, value in fields.items():
        setattr(work.job, name, value)
    return work


FROZEN = "work.job.expected_targets_sha256"


async def test_what_is_wrong_is_refused_naming_the_field(schedules, agent):
    good = command(agent.name)
    cases = [
        ({"name": "Bad Name"}, good, "SCHEDULE_INVALID", "name"),
        ({"cron": "61 * * * *"}, good, "SCHEDULE_INVALID", "cron"),
        ({"cron": "0 0 30 2 *"}, good, "SCHEDULE_INVALID", "cron"),
        ({"time_zone": "Mars/Olympus"}, good, "SCHEDULE_INVALID", "time_zone"),
        ({"missed": 9}, good, "SCHEDULE_INVALID", "missed"),
        ({"overlap": 9}, good, "SCHEDULE_INVALID", "overlap"),
        ({"missed_within": {"seconds": 5}}, good, "SCHEDULE_INVALID", "missed_within"),
        ({"request_id": "x" * 300}, good, "SCHEDULE_INVALID", "request_id"),
        ({}, pb.ScheduledWork(), "SCHEDULE_INVALID", "work"),
        ({}, bad(request_id="x"), "SCHEDULE_INVALID", "work.command.request_id"),
        ({}, command(agent.name, ""), "COMMAND_EMPTY", "work.command.command"),
        ({}, command(agent.name, cwd="tmp"), "ARGUMENT_INVALID", "work.command.cwd"),
        ({}, command(agent.name, secret_env={"A": ""}), "SCHEDULE_INVALID", "work"),
        ({}, command("nowhere"), "SERVER_NOT_FOUND", "work.command.server"),
        ({}, job(), "SELECTOR_INVALID", "work.job.selector"),
        ({}, job(selector="name ~ "), "SELECTOR_INVALID", "work.job.selector"),
        (
            {},
            job(selector="all", expected_targets_sha256="0" * 64),
            "SCHEDULE_INVALID",
            "work.job.expected_targets_sha256",
        ),
    ]
    for fields, work, reason, field in cases:
        with pytest.raises(MyxError) as caught:
            await schedules.create(work, **({"name": "wrong"} | fields))
        assert (caught.value.reason, caught.value.fields["field"]) == (reason, field), fields
    assert not (await schedules.stub.ListSchedules(pb.ListSchedulesRequest())).schedules


async def test_the_same_request_creates_one_schedule(schedules, agent):
    work = command(agent.name, secret_env={"A": "1"})
    made = await asyncio.gather(*(schedules.create(work, "one", request_id="r") for _ in range(5)))
    assert len({one.id for one in made}) == 1
    with pytest.raises(Aborted, match="REQUEST_ID_REUSED"):
        await schedules.create(command(agent.name, secret_env={"A": "2"}), "one", request_id="r")
    with pytest.raises(AlreadyExists, match="SCHEDULE_NAME_TAKEN"):
        await schedules.create(work, "one", request_id="other")


async def test_a_schedule_that_was_changed_since_is_not_removed(schedules, agent):
    made = await schedules.create(command(agent.name), "mine")
    paused = await schedules.update("mine", "paused", paused=True)
    with pytest.raises(Aborted, match="ETAG_MISMATCH"):
        await schedules.delete("mine", made.etag)
    assert await schedules.get("mine") == paused
    await schedules.delete("mine", paused.etag)
    with pytest.raises(NotFound, match="SCHEDULE_NOT_FOUND"):
        await schedules.get("mine")


async def test_who_changes_what_happens_becomes_the_owner(schedules, agent):
    made = await schedules.create(command(agent.name, secret_env={"A": "1"}), "mine")
    paused = await schedules.update("mine", "paused", paused=True, requested_by="token:other", etag=made.etag)
    assert (paused.paused, paused.owner, list(paused.next_times)) == (True, "token:admin", [])
    with pytest.raises(Aborted, match="ETAG_MISMATCH"):
        await schedules.update("mine", "paused", paused=False, etag=made.etag)
    moved = await schedules.update("mine", "time_zone", "cron", time_zone="Asia/Tokyo", cron="0 9 * * *")
    assert moved.etag != paused.etag
    theirs = await schedules.update("mine", "work", work=command(agent.name, "/bin/ls"), requested_by="token:other")
    assert (theirs.owner, theirs.work.command.command) == ("token:other", "/bin/ls")
    assert not theirs.work.command.secret_env
    with pytest.raises(InvalidArgument) as caught:
        await schedules.update("mine", "work", work=command(agent.name, secret_env={"A": ""}))
    assert (caught.value.reason, caught.value.fields["field"]) == ("SCHEDULE_INVALID", "work")
    for mask in ([], ["name"], ["nonsense"]):
        with pytest.raises(InvalidArgument, match="UPDATE_MASK_INVALID"):
            await schedules.update("mine", *mask)


async def test_times_are_shown_before_anything_is_stored(schedules):
    request = pb.PreviewScheduleRequest(cron="30 2 * * *", time_zone="Europe/Berlin", count=3)
    request.after.FromJsonString("2026-03-28T00:00:00Z")
    times = (await schedules.stub.PreviewSchedule(request)).times
    assert [time.ToJsonString() for time in times] == [
        "2026-03-28T01:30:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    ]
    request.count = 101
    with pytest.raises(InvalidArgument, match="SCHEDULE_INVALID"):
        await schedules.stub.PreviewSchedule(request)


# ---- firing -------------------------------------------------------------------------------------------------


async def test_a_time_that_comes_starts_the_work_with_its_secrets(executor, schedules, agent, tmp_path):
    mark = tmp_path / "mark"
    work = command(
        agent.name,
        "/bin/sh",
        "-c",
        f'printf "%s %s" "$TOKEN" "$(cat)" > {mark}',
        secret_env={"TOKEN": "hush"},
        stdin=b"in",
    )
    made = await schedules.create(work)
    schedules.due(made.id)
    fire = (await schedules.decided(made.id))[0]
    assert (fire.outcome, fire.started_kind) == (STARTED, "command"), fire
    async with executor.client() as client:
        ended = await client.final(fire.started_id)
    assert (ended.status, ended.schedule_id, ended.requested_by) == (
        command_pb2.COMMAND_STATUS_SUCCESS,
        made.id,
        "token:admin",
    )
    assert mark.read_text() == "hush in"
    assert (await schedules.get(made.id)).last_fire == fire
    subjects = [
        row[0] for row in schedules.execute("select sealed is null and work is null from executor.schedule_fire")
    ]
    assert subjects == [True]


async def test_a_job_is_started_on_what_matches_when_it_fires(executor, schedules, agent):
    made = await schedules.create(job(selector=f"name in ({agent.name})", name="everywhere"))
    schedules.due(made.id)
    fire = (await schedules.decided(made.id))[0]
    assert (fire.outcome, fire.started_kind) == (STARTED, "job"), fire
    channel = open_channel(f"127.0.0.1:{executor.port}", executor.tls_dir, "gateway", "executor")
    started = (await JobServiceStub(channel).GetJob(GetJobRequest(job_id=fire.started_id))).job
    await channel.close()
    assert (started.schedule_id, started.target_count, started.name) == (made.id, 1, "everywhere")


async def test_a_selector_that_matches_nothing_starts_nothing(schedules, agent):
    made = await schedules.create(job(selector="role=nobody"))
    schedules.due(made.id)
    fire = (await schedules.decided(made.id))[0]
    assert (fire.outcome, fire.reason) == (FAILED, "selector_matches_nothing")


async def test_missed_times_are_told_and_run_once_if_that_was_asked(schedules, agent):
    work, hour = command(agent.name), timedelta(hours=1)
    skips = await schedules.create(work, cron="0 * * * *")
    once = await schedules.create(
        work, cron="0 * * * *", missed=pb.MISSED_POLICY_RUN_ONCE, missed_within={"seconds": 7200}
    )
    old = await schedules.create(work, cron="0 0 1 1 *", missed=pb.MISSED_POLICY_RUN_ONCE)
    paused = await schedules.create(work, cron="0 * * * *", missed=pb.MISSED_POLICY_RUN_ONCE, paused=True)
    # The times were odd ones, so that the minute at which this runs does not matter.
    for one in (skips, once, old, paused):
        schedules.due(one.id, 3 * hour)
    fires = await schedules.decided(once.id, 4)
    assert [fire.outcome for fire in fires] == [STARTED, MISSED, MISSED, MISSED]
    assert {fire.outcome for fire in (await schedules.decided(skips.id, 3))[1:]} == {MISSED}
    assert [(fire.outcome, fire.reason) for fire in await schedules.decided(old.id)] == [(MISSED, "nobody_fired")]
    assert {(fire.outcome, fire.reason) for fire in await schedules.decided(paused.id, 3)} == {(MISSED, "paused")}
    assert (await schedules.get(once.id)).next_times[0].ToDatetime(UTC) > now()


async def test_overlap_skips_waits_or_is_allowed(executor, schedules, agent, tmp_path):
    gate = tmp_path / "gate"
    work = command(agent.name, "/bin/sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done")
    made = {
        policy: await schedules.create(work, overlap=getattr(pb, f"OVERLAP_POLICY_{policy}"))
        for policy in ("SKIP", "WAIT", "ALLOW")
    }
    for one in made.values():
        schedules.due(one.id)
        assert (await schedules.decided(one.id))[0].outcome == STARTED
        schedules.due(one.id)
    assert (await schedules.decided(made["SKIP"].id, 2))[0].reason == "still_running"
    assert (await schedules.decided(made["ALLOW"].id, 2))[0].outcome == STARTED
    await schedules.outcome(made["WAIT"].id, WAITING)
    schedules.due(made["WAIT"].id)
    third = (await schedules.decided(made["WAIT"].id, 2))[0]
    assert (third.outcome, third.reason) == (SKIPPED, "another_waits")
    gate.touch()
    fires = await schedules.decided(made["WAIT"].id, 3)
    assert [fire.outcome for fire in fires] == [SKIPPED, STARTED, STARTED]
    assert len(await commands_of(executor, made["WAIT"].id)) == 2


async def test_a_pause_and_a_removal_end_what_waits(executor, schedules, agent, tmp_path):
    gate = tmp_path / "gate"
    work = command(agent.name, "/bin/sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done")
    both = [await schedules.create(work, overlap=pb.OVERLAP_POLICY_WAIT) for _ in range(2)]
    for one in both:
        schedules.due(one.id)
        await schedules.decided(one.id)
        schedules.due(one.id)
        await schedules.outcome(one.id, WAITING)
    await schedules.update(both[0].id, "paused", paused=True)
    await schedules.delete(both[1].id)
    gate.touch()
    assert (await schedules.decided(both[0].id, 2))[0].reason == "paused"
    assert [len(await commands_of(executor, one.id)) for one in both] == [1, 1]


async def test_a_refused_start_is_told_with_its_reason(schedules, registry, agent):
    name = f"gone-{agent.name}"
    registry.put(agent.endpoint(server_name=name, server_id=name, agent_id=name))
    made = await schedules.create(command(name))
    registry.servers.pop(name)
    registry._write()
    schedules.due(made.id)
    fire = (await schedules.decided(made.id))[0]
    assert (fire.outcome, fire.reason) == (FAILED, "server_not_found")


async def test_clocks_that_jump_double_nothing(schedules, agent):
    made = await schedules.create(command(agent.name), cron="* * * * *")
    schedules.due(made.id)
    fires = await schedules.decided(made.id)
    slot = fires[0].slot_at.ToDatetime(UTC)
    # As if the clock had gone back: the same time comes again.
    schedules.execute("update executor.schedule set next_at = %s where id = %s", slot, made.id)

    async def passed():
        return schedules.execute("select next_at > %s from executor.schedule where id = %s", slot, made.id)[0][0]

    await until(passed, 30)
    again = await schedules.fires(made.id)
    assert [fire.slot_at for fire in again if fire.slot_at == fires[0].slot_at] == [fires[0].slot_at]
    changed = await schedules.update(made.id, "cron", cron="*/2 * * * *")
    assert changed.next_times[0].ToDatetime(UTC) > slot


async def test_only_the_gateway_may_ask(executor, tls_dir):
    channel = open_channel(f"127.0.0.1:{executor.port}", tls_dir, "registry", "executor")
    with pytest.raises(PermissionDenied):
        await ScheduleServiceStub(channel).ListSchedules(pb.ListSchedulesRequest(), timeout=10)
    await channel.close()


async def test_a_replica_that_dies_between_start_and_record_leaves_no_second_run(executor, schedules, agent):
    made = await schedules.create(command(agent.name))
    schedules.due(made.id)
    fire = (await schedules.decided(made.id))[0]
    # As the rows are when it was killed after the start: the time is undecided, its lease has run out.
    schedules.execute(
        "update executor.schedule_fire f set outcome = 'pending', started_id = null, decided_at = null,"
        " watched = false, work = s.work, sealed = s.sealed, principal = s.owner, deadline_at = now(),"
        " lease_until = now() from executor.schedule s where s.id = f.schedule_id and s.id = %s",
        made.id,
    )
    # What has happened since must not matter: another owner, a removed right, a deadline that has passed.
    await schedules.update(made.id, "work", work=command(agent.name, "/bin/ls"), requested_by="token:other")
    again = (await schedules.decided(made.id))[0]
    assert (again.outcome, again.started_id) == (STARTED, fire.started_id)
    assert len(await commands_of(executor, made.id)) == 1
