"""Jobs whose owners, agents and neighbours fail in the middle."""

import asyncio
import os
import signal
from pathlib import Path

import psycopg
import pytest
from executor_jobs import RUNNING, WAITING, Fleet, JobClient, counts, options, shell, status
from executor_world import Client

from myx.executor.v1 import command_pb2, job_pb2
from myx_kit.errors import MyxError
from myx_kit.events.bus import Bus
from myx_testkit.wait import until

FAST = {"lease_s": 2, "lease_renew_s": 0.5, "sweep_interval_s": 0.2, "agent_rpc_retry_base_delay_s": 0.05}
SUCCESS = job_pb2.TARGET_STATUS_SUCCESS


@pytest.fixture
def marks(tmp_path):
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def mark(folder):
    return f"mktemp {folder}/XXXXXXXX >/dev/null"


def owner_of(replicas, job):
    """The replica that has the job, and the others."""
    mine = [one for one in replicas if f"-{one.program.process.pid}-" in job.owner]
    assert len(mine) == 1, job.owner
    return mine[0], [one for one in replicas if one is not mine[0]]


async def owned(client, job_id):
    async def has_owner():
        job = await client.get(job_id)
        return job if job.owner else None

    return await until(has_owner)


async def some_done(client, job_id, count):
    async def enough():
        return await client.count(job_id, SUCCESS) >= count

    await until(enough, 60)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
async def test_another_replica_goes_on_with_the_job_of_one_that_is_gone_and_nothing_runs_twice(
    replica, registry, agents, marks, how
):
    replicas = replica("one", "other", **FAST)
    fleet = Fleet(registry, agents, 24)
    async with JobClient(replicas[0]) as first, JobClient(replicas[1]) as second:
        job = await first.create(
            fleet.selector, shell(f"{mark(marks)}; sleep 0.3"), opts=options(concurrency=3, batches=[10])
        )
        owner, (other,) = owner_of(replicas, await owned(first, job.id))
        asked = second if other is replicas[1] else first
        await some_done(asked, job.id, 4)
        os.kill(owner.program.process.pid, how)
        final = await asked.final(job.id)
        if how == signal.SIGSTOP:
            os.kill(owner.program.process.pid, signal.SIGCONT)
            again = await (first if asked is second else second).final(job.id)
            assert again == final
        assert (status(final), counts(final)) == ("success", {"success": 24})
        assert len(list(marks.iterdir())) == 24


async def test_a_zombie_can_start_nothing(replica, registry, agents, marks):
    """Its lease runs out while it is stopped; the other one is paused meanwhile: the job must not move."""
    replicas = replica("one", "other", **FAST)
    fleet = Fleet(registry, agents, 10)
    async with JobClient(replicas[0]) as first, JobClient(replicas[1]) as second:
        job = await first.create(fleet.selector, shell(f"{mark(marks)}; sleep 0.2"), opts=options(concurrency=1))
        owner, (other,) = owner_of(replicas, await owned(first, job.id))
        asked = second if other is replicas[1] else first
        await some_done(asked, job.id, 1)
        os.kill(owner.program.process.pid, signal.SIGSTOP)

        async def taken_over():
            return f"-{other.program.process.pid}-" in (await asked.get(job.id)).owner

        await until(taken_over, 15)
        await asked.ask("PauseJob", job.id)

        def all_ended():
            # What was stored and not yet sent waits with its paused job.
            with psycopg.connect(database(other)) as db:
                under_way = "job_id = %s and dispatch_at is not null and ended_at is null"
                return db.execute(
                    f"select not exists (select from executor.command where {under_way})", (job.id,)
                ).fetchone()[0]

        await until(all_ended, 60, interval_s=0.05)
        waiting = await asked.count(job.id, WAITING)
        os.kill(owner.program.process.pid, signal.SIGCONT)
        zombie = first if asked is second else second
        for _ in range(10):
            assert await zombie.count(job.id, WAITING) == waiting
            await asyncio.sleep(0.1)
        await zombie.ask("ResumeJob", job.id)
        assert counts(await zombie.final(job.id)) == {"success": 10}
        assert len(list(marks.iterdir())) == 10


async def test_dead_agents_count_apart_and_a_batch_ends_although_half_of_it_is_dead(replica, registry, agents, marks):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 8, dead=4)
    async with JobClient(one) as client:
        job = await client.create(
            fleet.selector, shell(mark(marks)), opts=options(batches=[8], max_failed=0, max_unreachable="50%")
        )
        final = await client.final(job.id)
        assert (status(final), counts(final)) == ("partial", {"success": 4, "unreachable": 4})
        dead = await client.targets(job.id, job_pb2.TARGET_STATUS_UNREACHABLE)
        assert [target.server_name for target in dead] == fleet.names[4:]
        assert {target.reason for target in dead} == {"agent_unreachable"}
        assert len(list(marks.iterdir())) == 4


