"""Commands from request to end, on a real agent."""

import asyncio
import base64
import hashlib
import sys

import pytest
from executor_world import Client

from myx.executor.v1 import command_pb2 as pb
from myx_kit.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied

PYTHON = sys.executable


async def test_a_short_command_ends_with_its_output_and_exit_code(client, agent):
    command = await client.shell(agent.name, "echo out; echo err >&2; exit 7")
    log = await client.log(command.id)

    assert log.of(pb.LOG_STREAM_STDOUT) == b"out\n"
    assert log.of(pb.LOG_STREAM_STDERR) == b"err\n"
    assert log.final.status == pb.COMMAND_STATUS_FAILED
    assert (log.final.exit_code, log.final.reason) == (7, "exit_code")
    assert log.final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE
    assert log.final.log_size_bytes == 8
    assert log.final.result.stdout.sha256 == hashlib.sha256(b"out\n").hexdigest()
    assert log.final == await client.get(command.id)


async def test_the_answer_comes_before_the_command_has_ended(client, agent):
    command = await client.shell(agent.name, "sleep 0.5; echo late")
    assert command.status == pb.COMMAND_STATUS_PENDING
    assert (await client.log(command.id)).data == b"late\n"
    final = await client.get(command.id)
    assert final.status == pb.COMMAND_STATUS_SUCCESS
    assert final.HasField("exit_code")
    assert final.exit_code == 0
    assert final.started_at.ToNanoseconds() < final.ended_at.ToNanoseconds()


async def test_all_that_a_command_is_given_arrives(client, agent, tmp_path):
    script = "import os,sys;print(os.getcwd(), os.environ['A'], len(os.environ['S']), sys.argv[1:], sys.stdin.read())"
    command = await client.run(
        agent.name,
        PYTHON,
        "-Sc",
        script,
        "x y",
        "",
        "$HOME",
        env={"A": "1"},
        secret_env={"S": "hunter2!!"},
        cwd=str(tmp_path),
        stdin=b"from stdin",
    )
    assert list(command.secret_env_names) == ["S"]
    assert "hunter2" not in str(command)
    log = await client.log(command.id)
    assert log.data.decode().strip() == f"{tmp_path} 1 9 ['x y', '', '$HOME'] from stdin"


async def test_binary_output_of_both_streams_is_exact(client, agent):
    script = (
        "import os\nblob=bytes(range(256))*64\n"
        "for i in range(40):\n os.write(1, blob[i:]+bytes([i])); os.write(2, blob[:i])"
    )
    command = await client.run(agent.name, PYTHON, "-Sc", script)
    log = await client.log(command.id)
    blob = bytes(range(256)) * 64
    assert log.of(pb.LOG_STREAM_STDOUT) == b"".join(blob[i:] + bytes([i]) for i in range(40))
    assert log.of(pb.LOG_STREAM_STDERR) == b"".join(blob[:i] for i in range(40))
    assert log.final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE


async def test_a_command_without_output_has_an_empty_complete_log(client, agent):
    log = await client.log((await client.run(agent.name, "true")).id)
    assert (log.position, log.final.status) == (0, pb.COMMAND_STATUS_SUCCESS)
    assert log.final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE


async def test_a_program_that_does_not_exist_is_a_failed_command(client, agent):
    log = await client.log((await client.run(agent.name, "/no/such/program")).id)
    assert log.final.status == pb.COMMAND_STATUS_FAILED
    assert (log.final.reason, log.final.exit_code) == ("spawn_failed", 127)


async def test_a_signal_is_told_by_name_and_by_shell_convention(client, agent):
    log = await client.log((await client.shell(agent.name, "kill -9 $$")).id)
    assert log.final.status == pb.COMMAND_STATUS_FAILED
    assert (log.final.reason, log.final.signal, log.final.exit_code) == ("signal", "SIGKILL", 137)


async def test_the_time_limit_ends_a_command(client, agent):
    log = await client.log((await client.run(agent.name, "sleep", "60", timeout_s=0.5)).id)
    assert (log.final.status, log.final.reason) == (pb.COMMAND_STATUS_TIMEOUT, "timeout")


