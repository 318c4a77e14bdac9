"""Deployments over many servers: the same engine, with ids that are reserved before the deployment is there."""

import os
import signal
import uuid

import psycopg
import pytest
from executor_jobs import RUNNING, Fleet, JobClient, counts, options, status
from executor_tool import make_tool
from test_job_faults import FAST, database, owned, owner_of

from myx.executor.v1 import deployment_pb2, deployment_service_pb2, job_pb2
from myx_kit.errors import NotFound
from myx_testkit.ports import free_port
from myx_testkit.wait import until


def play(playbook, **extra_vars):
    request = deployment_service_pb2.CreateDeploymentRequest(kind="playbook", playbook=playbook)
    request.extra_vars.update(extra_vars)
    return job_pb2.JobWork(deployment=request)


@pytest.fixture
def tool(tmp_path):
    return make_tool(tmp_path / "tool")


async def test_a_playbook_runs_once_on_each_server(replica, registry, agents, tool, tmp_path):
    one = replica("one", playbooks_dir=tool, **FAST)
    fleet = Fleet(registry, agents, 3)
    async with JobClient(one) as jobs:
        job = await jobs.create(
            fleet.selector, play("hello.yml", greeting="moon", target=str(tmp_path / "greeting")), name="greet"
        )
        assert job.work.deployment.playbook == "hello.yml"
        seen = await jobs.watch(job.id, output=True, timeout_s=300)
        assert (status(seen.job), counts(seen.job)) == ("success", {"success": 3}), seen.output
        assert all(b"hello moon" in seen.output[number] for number in (1, 2, 3))
        with psycopg.connect(database(one)) as db:
            rows = db.execute(
                "select c.id::text, d.playbook from executor.command c join executor.deployment d using (id)"
                " where c.job_id = %s",
                (job.id,),
            ).fetchall()
        assert sorted(rows) == sorted((target.command_id, "hello.yml") for target in await jobs.targets(job.id))


async def test_what_a_server_refuses_is_its_own_end_and_what_no_server_could_do_is_refused_at_once(
    replica, registry, agents, tool, tmp_path
):
    one = replica("one", playbooks_dir=tool, **FAST)
    fleet = Fleet(registry, agents, 2)
    without = {"server_id": str(uuid.uuid4()), "server_name": f"{fleet.label}-zz", "address": "127.0.0.1"}
    registry.put(without | {"_": {"labels": {"fleet": fleet.label}}})
    async with JobClient(one) as jobs:
        with pytest.raises(NotFound) as caught:
            await jobs.create(fleet.selector, play("no-such.yml"))
        assert caught.value.reason == "PLAYBOOK_NOT_FOUND"
        work = play("hello.yml", greeting="moon", target=str(tmp_path / "greeting"))
        work.deployment.method = 3
        job = await jobs.create(fleet.selector, work)
        final = await jobs.final(job.id, 300)
        assert (status(final), counts(final)) == ("partial", {"success": 2, "unreachable": 1})
        (refused,) = await jobs.targets(job.id, job_pb2.TARGET_STATUS_UNREACHABLE)
        assert (refused.reason, refused.command_id, refused.server_id) == ("agent_not_found", "", without["server_id"])


async def test_a_job_rotates_agents(replica, own_agent, tool):
    one = replica("one", playbooks_dir=tool, **FAST)
    work = job_pb2.JobWork(deployment=deployment_service_pb2.CreateDeploymentRequest(kind="rotate_agent"))
    async with JobClient(one) as jobs:
        job = await jobs.create("", work, servers=[own_agent.name])
        final = await jobs.final(job.id, 300)
        assert (status(final), counts(final)) == ("success", {"success": 1})
    assert own_agent.config["agent_token"] not in (own_agent.folder / "config.json").read_text()


async def test_another_replica_goes_on_with_what_was_reserved_and_nothing_runs_twice(
    replica, registry, agents, tool, tmp_path
):
    replicas = replica("one", "other", playbooks_dir=tool, **FAST)
    fleet = Fleet(registry, agents, 6)
    async with JobClient(replicas[0]) as first, JobClient(replicas[1]) as second:
        job = await first.create(
            fleet.selector,
            play("hello.yml", greeting="moon", target=str(tmp_path / "greeting")),
            opts=options(concurrency=2),
        )
        owner, (other,) = owner_of(replicas, await owned(first, job.id))
        asked = second if other is replicas[1] else first

        async def some_run():
            return await asked.count(job.id, RUNNING) or None

        await until(some_run, 60)
        os.kill(owner.program.process.pid, signal.SIGKILL)
        final = await asked.final(job.id, 400)
        assert (status(final), counts(final)) == ("success", {"success": 6})
        with psycopg.connect(database(other)) as db:
            (made,) = db.execute("select count(*) from executor.command where job_id = %s", (job.id,)).fetchone()
        assert made == 6