async def test_past_the_threshold_of_unreachable_ones_nothing_is_started(replica, registry, agents, marks):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 12, dead=12)
    async with JobClient(one) as client:
        job = await client.create(
            fleet.selector, shell(mark(marks)), opts=options(concurrency=2, max_unreachable=1, max_failed=0)
        )
        final = await client.final(job.id)
        assert (status(final), final.reason) == ("stopped", "max_unreachable")
        assert counts(final)["not_started"] >= 8


async def test_a_deadline_ends_the_job_and_what_it_runs(replica, registry, agents):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 4)
    async with JobClient(one) as client:
        job = await client.create(fleet.selector, shell("sleep 600"), opts=options(concurrency=2, deadline=1))

        async def stopping():
            return status(await client.get(job.id)) == "stopping"

        await until(stopping, 30)
        stopped = await client.get(job.id)
        assert (stopped.reason, counts(stopped)) == ("deadline", {"running": 2, "not_started": 2})
        assert stopped.HasField("deadline_at")
        with psycopg.connect(database(one)) as db:
            db.execute("update executor.job set deadline_at = now() where id = %s", (job.id,))
        final = await client.final(job.id)
        assert (status(final), final.reason) == ("cancelled", "deadline")
        assert counts(final) == {"cancelled": 2, "not_started": 2}
        assert [change.to for change in final.changes] == ["pending", "running", "stopping", "cancelling", "cancelled"]


async def test_a_list_that_was_tampered_with_starts_nothing(replica, registry, agents, marks):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 3)
    async with JobClient(one) as client:
        job = await client.create(fleet.selector, shell(mark(marks)), opts=options(batches=[1], batch_pause=600))
        await some_done(client, job.id, 1)
    one.program.kill9()
    with psycopg.connect(database(one)) as db:
        db.execute("update executor.job_target set server_id = %s where job_id = %s and number = 3", ("other", job.id))
    one.start()
    async with JobClient(one) as client:
        final = await client.final(job.id)
        assert (status(final), final.reason) == ("stopped", "targets_changed")
        assert counts(final) == {"success": 1, "not_started": 2}
        assert len(list(marks.iterdir())) == 1


async def test_a_command_that_ended_without_telling_its_job_is_found(replica, registry, agents):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 2)
    async with JobClient(one) as client:
        job = await client.create(fleet.selector, shell("sleep 600"))

        async def all_run():
            return await client.count(job.id, RUNNING) == 2

        await until(all_run)
        # As a replica of a release before would end one, and as retention would delete one.
        first, second = await client.targets(job.id)
        with psycopg.connect(database(one)) as db:
            db.execute(
                "update executor.command set status = 'failed', reason = 'exit_code', exit_code = 9, owner = null,"
                " lease_until = null, fence = fence + 1, ended_at = now() where id = %s",
                (first.command_id,),
            )
            db.execute("delete from executor.command where id = %s", (second.command_id,))
        final = await client.final(job.id, 120)
        assert (status(final), counts(final)) == ("failed", {"failed": 1, "lost": 1})


async def test_a_database_that_is_away_for_a_while_delays_and_loses_nothing(replica, registry, agents, marks, postgres):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 12)
    async with JobClient(one) as client:
        job = await client.create(fleet.selector, shell(f"{mark(marks)}; sleep 0.2"), opts=options(concurrency=2))
        await some_done(client, job.id, 2)
        for _ in range(4):
            with psycopg.connect(postgres.url, autocommit=True) as db:
                db.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name like 'myx-executor%' and pid <> pg_backend_pid()"
                )
            await asyncio.sleep(0.3)

        async def ended():
            try:
                job_now = await client.get(job.id)
            except MyxError:
                return None
            return job_now if job_now.status >= job_pb2.JOB_STATUS_SUCCESS else None

        final = await until(ended, 90)
        assert counts(final) == {"success": 12}
        assert len(list(marks.iterdir())) == 12


