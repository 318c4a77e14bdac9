"""What execute_command does, seen from outside."""

import os
import pwd
import signal

import pytest

is_root = os.geteuid() == 0


async def test_output_and_exit_code_are_the_programs_own(call):
    log = await call.run("sh", "-c", "echo out; echo err >&2; exit 7")

    assert (log.stdout, log.stderr) == (b"out\n", b"err\n")
    assert log.result["return_code"] == 7
    assert (log.result["success"], log.result["reason"], log.result["signal"]) == (False, "exited", None)
    assert log.result["tree_gone"] is True
    assert log.close_code == 1000


async def test_the_result_proves_that_the_log_is_complete(call, tools):
    log = await call.run("sh", "-c", "head -c 70000 /dev/urandom; echo err >&2")

    for name, data in (("stdout", log.stdout), ("stderr", log.stderr)):
        assert log.result[name] == {"bytes": len(data), "sha256": tools.sha256(data), "dropped": 0}
    assert log.result["log_size"] == log.final["offset"] == 70004
    assert log.result["stderr_text"] == tools.b64(b"err\n")
    assert "stdout_text" not in log.result


async def test_there_is_no_shell_unless_asked_for(call):
    log = await call.run("echo", "$HOME; *")

    assert log.stdout == b"$HOME; *\n"


async def test_a_signal_is_named_and_counted_as_shells_do(call):
    log = await call.run("sh", "-c", "kill -SEGV $$")

    assert (log.result["reason"], log.result["signal"]) == ("signaled", "SIGSEGV")
    assert log.result["return_code"] == 128 + signal.SIGSEGV


@pytest.mark.parametrize(
    ("command", "code"), [("no-such-program", 127), ("/no/such/program", 127), ("/etc/passwd", 126), ("/etc", 126)]
)
async def test_a_program_that_cannot_be_executed_is_a_failed_command(call, command, code):
    log = await call.run(command)

    assert (log.result["return_code"], log.result["reason"]) == (code, "spawn_failed")
    assert "cannot be executed" in log.result["message"]


async def test_a_folder_that_is_not_there_is_said(call):
    log = await call.run("pwd", cwd="/no/such/folder")

    assert (log.result["return_code"], log.result["reason"]) == (126, "spawn_failed")
    assert "cwd" in log.result["message"]


async def test_stdin_environment_and_folder_reach_the_program(call, tools):
    data = bytes(range(256)) * 1000
    log = await call.run(
        "sh", "-c", 'cat; printf "%s %s" "$A" "$PWD" >&2', stdin=tools.b64(data), env={"A": "ä"}, cwd="/usr"
    )

    assert log.stdout == data
    assert log.stderr == "ä /usr".encode()


async def test_without_stdin_it_is_empty(call):
    assert (await call.run("cat")).stdout == b""


async def test_the_environment_is_a_logins_and_not_the_agents(call):
    names = {line.split(b"=")[0] for line in (await call.run("env")).stdout.splitlines()}

    assert {b"PATH", b"HOME", b"USER", b"SHELL", b"MYX_COMMAND_ID"} <= names
    assert not {name for name in names if name.startswith((b"PYTHON", b"VIRTUAL_ENV", b"NOTIFY", b"MYX_READY"))}


async def test_secrets_reach_the_program_but_not_the_log_nor_the_disk(call):
    secret = "s3cr3t-" + "x" * 20
    command_id = await call.start(
        "sh",
        "-c",
        'printf "<%s" "$PW" | head -c 9; sleep 0.1; printf "%s>" "$PW" | tail -c +9; test ${#PW} = 27',
        secret_env={"PW": secret},
    )
    log = await call.follow(command_id)

    assert log.stdout == b"<***>"
    assert log.result["return_code"] == 0
    assert log.result["stdout"]["bytes"] == 5
    for path in call.folder(command_id).iterdir():
        assert secret.encode() not in path.read_bytes()


async def test_the_last_bytes_are_kept_though_they_might_begin_a_secret(call):
    log = await call.run("printf", "tail: hun", secret_env={"PW": "hunter2"})

    assert log.stdout == b"tail: hun"


