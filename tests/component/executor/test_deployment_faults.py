"""Replicas that die, agents that vanish, and rotations that are broken off: deployments go on or say so."""

import asyncio
import os
import signal

import psycopg
import pytest
from executor_deployments import Deployments, steps
from executor_tool import make_tool, project

from myx.executor.v1 import command_pb2 as pb
from myx.executor.v1 import playbook_service_pb2
from myx_executor.models.base import MIGRATIONS, SCHEMA
from myx_executor.store.files import FileStore
from myx_executor.store.pool import Pool
from myx_executor.usecases.deployments.pushes import Artifacts
from myx_kit.db import migrate
from myx_kit.errors import FailedPrecondition, InvalidArgument, Unavailable
from myx_kit.ids import new_id
from myx_testkit.wait import until


@pytest.fixture
def tool(tmp_path):
    return make_tool(tmp_path / "tool")


def client_of(executor, tls_dir):
    return Deployments(f"127.0.0.1:{executor.port}", tls_dir)


async def begun(client, deployment_id):
    """Waits until a task of the play is under way."""

    async def task():
        events = (await client.events(deployment_id)).events
        return any(event.event["type"] == "task_started" for event in events) or None

    await until(task, 40)


async def test_a_dead_replicas_play_is_gone_on_with_and_runs_once(replica, own_agent, tls_dir, tool, tmp_path):
    first, second = replica("a", "b", lease_s=2, lease_renew_s=0.5, playbooks_dir=tool)
    counter = tmp_path / "runs"
    secret = "first-and-second-owner"
    async with client_of(first, tls_dir) as one, client_of(second, tls_dir) as two:
        made = await one.create(
            own_agent.name,
            playbook="slow.yml",
            vars={"seconds": 6, "counter": str(counter)},
            secret_vars={"password": secret},
        )
        await begun(one, made.id)
        first.program.kill9()
        final = await two.ended(made.id)
        log = await two.log(made.id)
    assert final.status == pb.COMMAND_STATUS_SUCCESS, log.data.decode()
    assert final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE
    assert counter.read_text() == "run\n"
    assert log.data.count(b"TASK [Sleep]") == 1
    assert (final.recap.ok, final.recap.changed) == (2, 2)
    assert steps(final)["play"] == "success"


async def test_a_draining_replica_gives_its_play_to_another(replica, own_agent, tls_dir, tool):
    first, second = replica("a", "b", playbooks_dir=tool)
    async with client_of(first, tls_dir) as one, client_of(second, tls_dir) as two:
        made = await one.create(own_agent.name, playbook="slow.yml", vars={"seconds": 5})
        await begun(one, made.id)
        first.stop()
        final = await two.ended(made.id)
        numbers = [event.seq for event in (await two.events(made.id)).events]
    assert final.status == pb.COMMAND_STATUS_SUCCESS
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_cancel_asked_of_another_replica_is_heard(replica, own_agent, tls_dir, tool):
    first, second = replica("a", "b", playbooks_dir=tool)
    async with client_of(first, tls_dir) as one, client_of(second, tls_dir) as two:
        made = await one.create(own_agent.name, playbook="slow.yml", vars={"seconds": 300})
        await begun(one, made.id)
        await two.cancel_deployment(made.id)
        assert (await two.ended(made.id)).status == pb.COMMAND_STATUS_CANCELLED


async def test_the_agents_death_in_mid_play_loses_nothing(replica, own_agent, tls_dir, tool):
    executor = replica("a", playbooks_dir=tool, agent_calm_retry_s=0.5)
    async with client_of(executor, tls_dir) as client:
        made = await client.create(own_agent.name, playbook="slow.yml", vars={"seconds": 5})
        await begun(client, made.id)
        own_agent.program.kill9()
        await asyncio.sleep(1)
        own_agent.start()
        final = await client.ended(made.id)
    assert final.status == pb.COMMAND_STATUS_SUCCESS
    assert final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE


async def test_a_silent_play_is_ended_though_its_agent_keeps_no_limit(replica, own_agent, tls_dir, tool, postgres):
    first, second = replica("a", "b", lease_s=2, lease_renew_s=0.5, overdue_margin_s=0.5, playbooks_dir=tool)
    async with client_of(first, tls_dir) as one, client_of(second, tls_dir) as two:
        made = await one.create(own_agent.name, playbook="slow.yml", vars={"seconds": 300})
        await begun(one, made.id)
        with psycopg.connect(postgres.url) as connection:
            # The agent has the play without it; who goes on with it has the limit.
            connection.execute("update executor.command set no_output_timeout_s = 2 where id = %s", [made.id])
        first.program.kill9()
        final = await two.ended(made.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_TIMEOUT, "no_output_timeout")


