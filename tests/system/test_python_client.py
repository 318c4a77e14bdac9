"""The Python client of a whole MyX: real gateway, real agent, and a gateway that is killed."""

import asyncio
import os
import re
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from myx_client import Client, errors, models
from myx_client.event_stream import Event
from myx_client.job_stream import JobChanged, JobOutput, TargetsChanged
from myx_client.log_stream import End, Output
from myx_testkit.standalone import Standalone


@pytest_asyncio.fixture
async def client(myx: Standalone) -> AsyncIterator[Client]:
    async with Client(f"http://127.0.0.1:{myx.port}", myx.api().token) as made:
        yield made


async def output_of(client: Client, command: models.Command) -> tuple[bytes, models.Command]:
    output = b""
    async for frame in client.commands.follow(command.id):
        if isinstance(frame, Output):
            output += frame.data
        elif isinstance(frame, End):
            return output, frame.document
    raise AssertionError("the log ended without an End")


async def test_a_command_is_run_and_its_output_followed(client: Client) -> None:
    command = await client.commands.run(server="local", command="sh", args=["-c", "echo out; echo err >&2; exit 3"])
    output, done = await output_of(client, command)
    assert sorted(output.split()) == [b"err", b"out"]
    assert (done.status, done.exit_code) == (models.CommandStatus.FAILED, 3)
    assert done.result is not None
    assert done.result.stdout is not None
    assert b"".join([piece async for piece in client.commands.log(command.id, stream="stdout")]) == b"out\n"
    found = await client.commands.search_log(command.id, pattern="err")
    assert [match.stream for match in found.items] == [models.LogStream.STDERR]


async def test_a_key_that_is_used_again_starts_nothing(client: Client) -> None:
    key = secrets.token_hex(8)
    first = await client.commands.run(server="local", command="true", idempotency_key=key)
    again = await client.commands.run(server="local", command="true", idempotency_key=key)
    assert first.id == again.id
    with pytest.raises(errors.BadRequest) as caught:
        await client.commands.run(server="local", command="false", idempotency_key=key)
    assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_a_follower_lives_through_the_death_of_the_gateway(myx: Standalone, client: Client) -> None:
    script = "for i in $(seq 1 40); do echo line $i; sleep 0.1; done"
    command = await client.commands.run(server="local", command="sh", args=["-c", script])
    output, killed = b"", False
    async for frame in client.commands.follow(command.id):
        if isinstance(frame, Output):
            output += frame.data
        if not killed and output.count(b"\n") >= 5:
            killed = True
            await asyncio.to_thread(myx.kill9, "gateway")
    assert output == b"".join(b"line %d\n" % number for number in range(1, 41))


async def test_a_job_is_followed_with_its_output(client: Client) -> None:
    work = models.NewJobWork(command=models.CommandWork(command="echo", args=["hello"]))
    preview = await client.jobs.preview(selector="name=local")
    job = await client.jobs.create(selector="name=local", work=work, expected_targets_sha256=preview.targets_sha256)
    frames = [frame async for frame in client.jobs.follow(job.id, output=True)]
    assert b"".join(frame.data for frame in frames if isinstance(frame, JobOutput)) == b"hello\n"
    assert any(isinstance(frame, TargetsChanged) for frame in frames)
    last = frames[-1]
    assert isinstance(last, JobChanged)
    assert (last.job.status, last.job.counts["success"]) == ("success", 1)
    targets = [target async for target in client.jobs.targets(job.id)]
    assert [target.server_name for target in targets] == ["local"]
    with pytest.raises(errors.BadRequest) as caught:
        await client.jobs.create(selector="env=", work=work)
    assert caught.value.fields


async def test_events_come_as_they_happen_and_can_be_read_again(client: Client) -> None:
    events = client.events(types=["command"], server="local")
    first = asyncio.ensure_future(anext(events))
    while not first.done():
        await client.commands.run(server="local", command="true")
        await asyncio.wait({first}, timeout=0.5)
    event = first.result()
    await events.aclose()
    assert isinstance(event, Event)
    assert event.type.startswith("command.")
    again = client.events(after="0")
    assert isinstance(await anext(again), Event)
    await again.aclose()


async def test_servers_are_added_changed_as_they_were_seen_and_removed(client: Client) -> None:
    name = f"client-{secrets.token_hex(4)}"
    made = await client.servers.create(
        name=name, address="192.0.2.1", labels={"by": "client"}, ssh=models.NewSsh(port=2222)
    )
    assert made.ssh.port == 2222
    changed = await client.servers.update(name, labels={"by": "me"}, if_match=made.etag)
    with pytest.raises(errors.ChangedMeanwhile):
        await client.servers.update(name, labels={}, if_match=made.etag)
    assert [server.labels async for server in client.servers.list(selector=f"name={name}")] == [{"by": "me"}]
    await client.servers.delete(name, if_match=changed.etag)
    with pytest.raises(errors.NotFound) as caught:
        await client.servers.get(name)
    assert caught.value.reason == "SERVER_NOT_FOUND"


async def test_every_list_and_status_is_understood(client: Client) -> None:
    assert (await client.status.get()).services
    assert (await client.heartbeat.get()) is not None
    for pages in (
        client.servers.list(),
        client.agents.list(),
        client.commands.list(page_size=1),
        client.jobs.list(),
        client.deployments.list(),
        client.schedules.list(),
        client.credentials.list(),
        client.users.list(),
        client.audit.list(page_size=2),
    ):
        assert isinstance((await pages).items, list)
    assert (await client.playbooks.list()).items
    assert isinstance((await client.artifacts.list()).items, list)
    assert (await client.session.get()).me.name == "token:admin"
    assert (await client.audit.verify()).ok


async def test_a_token_may_do_what_its_user_may_and_no_more(myx: Standalone, client: Client) -> None:
    name = f"ci-{secrets.token_hex(4)}"
    grants = [models.NewGrant(role=models.RoleName.VIEWER, selector="name=local")]
    await client.users.create(name=name, kind="program", grants=grants)
    token = await client.tokens.create(name="test", user=name)
    assert token.token not in repr(token)
    async with Client(f"http://127.0.0.1:{myx.port}", token.token) as program:
        assert [server.name async for server in program.servers.list()] == ["local"]
        with pytest.raises(errors.Forbidden) as caught:
            await program.commands.run(server="local", command="id")
        assert caught.value.reason == "FORBIDDEN"
        await client.users.delete(name)
        with pytest.raises(errors.Unauthenticated):
            await program.status.get()


def test_the_program_of_the_docs_runs_a_command(myx: Standalone, tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/python-client.md").read_text()
    program = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", "local", "sh", "-c", "echo hello; exit 7"],
        env={**os.environ, "MYX_URL": f"http://127.0.0.1:{myx.port}", "MYX_TOKEN": myx.api().token},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, b"hello\n", b"")
