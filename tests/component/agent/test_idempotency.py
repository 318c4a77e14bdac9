"""command_id is an idempotency key."""

import asyncio
import uuid

import pytest

SCRIPT = ("sh", "-c", 'echo ran >> "$0"; sleep 0.2; echo out')


async def test_the_same_request_again_returns_the_running_command(call, tmp_path):
    mark = str(tmp_path / "mark")
    params = {"command": "sh", "args": [*SCRIPT[1:], mark], "command_id": "twice"}
    first = await call("execute_command", **params)
    second = await call("execute_command", **params)
    log = await call.follow("twice")
    third = await call("execute_command", **params)

    assert (first["existing"], second["existing"], third["existing"]) == (False, True, True)
    assert (first["status"], second["status"], third["status"]) == ("running", "running", "finished")
    assert log.stdout == b"out\n"
    assert (tmp_path / "mark").read_text() == "ran\n"


async def test_many_at_once_run_once(call, tmp_path):
    params = {"command": "sh", "args": [*SCRIPT[1:], str(tmp_path / "mark")], "command_id": "at-once"}
    answers = await asyncio.gather(*(call("execute_command", **params) for _ in range(20)))
    await call.follow("at-once")

    assert [answer["existing"] for answer in answers].count(False) == 1
    assert (tmp_path / "mark").read_text() == "ran\n"


BASE = {
    "command": "true",
    "args": ["a"],
    "env": {"A": "1"},
    "secret_env": {"B": "2222"},
    "cwd": "/",
    "timeout": 5,
    "stdin": "YQ==",
}


@pytest.mark.parametrize(
    "change",
    [
        {"command": "false"},
        {"args": ["b"]},
        {"args": []},
        {"env": {"A": "2"}},
        {"secret_env": {"B": "3333"}},
        {"secret_env": {}},
        {"cwd": "/usr"},
        {"timeout": 6},
        {"stdin": "Yg=="},
        {"no_output_timeout": 3},
    ],
)
async def test_another_request_with_the_same_id_is_a_conflict(call, tools, change):
    command_id = str(uuid.uuid4())
    await call("execute_command", command_id=command_id, **BASE)
    with pytest.raises(tools.RpcFailure) as caught:
        await call("execute_command", command_id=command_id, **{**BASE, **change})

    assert (caught.value.code, caught.value.reason, caught.value.data["retryable"]) == (
        -32001,
        "COMMAND_CONFLICT",
        False,
    )


async def test_order_and_defaults_do_not_matter_to_the_digest(call):
    await call("execute_command", command_id="same", command="true", env={"A": "1", "B": "2"}, timeout=0)
    again = await call(
        "execute_command", command_id="same", command="true", env={"B": "2", "A": "1"}, timeout=None, args=[]
    )

    assert again["existing"]


async def test_a_released_command_is_gone_and_never_run_again(call, tools, tmp_path):
    mark = tmp_path / "mark"
    params = {"command": "sh", "args": [*SCRIPT[1:], str(mark)], "command_id": "released"}
    await call("execute_command", **params)
    await call.follow("released")
    assert await call("release_command", command_id="released") == {"command_id": "released", "released": True}
    assert (await call("release_command", command_id="released"))["released"]

    with pytest.raises(tools.RpcFailure) as caught:
        await call("execute_command", **params)
    assert (caught.value.code, caught.value.reason) == (-32001, "COMMAND_RELEASED")
    with pytest.raises(tools.RpcFailure) as caught:
        await call("get_command_log", command_id="released")
    assert (caught.value.code, caught.value.reason) == (-32002, "COMMAND_NOT_FOUND")
    assert not call.folder("released").exists()
    assert mark.read_text() == "ran\n"


async def test_a_running_command_cannot_be_released(call, tools):
    command_id = await call.start("sleep", "30")
    with pytest.raises(tools.RpcFailure) as caught:
        await call("release_command", command_id=command_id)
    await call("cancel_command", command_id=command_id, grace=0)

    assert (caught.value.code, caught.value.reason) == (-32004, "COMMAND_RUNNING")


async def test_the_key_survives_a_crash_of_the_agent_and_of_its_supervisor(own, own_agent, tmp_path):
    params = {"command": "sh", "args": [*SCRIPT[1:], str(tmp_path / "mark")], "command_id": "crash"}
    await own("execute_command", **params)
    await own.follow("crash")
    own.supervisor.kill()
    own_agent.kill9()
    own_agent.restart()

    again = await own("execute_command", **params)
    assert (again["existing"], again["status"]) == (True, "finished")
    assert (tmp_path / "mark").read_text() == "ran\n"