@pytest.mark.skipif(not is_root, reason="needs root")
async def test_another_user_is_taken_on_wholly(call):
    name = pwd.getpwnam("nobody").pw_name
    log = await call.run("sh", "-c", "id -un; id -G; echo x > /dev/stderr; ls /root; echo $USER", user=name)

    lines = log.stdout.split()
    assert lines[0] == lines[-1] == b"nobody"
    assert b"0" not in lines[1:-1]
    assert b"x\n" in log.stderr
    assert b"ermission denied" in log.stderr


async def test_a_command_starts_with_default_signals_in_its_own_session(call):
    program = (
        "import os; print(os.getsid(0) == os.getpid());"
        "print(open('/proc/self/status').read().split('SigIgn:')[1].split()[0]);"
        "print(len(os.listdir('/proc/self/fd')))"
    )
    own_session, ignored, descriptors = (await call.run("python3", "-c", program)).stdout.split()

    assert own_session == b"True"
    assert int(ignored, 16) & 0x7EFFEFFF == 0  # Python itself ignores SIGPIPE and SIGXFSZ
    assert int(descriptors) == 4  # 0, 1, 2 and the listing's own


async def test_streams_keep_the_order_in_which_they_were_written(call):
    script = "for i in 1 2 3 4 5; do echo o$i; sleep 0.02; echo e$i >&2; sleep 0.02; done"
    log = await call.run("sh", "-c", script)

    assert log.text == b"".join(b"o%d\ne%d\n" % (i, i) for i in range(1, 6))


async def test_a_command_that_prints_nothing_and_closes_everything_ends(call):
    log = await call.run("sh", "-c", "exec >&- 2>&- <&-; sleep 0.1; exit 3")

    assert log.result["return_code"] == 3
    assert log.frames == []


async def test_a_background_child_that_holds_the_output_does_not_hold_the_end(call, tools):
    log = await call.run("sh", "-c", "(echo $BASHPID; exec sleep 30) & echo $! >&2; exit 5")
    child = int(log.stderr)

    assert log.result["return_code"] == 5
    assert log.result["tree_gone"] is False
    assert tools.is_alive(child)
    os.kill(child, signal.SIGKILL)


async def test_a_background_child_that_writes_after_the_end_neither_blocks_nor_dies(call, tmp_path):
    mark = tmp_path / "mark"
    log = await call.run("sh", "-c", f"(sleep 1.3; head -c 5000000 /dev/zero; echo done > {mark}) & exit 0")
    assert log.result["reason"] == "exited"

    from myx_testkit.wait import until

    await until(mark.exists, 10)
    assert mark.read_text() == "done\n"


async def test_a_daemon_that_let_go_of_the_output_is_seen_in_the_result(call):
    log = await call.run("sh", "-c", "setsid sleep 20 >/dev/null 2>&1 </dev/null & echo $!")
    os.kill(int(log.stdout), signal.SIGKILL)

    assert log.result["tree_gone"] is False
    assert (await call.run("true")).result["tree_gone"] is True


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"command": ""}, "command"),
        ({"command": "a\0b"}, "command"),
        ({"args": ["a\0"]}, "args"),
        ({"args": "text"}, "args"),
        ({"args": [1]}, "args"),
        ({"command": None}, "command"),
        ({"env": {"A=B": "x"}}, "env"),
        ({"env": {"A": "\0"}}, "env"),
        ({"env": {"A": 1}}, "env"),
        ({"secret_env": {"": "x"}}, "secret_env"),
        ({"cwd": "relative"}, "cwd"),
        ({"stdin": "not base64!"}, "stdin"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"no_output_timeout": -0.5}, "no_output_timeout"),
        ({"command_id": ""}, "command_id"),
        ({"command_id": "../x"}, "command_id"),
        ({"command_id": "a/b"}, "command_id"),
        ({"command_id": ".hidden"}, "command_id"),
        ({"command_id": "x" * 129}, "command_id"),
        ({"user": "no-such-user"}, "user"),
        ({"shell": True}, "shell"),
    ],
)
async def test_bad_parameters_are_refused_by_name_and_nothing_runs(call, tools, params, field):
    before = (await call("list_commands"))["commands"]
    with pytest.raises(tools.RpcFailure) as caught:
        await call("execute_command", **({"command": "true", "command_id": "bad"} | params))

    assert caught.value.code == -32602
    assert caught.value.data == {"reason": "INVALID_PARAMS", "retryable": False, "field": field}
    assert (await call("list_commands"))["commands"] == before
