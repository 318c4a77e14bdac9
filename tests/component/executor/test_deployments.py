"""Deployments from request to end: real plays by a real agent."""

import pytest
import pytest_asyncio
from executor_deployments import Deployments, steps
from executor_tool import make_tool, project

from myx.executor.v1 import command_pb2 as pb
from myx.executor.v1 import deployment_pb2
from myx_kit.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound


@pytest.fixture(scope="module")
def executor(start_executor, tmp_path_factory):
    return start_executor(playbooks_dir=make_tool(tmp_path_factory.mktemp("tool")))


@pytest_asyncio.fixture
async def client(executor, tls_dir):
    async with Deployments(f"127.0.0.1:{executor.port}", tls_dir) as client:
        yield client


async def test_a_play_by_the_agent_ends_with_log_recap_and_events(client, agent, tmp_path):
    target = tmp_path / "greeting"
    made = await client.create(agent.name, playbook="hello.yml", vars={"greeting": "moon", "target": str(target)})
    assert made.status == pb.COMMAND_STATUS_PENDING
    log = await client.log(made.id)
    final = await client.deployment(made.id)

    assert final.status == pb.COMMAND_STATUS_SUCCESS, log.data.decode()
    assert final.method_used == deployment_pb2.DEPLOYMENT_METHOD_AGENT
    assert b"hello moon" in log.data
    assert target.read_text() == "moon"
    assert (final.recap.ok, final.recap.changed, final.recap.failed) == (2, 1, 0)
    assert final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE
    assert steps(final)["play"] == "success"
    events = (await client.events(made.id)).events
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    kinds = [event.event["type"] for event in events]
    assert kinds[0] == "play_started"
    assert kinds[-1] == "recap"
    assert kinds.count("task_result") == 2


async def test_the_tool_is_sent_once(client, agent):
    for _ in range(2):
        final = await client.ended((await client.create(agent.name, playbook="hello.yml")).id)
    assert steps(final)["sync_tool"] == "skipped"
    assert steps(final)["ansible"] == "skipped"


async def test_a_failed_task_is_a_failed_deployment_with_a_cure(client, agent):
    final = await client.ended((await client.create(agent.name, playbook="fails.yml")).id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "play_failed")
    assert final.cure
    assert final.recap.failed == 1
    assert steps(final)["play"] == "failed"


async def test_a_deployment_is_no_command(client, agent):
    made = await client.create(agent.name, playbook="hello.yml")
    with pytest.raises(NotFound) as error:
        await client.get(made.id)
    assert error.value.reason == "COMMAND_NOT_FOUND"
    with pytest.raises(NotFound):
        await client.cancel(made.id)
    with pytest.raises(NotFound) as error:
        await client.deployment((await client.run(agent.name, "true")).id)
    assert error.value.reason == "DEPLOYMENT_NOT_FOUND"
    await client.ended(made.id)


async def test_a_cancelled_play_is_gone_when_its_deployment_says_so(client, agent):
    made = await client.create(agent.name, playbook="slow.yml", vars={"seconds": 300})
    await client.events(made.id, wait_s=30)
    cancelled = await client.cancel_deployment(made.id)
    assert cancelled.status in (pb.COMMAND_STATUS_CANCELLING, pb.COMMAND_STATUS_CANCELLED)
    final = await client.ended(made.id)
    assert final.status == pb.COMMAND_STATUS_CANCELLED
    assert steps(final)["play"] == "cancelled"
    assert (await client.cancel_deployment(made.id)).status == pb.COMMAND_STATUS_CANCELLED


async def test_the_time_limit_ends_a_play(client, agent):
    made = await client.create(agent.name, playbook="slow.yml", vars={"seconds": 300}, timeout_s=8)
    final = await client.ended(made.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_TIMEOUT, "timeout")


async def test_a_play_that_is_silent_for_too_long_is_ended_also_when_it_is_repeated(client, agent):
    limit = {"no_output_timeout": {"seconds": 8}}
    made = await client.create(agent.name, playbook="slow.yml", vars={"seconds": 300}, **limit)
    final = await client.ended(made.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_TIMEOUT, "no_output_timeout")
    assert steps(final)["play"] == "failed"
    again = await client.retry(made.id)
    assert again.no_output_timeout.seconds == 8
    assert (await client.ended(again.id)).reason == "no_output_timeout"


async def test_a_request_id_makes_one_deployment(client, agent):
    first = await client.create(agent.name, playbook="hello.yml", request_id="once")
    assert (await client.create(agent.name, playbook="hello.yml", request_id="once")).id == first.id
    with pytest.raises(Aborted) as error:
        await client.create(agent.name, playbook="fails.yml", request_id="once")
    assert error.value.reason == "REQUEST_ID_REUSED"
    with pytest.raises(Aborted):
        await client.run(agent.name, "true", request_id="once")
    await client.ended(first.id)


