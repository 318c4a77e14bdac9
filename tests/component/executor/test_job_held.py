"""What a job has stored for its hosts and never sent, when the job is stopped, paused or cancelled meanwhile."""

from contextlib import aclosing

import psycopg
import pytest
from executor_deployments import Deployments
from executor_jobs import RUNNING, Fleet, JobClient, Seen, counts, options, shell, status
from executor_tool import make_tool
from test_job_deployments import play
from test_job_faults import FAST, database, mark, marks  # noqa: F401 - a fixture

from myx.executor.v1 import command_pb2 as pb
from myx.executor.v1 import deployment_pb2, deployment_service_pb2, job_pb2
from myx_testkit.wait import until

EXCLUSIVE = {"lock": pb.LOCK_MODE_EXCLUSIVE}
QUEUE = {"offline": pb.OFFLINE_POLICY_QUEUE}
BY_AGENT = deployment_pb2.DEPLOYMENT_METHOD_AGENT


class Hosts:
    """Two servers: the first one is there, the second one away until it is brought `back`."""

    def __init__(self, registry, agents):
        self._registry = registry
        self.there = Fleet(registry, agents, 2, dead=1)
        self.near, self.far = self.there.names
        self._port = agents[1].config["rpc_port"]

    def back(self):
        self._registry.put(self._registry.servers[self.far] | {"rpc_port": self._port})


@pytest.fixture
def hosts(registry, agents):
    return Hosts(registry, agents)


def open_gate(marks, end):  # noqa: F811
    """The script of one host: a mark, and `end` once the gate is open; and what opens it."""
    gate = marks.parent / "gate"
    return f"{mark(marks)}; while ! test -e {gate}; do sleep 0.05; done; {end}", gate.touch


def ran(marks):  # noqa: F811
    return len(list(marks.iterdir()))


async def waits(jobs, job_id, reason):
    """The target that waits for it."""

    async def there_is_one():
        return next((one for one in await jobs.targets(job_id, RUNNING) if one.reason == reason), None)

    return await until(there_is_one, 60)


def near_is_done(jobs, job_id):
    async def it_is():
        return counts(await jobs.get(job_id)).get("success") == 1

    return it_is


def look_now(executor, *command_ids):
    """As after the event that their agent is back."""
    with psycopg.connect(database(executor), autocommit=True) as db:
        db.execute(
            "update executor.command set lease_until = now() where id::text = any(%s) and status = 'queued'",
            [list(command_ids)],
        )


async def test_past_the_threshold_a_host_that_comes_back_is_not_started(replica, hosts, marks):  # noqa: F811
    one = replica("one", **FAST)
    async with JobClient(one) as jobs, one.client() as client:
        script, opened = open_gate(marks, "exit 1")
        job = await jobs.create(hosts.there.selector, shell(script, **QUEUE), opts=options(max_failed=0))
        waiting = await waits(jobs, job.id, "agent_unreachable")
        opened()
        final = await jobs.final(job.id, 20)
        assert (status(final), final.reason) == ("stopped", "max_failed")
        assert counts(final) == {"failed": 1, "not_started": 1}
        (target,) = await jobs.targets(job.id, job_pb2.TARGET_STATUS_NOT_STARTED)
        assert (target.server_name, target.reason, target.command_id) == (hosts.far, "max_failed", "")
        hosts.back()
        assert (await client.final((await client.run(hosts.far, "true")).id)).status == pb.COMMAND_STATUS_SUCCESS
        taken_back = await client.get(waiting.command_id)
        assert taken_back.status == pb.COMMAND_STATUS_CANCELLED
        assert taken_back.message == "its job was stopped before it was begun: max_failed"
        assert not taken_back.HasField("started_at")
    assert ran(marks) == 1


async def test_who_follows_the_output_sees_the_end_of_a_job_that_took_a_host_back(replica, hosts, marks):  # noqa: F811
    one = replica("one", **FAST)
    async with JobClient(one) as jobs:
        (script, open_it), opened = open_gate(marks, "echo out; exit 1"), False
        job = await jobs.create(hosts.there.selector, shell(script, **QUEUE), opts=options(max_failed=0))
        seen = Seen()
        async with aclosing(jobs.follow(job.id, output=True, timeout_s=60)) as responses:
            async for response in responses:
                seen.take(response)
                if not opened and {one.status for one in seen.targets.values()} == {RUNNING}:
                    # Both are followed by now.
                    await waits(jobs, job.id, "agent_unreachable")
                    opened = True
                    open_it()
    assert (status(seen.job), counts(seen.job)) == ("stopped", {"failed": 1, "not_started": 1})
    assert list(seen.output.values()) == [b"out\n"]
    assert [one.command_id for one in seen.targets.values() if one.reason == "max_failed"] == [""]