@pytest.mark.parametrize("same", [True, False])
async def test_a_request_id_runs_one_command_also_when_its_requests_come_together(client, agent, tmp_path, same):
    request_id = f"request-{same}"
    script = f"echo run >> {tmp_path}/runs"
    first, *others = await asyncio.gather(*(client.shell(agent.name, script, request_id=request_id) for _ in range(10)))
    assert {other.id for other in others} == {first.id}
    await client.final(first.id)
    if same:
        assert (await client.shell(agent.name, script, request_id=request_id)).id == first.id
    else:
        with pytest.raises(Aborted) as error:
            await client.shell(agent.name, script + " ", request_id=request_id)
        assert error.value.reason == "REQUEST_ID_REUSED"
        other = await client.shell(agent.name, "true", request_id=request_id, requested_by="token:other")
        assert other.id != first.id
    assert (tmp_path / "runs").read_text() == "run\n"


async def test_what_cannot_be_run_is_refused_by_name(client, agent, registry):
    async def refused(error, reason, field, **request):
        with pytest.raises(error) as caught:
            await client.run(**{"server": agent.name, "command": "true"} | request)
        assert caught.value.reason == reason
        assert caught.value.fields.get("field") == field

    await refused(InvalidArgument, "COMMAND_EMPTY", "command", command="")
    await refused(InvalidArgument, "ARGUMENT_INVALID", "server", server="")
    await refused(InvalidArgument, "ARGUMENT_INVALID", "command", command="a\0b")
    await refused(InvalidArgument, "ARGUMENT_INVALID", "cwd", cwd="relative")
    await refused(InvalidArgument, "TIMEOUT_INVALID", "timeout", timeout_s=-1)
    await refused(InvalidArgument, "ENV_INVALID", "env", env={"A=B": "1"})
    await refused(InvalidArgument, "ENV_INVALID", "secret_env", env={"A": "1"}, secret_env={"A": "2"})
    await refused(InvalidArgument, "REQUEST_TOO_LARGE", "stdin", stdin=bytes((4 << 20) + 1))
    await refused(NotFound, "SERVER_NOT_FOUND", None, server="nowhere")
    registry.put_without_agent("bare")
    await refused(FailedPrecondition, "AGENT_NOT_FOUND", None, server="bare")


async def test_unknown_commands_are_not_found(client):
    for command_id in ("", "nonsense", "0197a000-0000-7000-8000-000000000000"):
        for call in (client.get, client.cancel, client.log):
            with pytest.raises(NotFound) as error:
                await call(command_id)
            assert error.value.reason == "COMMAND_NOT_FOUND"


async def test_nothing_secret_is_in_the_database_after_a_command(client, agent, module_postgres, module_executor):
    secret = "geheim-4711-Wort"
    command = await client.shell(
        agent.name, "cat > /dev/null", secret_env={"PASSWORD": secret}, stdin=secret.encode(), request_id="secret-1"
    )
    await client.final(command.id)
    rows = str(await dump(module_postgres.url))
    assert "PASSWORD" in rows
    assert secret not in rows
    assert base64.b64encode(secret.encode()).decode() not in rows
    assert secret not in module_executor.program.log.read_text()
    assert agent.config["agent_token"] not in module_executor.program.log.read_text()


async def dump(url):
    import psycopg

    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("select row_to_json(c)::text from executor.command c")
        return await cursor.fetchall()


async def test_no_output_for_too_long_ends_a_command(client, agent):
    request = {"no_output_timeout": {"seconds": 3}}
    log = await client.log((await client.shell(agent.name, "echo begun; exec sleep 60", **request)).id)
    assert log.data == b"begun\n"
    assert (log.final.status, log.final.reason) == (pb.COMMAND_STATUS_TIMEOUT, "no_output_timeout")


async def test_other_services_than_the_gateway_may_not_run_commands(module_executor, tls_dir, agent):
    async with Client(f"127.0.0.1:{module_executor.port}", tls_dir, own_name="heartbeat") as stranger:
        with pytest.raises(PermissionDenied):
            await stranger.run(agent.name, "true")