async def test_secret_variables_reach_the_play_and_nothing_else(client, agent, executor, module_postgres):
    secret = "correct-horse-battery"
    made = await client.create(agent.name, playbook="hello.yml", secret_vars={"greeting": secret})
    assert list(made.secret_var_names) == ["greeting"]
    log = await client.log(made.id)
    final = await client.deployment(made.id)
    assert final.status == pb.COMMAND_STATUS_SUCCESS, log.data.decode()
    assert b"********" in log.data
    seen = [log.data.decode(), str(final), str((await client.events(made.id)).events)]
    seen += [(executor.folder / "executor.log").read_text(), agent.program.output()]
    assert not any(secret in text for text in seen)
    with pytest.raises(FailedPrecondition) as error:
        await client.retry(made.id)
    assert error.value.reason == "SECRETS_GONE"
    again = await client.retry(made.id, secret_vars={"greeting": secret})
    assert again.retry_of == made.id
    assert (await client.ended(again.id)).status == pb.COMMAND_STATUS_SUCCESS


async def test_a_template_in_a_variable_is_data(client, agent):
    made = await client.create(agent.name, playbook="hello.yml", vars={"greeting": "{{ lookup('pipe', 'id') }}"})
    log = await client.log(made.id)
    assert b"lookup('pipe', 'id')" in log.data
    assert b"uid=" not in log.data


async def test_a_pushed_project_is_run_in_its_newest_version(client, agent):
    text = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {{msg: "version {number}"}}
"""
    for number in (1, 2):
        answer = await client.push_project("shop", project(site=text.format(number=number)))
        assert (answer.changed, answer.project.version) == (True, str(number))
    assert not (await client.push_project("shop", project(site=text.format(number=2)))).changed
    made = await client.create(agent.name, project="shop", playbook="site.yml")
    log = await client.log(made.id)
    assert b"version 2" in log.data, log.data.decode()
    final = await client.deployment(made.id)
    assert (final.project, final.project_version) == ("shop", "2")
    assert steps(final)["sync_project"] == "success"


async def test_what_cannot_be_deployed_is_refused_by_name(client, agent, registry):
    async def refused(error, reason, field, **request):
        with pytest.raises(error) as caught:
            await client.create(**{"server": agent.name, "playbook": "hello.yml"} | request)
        assert caught.value.reason == reason
        assert caught.value.fields.get("field") == field

    await refused(InvalidArgument, "KIND_INVALID", "kind", kind="nonsense")
    await refused(InvalidArgument, "METHOD_INVALID", "method", method=9)
    await refused(InvalidArgument, "METHOD_INVALID", "method", kind="install_agent", playbook="", method=3)
    await refused(InvalidArgument, "PLAYBOOK_INVALID", "playbook", playbook="../x.yml")
    await refused(InvalidArgument, "PLAYBOOK_INVALID", "playbook", playbook="install_agent.yml")
    await refused(InvalidArgument, "PLAYBOOK_INVALID", "playbook", kind="caddy")
    await refused(InvalidArgument, "VARS_INVALID", "extra_vars", vars={"ansible_connection": "local"})
    await refused(InvalidArgument, "VARS_INVALID", "extra_vars", vars={"not a name": 1})
    await refused(InvalidArgument, "VARS_INVALID", "secret_vars", vars={"a": 1}, secret_vars={"a": "1"})
    await refused(InvalidArgument, "TIMEOUT_INVALID", "timeout", timeout_s=0)
    await refused(InvalidArgument, "ARGUMENT_INVALID", "tags", tags=["--become"])
    await refused(InvalidArgument, "ARGUMENT_INVALID", "limit", limit="@/etc/passwd")
    await refused(NotFound, "PLAYBOOK_NOT_FOUND", "playbook", playbook="missing.yml")
    await refused(NotFound, "PLAYBOOK_NOT_FOUND", "project", project="missing")
    await refused(NotFound, "ARTIFACT_NOT_FOUND", "artifact_sha256", artifact_sha256="0" * 64)
    await refused(NotFound, "SERVER_NOT_FOUND", None, server="nowhere")
    await refused(FailedPrecondition, "NO_AGENT_BUNDLE", None, kind="install_agent", playbook="")
    registry.put_without_agent("bare")
    await refused(FailedPrecondition, "AGENT_NOT_FOUND", None, server="bare", method=3)
    await refused(FailedPrecondition, "NO_SSH_CREDENTIAL", None, server="bare", method=2)


async def test_without_agent_and_credential_there_is_no_way(client, registry):
    registry.put_without_agent("lonely")
    final = await client.ended((await client.create("lonely", playbook="hello.yml")).id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "no_way")
    assert "credential" in final.cure


async def test_lists_filter_and_page(client, agent):
    made = [await client.create(agent.name, playbook="hello.yml") for _ in range(3)]
    first = await client.list_deployments(server=agent.name, page_size=2)
    rest = await client.list_deployments(server=agent.name, page_size=2, page_token=first.next_page_token)
    ids = [one.id for one in (*first.deployments, *rest.deployments)]
    assert ids[:3] == [one.id for one in reversed(made)]
    assert not (await client.list_deployments(server=agent.name, kind="caddy")).deployments
    for one in made:
        await client.ended(one.id)


async def test_artifacts_are_stored_once_and_checked(client):
    data = bytes(range(256)) * 10_000
    first = await client.push_artifact("caddy.tar.gz", data)
    assert (await client.push_artifact("other-name", data)).name == "caddy.tar.gz"
    assert first.size_bytes == len(data)
    with pytest.raises(InvalidArgument) as error:
        await client.push_artifact("caddy.tar.gz", data + b"x", sha256=first.sha256)
    assert error.value.reason == "ARTIFACT_INVALID"