async def test_past_the_threshold_a_host_that_is_just_being_tried_is_not_started(replica, hosts, marks):  # noqa: F811
    # After the first try there is time for the job to stop, and for the host to come back.
    one = replica("one", **FAST | {"agent_rpc_retry_base_delay_s": 4})
    async with JobClient(one) as jobs:
        script, opened = open_gate(marks, "exit 1")
        job = await jobs.create(hosts.there.selector, shell(script, **QUEUE), opts=options(max_failed=0))
        await until(lambda: begun(jobs, job.id))
        opened()

        async def stopping():
            return status(await jobs.get(job.id)) == "stopping"

        await until(stopping, 20)
        hosts.back()
        final = await jobs.final(job.id, 20)
        assert (status(final), final.reason) == ("stopped", "max_failed")
        assert counts(final) == {"failed": 1, "not_started": 1}
    assert ran(marks) == 1


async def begun(jobs, job_id):
    return [one for one in await jobs.targets(job_id, RUNNING) if one.HasField("started_at")]


async def test_past_the_threshold_a_host_whose_lock_is_free_again_is_not_started(replica, hosts, marks):  # noqa: F811
    one = replica("one", **FAST)
    hosts.back()
    async with JobClient(one) as jobs, one.client() as client:
        holder = await client.run(hosts.far, "sleep", "600", **EXCLUSIVE)
        await client.running(holder.id)
        script, opened = open_gate(marks, "exit 1")
        job = await jobs.create(hosts.there.selector, shell(script, **EXCLUSIVE), opts=options(max_failed=0))
        waiting = await waits(jobs, job.id, "lock_held")
        behind = await client.run(hosts.far, "true", **EXCLUSIVE)
        await client.in_state(behind.id, pb.COMMAND_STATUS_QUEUED)
        opened()
        final = await jobs.final(job.id, 20)
        assert (status(final), counts(final)) == ("stopped", {"failed": 1, "not_started": 1})
        await client.cancel(holder.id, grace_s=0)
        assert (await client.final(behind.id)).status == pb.COMMAND_STATUS_SUCCESS
        assert (await client.get(waiting.command_id)).status == pb.COMMAND_STATUS_CANCELLED
    assert ran(marks) == 1


@pytest.mark.parametrize("way", ["agent_unreachable", "lock_held"])
async def test_what_a_paused_job_never_sent_waits_until_it_is_resumed_and_is_in_nobodys_way(
    replica,
    hosts,
    marks,  # noqa: F811
    way,
):
    one = replica("one", **FAST)
    async with JobClient(one) as jobs, one.client() as client:
        if way == "lock_held":
            hosts.back()
            holder = await client.run(hosts.far, "sleep", "600", **EXCLUSIVE)
            await client.running(holder.id)
        job = await jobs.create(hosts.there.selector, shell(mark(marks), **QUEUE, **EXCLUSIVE))
        waiting = await waits(jobs, job.id, way)
        await until(near_is_done(jobs, job.id), 60)
        await jobs.ask("PauseJob", job.id)
        other = await client.run(hosts.far, "true", **QUEUE, **EXCLUSIVE)
        await client.in_state(other.id, pb.COMMAND_STATUS_QUEUED)
        if way == "lock_held":
            await client.cancel(holder.id, grace_s=0)
            await client.final(holder.id)
        else:
            hosts.back()
        # Both may go on at the same moment; the one of the paused job is the older one.
        look_now(one, waiting.command_id, other.id)
        assert (await client.final(other.id)).status == pb.COMMAND_STATUS_SUCCESS
        held = await client.get(waiting.command_id)
        assert (held.status, held.reason) == (pb.COMMAND_STATUS_QUEUED, way)
        paused = await jobs.get(job.id)
        assert (status(paused), counts(paused), ran(marks)) == ("paused", {"success": 1, "running": 1}, 1)
        await jobs.ask("ResumeJob", job.id)
        look_now(one, waiting.command_id)
        assert counts(await jobs.final(job.id)) == {"success": 2}
    assert ran(marks) == 2