async def test_secrets_lie_sealed_while_it_runs_and_are_gone_afterwards(replica, own_agent, tls_dir, tool, postgres):
    executor = replica("a", playbooks_dir=tool)
    secret = "not-in-the-clear-anywhere"
    async with client_of(executor, tls_dir) as client:
        made = await client.create(
            own_agent.name, playbook="slow.yml", vars={"seconds": 3}, secret_vars={"password": secret}
        )
        await begun(client, made.id)
        assert secret.encode() not in dump(postgres)
        assert await sealed(postgres, made.id)
        await client.ended(made.id)
    assert not await sealed(postgres, made.id)
    assert secret.encode() not in dump(postgres)


def dump(postgres):
    """All rows of the schema as text."""
    with psycopg.connect(postgres.url) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'executor'").fetchall()
        parts = []
        for (table,) in tables:
            parts += [repr(row) for row in connection.execute(f'select * from executor."{table}"').fetchall()]
    return "\n".join(parts).encode()


async def sealed(postgres, deployment_id):
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute("select sealed from executor.command where id = %s", [deployment_id]).fetchone()
    return row[0]


async def test_a_rotation_changes_token_key_and_certificate_without_a_cut(replica, own_agent, tls_dir, tool):
    executor = replica("a", playbooks_dir=tool)
    async with client_of(executor, tls_dir) as client:
        running = await client.shell(own_agent.name, "sleep 4; echo through")
        final = await client.ended((await client.create(own_agent.name, kind="rotate_agent")).id)
        assert final.status == pb.COMMAND_STATUS_SUCCESS, final
        assert set(steps(final).values()) == {"success"}
        after = await client.log((await client.shell(own_agent.name, "echo new")).id)
        assert after.data == b"new\n"
        assert (await client.log(running.id)).data == b"through\n"
    assert own_agent.config["agent_token"] not in (own_agent.folder / "config.json").read_text()


async def test_two_changes_of_one_agent_exclude_each_other(replica, own_agent, tls_dir, tool):
    executor = replica("a", playbooks_dir=tool, agent_rpc_retry_max_attempts=1)
    async with client_of(executor, tls_dir) as client:
        os.kill(own_agent.program.pid, signal.SIGSTOP)
        try:
            first = await client.create(own_agent.name, kind="rotate_agent")
            with pytest.raises(FailedPrecondition) as error:
                await client.create(own_agent.name, kind="rotate_agent")
            assert error.value.reason == "MAINTENANCE_HELD"
            assert error.value.fields["holder"] == first.id
        finally:
            os.kill(own_agent.program.pid, signal.SIGCONT)
        await client.ended(first.id)
        second = await client.create(own_agent.name, kind="rotate_agent")
        assert (await client.ended(second.id)).status == pb.COMMAND_STATUS_SUCCESS


async def test_a_deployment_that_waits_is_cancelled_at_once(replica, own_agent, tls_dir, tool):
    executor = replica("a", playbooks_dir=tool, max_active_commands=1)
    async with client_of(executor, tls_dir) as client:
        blocker = await client.shell(own_agent.name, "sleep 30")
        await client.running(blocker.id)
        made = await client.create(own_agent.name, playbook="hello.yml")
        cancelled = await client.cancel_deployment(made.id)
        assert cancelled.status == pb.COMMAND_STATUS_CANCELLED
        await client.cancel(blocker.id, grace_s=0)


async def test_a_rotation_is_gone_on_with_by_another_replica(replica, own_agent, tls_dir, tool):
    first, second = replica("a", "b", lease_s=2, lease_renew_s=0.5, playbooks_dir=tool)
    async with client_of(first, tls_dir) as one, client_of(second, tls_dir) as two:
        os.kill(own_agent.program.pid, signal.SIGSTOP)
        made = await one.create(own_agent.name, kind="rotate_agent")

        async def sending():
            return steps(await one.deployment(made.id))["send"] == "running" or None

        await until(sending, 30)
        first.program.kill9()
        os.kill(own_agent.program.pid, signal.SIGCONT)
        final = await two.ended(made.id)
        assert final.status == pb.COMMAND_STATUS_SUCCESS, final
        assert (await two.log((await two.shell(own_agent.name, "echo on")).id)).data == b"on\n"