async def killed_behind_its_canary(owner, fleet, tmp_path):
    """A job of two targets whose first one is through, and whose owner is gone."""
    async with JobClient(owner) as jobs:
        job = await jobs.create(
            fleet.selector,
            play("hello.yml", greeting="moon", target=str(tmp_path / "greeting")),
            opts=options(canary=1, canary_soak=600),
        )

        async def canary_done():
            return await jobs.count(job.id, job_pb2.TARGET_STATUS_SUCCESS) == 1

        await until(canary_done, 300)
    owner.program.kill9()
    return job


def reserve_the_second(db, job_id, command_id):
    """As the owner does before it makes a deployment."""
    db.execute(
        "update executor.job_target set status = 'running', reserved = true, command_id = %s"
        " where job_id = %s and number = 2",
        (command_id, job_id),
    )


async def test_a_reservation_whose_owner_is_gone_is_taken_up(replica, registry, agents, tool, tmp_path):
    one = replica("one", playbooks_dir=tool, **FAST)
    job = await killed_behind_its_canary(one, Fleet(registry, agents, 2), tmp_path)
    reserved = uuid.uuid4()
    with psycopg.connect(database(one)) as db:
        reserve_the_second(db, job.id, reserved)
    one.start()
    async with JobClient(one) as jobs:
        final = await jobs.final(job.id, 300)
        assert counts(final) == {"success": 2}
        assert (await jobs.targets(job.id))[1].command_id == str(reserved)


async def test_a_deadline_passes_also_while_a_reserved_deployment_cannot_be_made(
    replica, registry, agents, tool, tmp_path
):
    one = replica("one", playbooks_dir=tool, **FAST)
    job = await killed_behind_its_canary(one, Fleet(registry, agents, 2), tmp_path)
    with psycopg.connect(database(one)) as db:
        reserve_the_second(db, job.id, uuid.uuid4())
        db.execute("update executor.job set deadline_at = now() where id = %s", (job.id,))
    other = replica("other", playbooks_dir=tool, registry_target=f"127.0.0.1:{free_port()}", **FAST)
    async with JobClient(other) as jobs:
        final = await jobs.final(job.id, 60)
    assert (status(final), final.reason) == ("stopped", "deadline")
    assert counts(final) == {"success": 1, "not_started": 1}


async def test_a_host_whose_agent_refuses_counts_as_unreachable_and_not_as_failed(
    replica, registry, agents, tool, tmp_path
):
    one = replica("one", playbooks_dir=tool, **FAST)
    fleet = Fleet(registry, agents, 3, dead=1)
    work = play("hello.yml", greeting="moon", target=str(tmp_path / "greeting"))
    work.deployment.method = deployment_pb2.DEPLOYMENT_METHOD_AGENT
    async with JobClient(one) as jobs:
        job = await jobs.create(fleet.selector, work, opts=options(max_failed=0, max_unreachable=1))
        final = await jobs.final(job.id, 300)
        assert (status(final), counts(final)) == ("partial", {"success": 2, "unreachable": 1})
        (dead,) = await jobs.targets(job.id, job_pb2.TARGET_STATUS_UNREACHABLE)
        assert (dead.server_name, dead.reason) == (fleet.names[-1], "agent_refused")


async def test_a_host_that_is_lost_after_something_was_done_there_has_failed(replica, registry, own_agent, tool):
    """Its agent is gone between the tool that it was sent and the play."""
    one = replica("one", playbooks_dir=tool, **FAST)
    async with JobClient(one) as jobs:
        job = await jobs.create("", play("slow.yml", seconds=600), servers=[own_agent.name])

        async def plays():
            with psycopg.connect(database(one)) as db:
                query = "select id from executor.deployment where steps @> %s and id in (select command_id"
                wanted = '[{"name": "play", "status": "running"}]'
                return db.execute(f"{query} from executor.job_target where job_id = %s)", (wanted, job.id)).fetchone()

        (deployment_id,) = await until(plays, 60)
        one.program.kill9()
        # As it would end if the way to the agent had gone just before the play.
        failed = '{"status": "failed", "reason": "AGENT_REFUSED"}'
        with psycopg.connect(database(one)) as db:
            db.execute(
                "update executor.deployment set steps = jsonb_set(steps, '{-1}', (steps -> -1) || %s::jsonb)"
                " where id = %s",
                (failed, deployment_id),
            )
        one.start()
    async with JobClient(one) as jobs:
        final = await jobs.final(job.id, 60)
        assert counts(final) == {"failed": 1}
        (target,) = await jobs.targets(job.id)
        assert target.reason == "agent_refused"
