"""Jobs whose owners, agents and neighbours fail in the middle."""

import asyncio
import os
import signal
from pathlib import Path

import psycopg
import pytest
from executor_jobs import RUNNING, WAITING, Fleet, JobClient, counts, options, shell, status

from myx.executor.v1 import job_pb2
from myx_kit.errors import MyxError
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

        async def quiet():
            return await asked.count(job.id, RUNNING) == 0

        await until(quiet, 60)
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


def database(executor):
    return Path(executor.environment["MYX_EXECUTOR_DATABASE_URL_FILE"]).read_text(encoding="utf-8").strip()