async def test_old_versions_of_a_project_and_deleted_artifacts_leave_nothing(replica, tls_dir, tool, postgres):
    executor = replica("a", playbooks_dir=tool, artifact_bytes_max=2 << 20)
    async with client_of(executor, tls_dir) as client:
        for number in range(7):
            text = f"\n- hosts: all\n  tasks: [{{debug: {{msg: {number}}}}}]\n"
            await client.push_project("often", project(site=text))
        assert versions(postgres) == [7, 6, 5, 4, 3]
        first = await client.push_artifact("one", bytes(1_500_000))
        with pytest.raises(InvalidArgument) as error:
            await client.push_artifact("two", bytes(range(250)) * 4_000)
        assert error.value.reason == "ARTIFACT_TOO_LARGE"
        await client.playbooks.DeleteArtifact(playbook_service_pb2.DeleteArtifactRequest(sha256=first.sha256))
        await client.playbooks.DeleteProject(playbook_service_pb2.DeleteProjectRequest(name="often"))
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("select count(*) from executor.blob_chunk").fetchone() == (0,)


async def test_artifacts_are_pages_that_begin_where_the_one_before_ended(replica, tls_dir, tool):
    request = playbook_service_pb2.ListArtifactsRequest
    async with client_of(replica("a", playbooks_dir=tool), tls_dir) as client:
        pushed = [(await client.push_artifact(f"file-{number}", bytes([number]))).name for number in range(5)]
        listed, token = [], ""
        for size in (2, 2, 1):
            page = await client.playbooks.ListArtifacts(request(page_size=2, page_token=token))
            assert len(page.artifacts) == size
            listed += [one.name for one in page.artifacts]
            token = page.next_page_token
        assert (listed, token) == (pushed[::-1], "")
        assert len((await client.playbooks.ListArtifacts(request())).artifacts) == 5
        with pytest.raises(InvalidArgument) as error:
            await client.playbooks.ListArtifacts(request(page_token="x"))
        assert error.value.reason == "PAGE_TOKEN_INVALID"


class LostAnswer(FileStore):
    """Names the bytes, and the answer is lost."""

    async def add_artifact(self, *row):
        await super().add_artifact(*row)
        raise Unavailable("DATABASE_UNAVAILABLE", "away")


async def test_bytes_that_a_row_names_are_never_dropped(postgres):
    migrate.upgrade(postgres.url, SCHEMA, MIGRATIONS)
    pool = Pool(postgres.url, 1)
    files, content = FileStore(pool), bytes(1_500_000)

    async def data():
        yield content

    with pytest.raises(Unavailable):
        await Artifacts(LostAnswer(pool), bytes_max=1 << 30).push("one", "", "token:test", data())
    artifact = await Artifacts(files, bytes_max=1 << 30).push("one", "", "token:test", data())
    blob = new_id()
    await files.add_chunk(blob, 0, b"archive")
    version = await files.add_version("site", "0" * 64, 7, ["site.yml"], blob, "token:test")
    await files.drop_blobs([artifact.blob_id, version.blob_id])
    assert b"".join([chunk async for chunk in files.chunks(artifact.blob_id)]) == content
    assert [chunk async for chunk in files.chunks(version.blob_id)] == [b"archive"]
    # What pushing it again brought is not needed twice.
    assert (await pool.rows("select count(distinct blob_id) from executor.blob_chunk"))[0][0] == 2
    await pool.close()


def versions(postgres):
    with psycopg.connect(postgres.url) as connection:
        rows = connection.execute("select version from executor.project_version order by version desc").fetchall()
    return [row[0] for row in rows]


async def test_without_a_tool_plays_are_refused_with_a_reason(replica, own_agent, tls_dir):
    async with client_of(replica("a"), tls_dir) as client:
        with pytest.raises(FailedPrecondition) as error:
            await client.create(own_agent.name, kind="caddy")
        assert error.value.reason == "NO_DEPLOYMENT_TOOL"
        assert (await client.playbooks.ListProjects(playbook_service_pb2.ListProjectsRequest())).projects == []