@pytest.mark.parametrize("policy", [QUEUE, {}, EXCLUSIVE])
async def test_what_a_paused_job_was_just_trying_to_send_is_not_sent_by_the_next_replica(
    replica,
    hosts,
    marks,  # noqa: F811
    policy,
):
    # After the first try there is time for the pause, and for the end of the replica.
    one = replica("one", **FAST | {"agent_rpc_retry_base_delay_s": 30})
    async with JobClient(one) as jobs:
        job = await jobs.create(hosts.there.selector, shell(mark(marks), **policy))
        await until(lambda: not_sent(one, job.id))
        await jobs.ask("PauseJob", job.id)
        one.program.kill9()
    hosts.back()
    other = replica("other", **FAST)
    async with JobClient(other) as jobs:
        await until(lambda: not_sent(other, job.id, left=True))
        # Taken from the same queue, behind it; no lock is left behind.
        later = await jobs.create("", shell("true", **EXCLUSIVE), servers=[hosts.far])
        assert counts(await jobs.final(later.id)) == {"success": 1}
        paused = await jobs.get(job.id)
        assert (status(paused), counts(paused), ran(marks)) == ("paused", {"success": 1, "running": 1}, 1)
        await jobs.ask("ResumeJob", job.id)
        assert counts(await jobs.final(job.id)) == {"success": 2}
    assert ran(marks) == 2


def not_sent(executor, job_id, *, left=False):
    """Of the job's commands one has ended, the other is tried and known not to have been sent; `left`: it was."""
    with psycopg.connect(database(executor)) as db:
        rows = db.execute(
            "select dispatch_at is null and fence > 0, ended_at is not null, status = 'queued' or lease_until < now()"
            " from executor.command where job_id = %s",
            [job_id],
        ).fetchall()
    return sorted(ended for _, ended, _ in rows) == [False, True] and any(
        unsent and not ended and (late or not left) for unsent, ended, late in rows
    )


# With the longer one the host is still being tried when the job stops.
@pytest.mark.parametrize("retry_s", [0.05, pytest.param(4, marks=pytest.mark.long)])
async def test_past_the_threshold_a_deployment_that_waits_is_not_begun(replica, tmp_path, tls_dir, hosts, retry_s):
    tool = make_tool(tmp_path / "tool")
    one = replica("one", playbooks_dir=tool, **FAST | {"agent_rpc_retry_base_delay_s": retry_s})
    target = tmp_path / "greeting"
    async with JobClient(one) as jobs, Deployments(f"127.0.0.1:{one.port}", tls_dir) as client:
        work = play("slow.yml", seconds="nothing", counter=str(target))
        work.deployment.method = BY_AGENT
        work.deployment.offline = pb.OFFLINE_POLICY_QUEUE
        job = await jobs.create(hosts.there.selector, work, opts=options(max_failed=0))

        async def stopped():
            return status(await jobs.get(job.id)) in ("stopping", "stopped")

        await until(stopped, 120)
        hosts.back()
        final = await jobs.final(job.id)
        assert (status(final), final.reason) == ("stopped", "max_failed")
        assert counts(final) == {"failed": 1, "not_started": 1}
        assert (await client.final((await client.run(hosts.far, "true")).id)).status == pb.COMMAND_STATUS_SUCCESS
        with psycopg.connect(database(one)) as db:
            ends = db.execute(
                "select server_name, status, started_at is null from executor.command where job_id = %s", [job.id]
            ).fetchall()
    assert sorted(ends) == [(hosts.near, "failed", False), (hosts.far, "cancelled", True)]


async def test_a_cancelled_job_gives_back_the_right_to_change_the_agents_that_it_never_began_with(
    replica, hosts, tls_dir
):
    one = replica("one", **FAST)
    hosts.back()
    async with JobClient(one) as jobs, Deployments(f"127.0.0.1:{one.port}", tls_dir) as client:
        holder = await client.run(hosts.far, "sleep", "600", **EXCLUSIVE)
        await client.running(holder.id)
        rotation = deployment_service_pb2.CreateDeploymentRequest(kind="rotate_agent", **EXCLUSIVE)
        job = await jobs.create("", job_pb2.JobWork(deployment=rotation), servers=[hosts.far])
        await waits(jobs, job.id, "lock_held")
        await jobs.ask("CancelJob", job.id)
        assert counts(await jobs.final(job.id)) == {"cancelled": 1}
        # MAINTENANCE_HELD otherwise, until the lease has run out.
        again = await client.create(hosts.far, "rotate_agent", **EXCLUSIVE)
        await client.cancel_deployment(again.id)
        await client.ended(again.id)
        await client.cancel(holder.id, grace_s=0)
        await client.final(holder.id)
