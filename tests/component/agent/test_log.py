"""get_command_log: offsets, waiting, ends, gaps."""

import asyncio
import base64
import time

import pytest

from myx_testkit.wait import until


async def read_all(call, command_id, offset=0, **params):
    """The whole log by polls: [(type, bytes)], the last answer."""
    pieces = []
    while True:
        answer = await call("get_command_log", command_id=command_id, offset=offset, wait=10, **params)
        if answer["log_data"]:
            pieces.append((answer["log_type"], base64.b64decode(answer["log_data"])))
        offset = answer["new_offset"]
        if answer["is_final"]:
            return pieces, answer


async def test_every_offset_gives_the_rest_of_the_log(call):
    command_id = await call.start("sh", "-c", "printf abc; sleep 0.05; printf DEF >&2; sleep 0.05; printf ghi")
    pieces, last = await read_all(call, command_id)
    assert pieces == [("stdout", b"abc"), ("stderr", b"DEF"), ("stdout", b"ghi")]
    assert last["result"]["log_size"] == 9

    for offset in range(10):
        pieces, last = await read_all(call, command_id, offset)
        assert b"".join(data for _type, data in pieces) == b"abcDEFghi"[offset:]
        assert last["new_offset"] == 9


async def test_max_bytes_bounds_an_answer(call):
    command_id = await call.start("printf", "0123456789")
    pieces, _last = await read_all(call, command_id, max_bytes=3)

    assert [data for _type, data in pieces] == [b"012", b"345", b"678", b"9"]


async def test_the_last_bytes_and_the_end_come_in_one_answer(call):
    answers = await call.batch(
        ("execute_command", {"command": "echo", "args": ["hi"], "command_id": "fast"}),
        ("get_command_log", {"command_id": "fast", "wait": 10, "until": "final"}),
    )

    assert answers[1]["result"]["is_final"]
    assert base64.b64decode(answers[1]["result"]["log_data"]) == b"hi\n"
    assert answers[1]["result"]["result"]["return_code"] == 0


async def test_a_waiting_poll_answers_as_soon_as_there_is_a_byte(call, tmp_path):
    go = tmp_path / "go"
    command_id = await call.start("sh", "-c", f"until [ -e {go} ]; do sleep 0.01; done; echo now; sleep 30")
    poll = asyncio.create_task(call("get_command_log", command_id=command_id, wait=30))
    await asyncio.wait([poll], timeout=0.2)
    assert not poll.done()
    go.touch()
    answer = await asyncio.wait_for(poll, 5)
    await call("cancel_command", command_id=command_id, grace=0)

    assert base64.b64decode(answer["log_data"]) == b"now\n"
    assert not answer["is_final"]


async def test_a_wait_ends_in_time_without_a_byte(call):
    command_id = await call.start("sleep", "30")
    began = time.monotonic()
    answer = await call("get_command_log", command_id=command_id, wait=0.2)
    took = time.monotonic() - began
    await call("cancel_command", command_id=command_id, grace=0)

    assert (answer["log_data"], answer["new_offset"], answer["is_final"], answer["result"]) == ("", 0, False, None)
    assert took >= 0.2


async def test_beyond_the_end_is_an_error_that_names_the_end(call, tools):
    running = await call.start("sh", "-c", "printf 12345; sleep 30")
    await call("get_command_log", command_id=running, wait=10)
    finished = await call.start("printf", "12345")
    await call.follow(finished)
    for command_id in (running, finished):
        with pytest.raises(tools.RpcFailure) as caught:
            await call("get_command_log", command_id=command_id, offset=6)
        assert (caught.value.code, caught.value.reason, caught.value.data["end"]) == (-32003, "OFFSET_BEYOND_END", 5)
    await call("cancel_command", command_id=running, grace=0)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"offset": -1}, "offset"),
        ({"offset": 1.5}, "offset"),
        ({"offset": 1 << 62}, "offset"),
        ({"offset": "0"}, "offset"),
        ({"wait": -1}, "wait"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"until": "never"}, "until"),
        ({"command_id": "../../etc"}, "command_id"),
    ],
)
async def test_bad_parameters_are_refused_by_name(call, tools, params, field):
    with pytest.raises(tools.RpcFailure) as caught:
        await call("get_command_log", **({"command_id": "any"} | params))

    assert (caught.value.code, caught.value.data["field"]) == (-32602, field)


@pytest.mark.parametrize("method", ["get_command_log", "cancel_command"])
async def test_an_unknown_command_is_said_to_be(call, tools, method):
    with pytest.raises(tools.RpcFailure) as caught:
        await call(method, command_id="never-was")

    assert (caught.value.code, caught.value.reason, caught.value.data["retryable"]) == (
        -32002,
        "COMMAND_NOT_FOUND",
        False,
    )