async def test_targets_that_are_offline_are_skipped_or_wait_as_the_work_says(replica, registry, agents, marks):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 4, dead=2)
    async with JobClient(one) as client:
        skipping = await client.create(fleet.selector, shell(mark(marks), offline=command_pb2.OFFLINE_POLICY_SKIP))
        final = await client.final(skipping.id)
        assert (status(final), counts(final)) == ("partial", {"success": 2, "skipped": 2})
        work = shell(mark(marks), offline=command_pb2.OFFLINE_POLICY_QUEUE, queue_timeout={"seconds": 8})
        queueing = await client.create(fleet.selector, work)
        final = await client.final(queueing.id)
        assert (status(final), counts(final)) == ("partial", {"success": 2, "unreachable": 2})
        waited = await client.targets(queueing.id, job_pb2.TARGET_STATUS_UNREACHABLE)
        assert {target.reason for target in waited} == {"queue_timeout"}
        assert len(list(marks.iterdir())) == 4


async def test_a_cancelled_job_takes_back_what_waits_for_an_agent(replica, registry, agents, marks):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 4, dead=2)
    async with JobClient(one) as client:
        work = shell(mark(marks), offline=command_pb2.OFFLINE_POLICY_QUEUE)
        job = await client.create(fleet.selector, work)

        async def both_wait():
            running = await client.targets(job.id, RUNNING)
            return len(running) == 2 and all(target.reason for target in running)

        await until(both_wait, 60)
        await client.ask("CancelJob", job.id)
        final = await client.final(job.id, 60)
        assert (status(final), counts(final)) == ("cancelled", {"success": 2, "cancelled": 2})


async def test_one_hung_command_holds_up_the_next_job_only_if_a_lock_says_so(
    replica, registry, agents, marks, tmp_path
):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 3)
    gate = tmp_path / "gate"
    lock = {"lock": command_pb2.LOCK_MODE_EXCLUSIVE}
    async with JobClient(one) as client:
        script = f"while ! test -e {gate}; do sleep 0.05; done"
        hung = await client.create(fleet.selector, shell(script, **lock))

        async def all_run():
            return len(await client.targets(hung.id, RUNNING)) == 3

        await until(all_run)
        free = await client.create(fleet.selector, shell(mark(marks)))
        assert counts(await client.final(free.id)) == {"success": 3}
        behind = await client.create(fleet.selector, shell(mark(marks), **lock))

        async def all_wait():
            return {target.reason for target in await client.targets(behind.id, RUNNING)} == {"lock_held"}

        await until(all_wait)
        impatient = await client.create(fleet.selector, shell(mark(marks), queue_timeout={"seconds": 1}, **lock))
        final = await client.final(impatient.id)
        assert (counts(final), status(final)) == ({"failed": 3}, "failed")
        assert {target.reason for target in await client.targets(impatient.id)} == {"queue_timeout"}
        assert len(list(marks.iterdir())) == 3
        gate.touch()
        assert counts(await client.final(behind.id)) == {"success": 3}
        assert counts(await client.final(hung.id)) == {"success": 3}


async def test_a_target_whose_command_is_cancelled_by_itself_is_cancelled(replica, registry, agents):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 2)
    async with JobClient(one) as client, Client(f"127.0.0.1:{one.port}", one.tls_dir) as commands:
        job = await client.create(fleet.selector, shell("sleep 600"))

        async def both_run():
            return len([one for one in await client.targets(job.id, RUNNING) if one.HasField("started_at")]) == 2

        await until(both_run)
        for target in await client.targets(job.id):
            await commands.cancel(target.command_id)
        final = await client.final(job.id)
        assert (status(final), counts(final)) == ("failed", {"cancelled": 2})


async def test_start_pause_and_end_are_told_as_events(replica, registry, agents, tls_dir, nats):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 2)
    heard = []

    async def on_event(event):
        heard.append(event)

    bus = await Bus.connect(nats.url, tls_dir, "executor")
    bus.consume_ephemeral("myx.events.job.>", on_event)
    await bus.flush()
    try:
        async with JobClient(one) as client:
            job = await client.create(fleet.selector, shell("sleep 1"), opts=options(concurrency=1), name="nightly")

            async def begun():
                return status(await client.get(job.id)) == "running"

            await until(begun)
            await client.ask("PauseJob", job.id)
            await client.ask("ResumeJob", job.id)
            await client.final(job.id)
        await until(lambda: asyncio.sleep(0, len(heard) >= 3), 20)
    finally:
        await bus.close()
    assert [event.WhichOneof("fact") for event in heard] == ["job_started", "job_paused", "job_finished"]
    assert (heard[0].job_started.target_count, heard[0].job_started.name) == (2, "nightly")
    assert dict(heard[-1].job_finished.counts) == {"success": 2}
    assert [event.revision for event in heard] == sorted({event.revision for event in heard})


def database(executor):
    return Path(executor.environment["MYX_EXECUTOR_DATABASE_URL_FILE"]).read_text(encoding="utf-8").strip()