async def test_lists_show_what_runs_and_what_is_kept(own):
    done = await own.start("sh", "-c", "printf 123; exit 4")
    await own.follow(done)
    running = await own.start("sh", "-c", "printf 12; sleep 30")
    await own("get_command_log", command_id=running, wait=10)
    commands = {entry["command_id"]: entry for entry in (await own("list_commands"))["commands"]}
    status = await own("get_status")

    assert {key: commands[done][key] for key in ("state", "command", "log_size", "return_code", "reason")} == {
        "state": "finished",
        "command": "sh",
        "log_size": 3,
        "return_code": 4,
        "reason": "exited",
    }
    assert (commands[running]["state"], commands[running]["ended_at"], commands[running]["log_size"]) == (
        "running",
        None,
        2,
    )
    assert commands[running]["started_at"] > commands[done]["started_at"]
    assert (status["running_commands"], status["running_count"], status["finished_count"]) == ([running], 1, 1)
    assert (await own("heartbeat", timestamp=1))["running_commands"] == 1


class TestLimits:
    async def test_a_commands_limit_is_said_in_log_and_result(self, own_agent, tools):
        own_agent.configuration["command_log_bytes"] = 100_000
        own_agent.start()
        async with tools.calling(own_agent) as own:
            log = await own.run("sh", "-c", "head -c 150000 /dev/zero | tr '\\0' x; echo last >&2")
            kept = log.stdout

            assert len(kept) == 100_000
            assert log.gaps == [{"type": "gap", "from": 100_000, "to": 150_005, "reason": "command_limit"}]
            assert log.result["stdout"] == {"bytes": 100_000, "sha256": tools.sha256(kept), "dropped": 50_000}
            assert log.result["stderr"]["dropped"] == 5
            assert log.final["offset"] == log.result["log_size"] == 150_005
            assert log.result["return_code"] == 0

            command_id = (await own("list_commands"))["commands"][0]["command_id"]
            inside = await own("get_command_log", command_id=command_id, offset=120_000)
            assert inside["gap"] == {"from": 120_000, "to": 150_005, "reason": "command_limit"}
            assert (inside["log_data"], inside["new_offset"], inside["is_final"]) == ("", 150_005, True)
            assert (await own.follow(command_id, 120_000)).gaps[0]["from"] == 120_000

    async def test_the_oldest_finished_logs_give_way_and_say_so(self, own_agent, tools):
        own_agent.configuration["total_log_bytes"] = 250_000
        own_agent.start()
        async with tools.calling(own_agent) as own:
            ids = [await own.start("head", "-c", "100000", "/dev/zero") for _ in range(1)]
            for _ in range(2):
                await own.follow(ids[-1])
                ids.append(await own.start("head", "-c", "100000", "/dev/zero"))
            last = await own.follow(ids[-1])
            first = await own.follow(ids[0])
            second = await own.follow(ids[1])

            assert last.gaps == second.gaps == []
            assert first.gaps == [{"type": "gap", "from": 0, "to": 100_000, "reason": "spool_limit"}]
            assert first.result["stdout"]["dropped"] == 100_000
            assert first.result["return_code"] == 0

    async def test_running_commands_alone_may_fill_the_spool_and_say_so(self, own_agent, tools):
        own_agent.configuration["total_log_bytes"] = 250_000
        own_agent.start()
        async with tools.calling(own_agent) as own:
            log = await own.run("head", "-c", "400000", "/dev/zero")

            assert log.gaps[0]["reason"] == "spool_limit"
            assert log.result["stdout"]["bytes"] + log.result["stdout"]["dropped"] == 400_000
            assert (await own.run("echo", "on")).stdout == b"on\n"  # the ended one gives way

    async def test_a_full_disk_is_said(self, own_agent, tools):
        own_agent.configuration["min_free_bytes"] = 1 << 60
        own_agent.start()
        async with tools.calling(own_agent) as own:
            log = await own.run("echo", "hi")

            assert log.gaps == [{"type": "gap", "from": 0, "to": 3, "reason": "disk_full"}]
            assert log.result["return_code"] == 0

    async def test_no_more_commands_than_allowed_run(self, own_agent, tools):
        own_agent.configuration["max_running"] = 2
        own_agent.start()
        async with tools.calling(own_agent) as own:
            running = [await own.start("sleep", "60") for _ in range(2)]
            with pytest.raises(tools.RpcFailure) as caught:
                await own.start("true")
            assert (caught.value.code, caught.value.reason) == (-32004, "TOO_MANY_COMMANDS")
            assert caught.value.data["retryable"]
            await own("cancel_command", command_id=running[0], grace=0)
            await own.result(running[0])
            await own.start("true")

    async def test_no_more_finished_ones_than_allowed_are_kept(self, own_agent, tools):
        own_agent.configuration["max_finished"] = 3
        own_agent.start()
        async with tools.calling(own_agent) as own:
            ids = []
            for _ in range(5):
                ids.append(await own.start("true"))
                await own.follow(ids[-1])

            async def kept():
                return {entry["command_id"] for entry in (await own("list_commands"))["commands"]} == set(ids[2:])

            await until(kept)
