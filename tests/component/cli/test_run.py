"""`myx run`: bytes, exit codes, and what is asked of MyX."""

import fcntl
import json
import os
import subprocess
import sys
import termios
from base64 import b64decode
from pathlib import Path

import pytest


async def hello(stream):
    await stream.data(1, b"out 1\n")
    await stream.data(2, b"err 1\n")
    await stream.data(1, b"no end")
    await stream.final()


def test_each_stream_goes_where_it_belongs(gateway, myx):
    gateway.script = hello
    done = myx("run", "local", "--", "sh", "-c", "echo hi")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out 1\nno end", b"err 1\n")
    (post,) = gateway.posts("/commands")
    assert post.json() == {"server": "local", "command": "sh", "args": ["-c", "echo hi"]}
    assert len(post.headers["idempotency-key"]) == 32
    assert post.headers["authorization"].startswith("Bearer ")


def test_all_bytes_pass_unchanged(gateway, myx):
    content = bytes(range(256)) * 5000

    async def script(stream):
        for size in (1, 7, 125, 126, 127, 65526, 65527, 65528, 262144):
            await stream.data(1, content[:size])
        await stream.final()

    gateway.script = script
    done = myx("run", "local", "--", "cat")
    expected = b"".join(content[:size] for size in (1, 7, 125, 126, 127, 65526, 65527, 65528, 262144))
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, b"")


def test_options_reach_the_request(gateway, myx):
    gateway.script = hello
    done = myx(
        *(
            "run",
            "--timeout",
            "5m",
            "local",
            "--no-output-timeout=1.5s",
            "--env",
            "A=1",
            "-e",
            "B=x=y",
            "--cwd",
            "/tmp",
        ),
        *("--user", "nobody", "--secret-env", "PASS", "--stdin", "--", "prog", "--timeout", "--", "-o"),
        given=b"\x00in",
        env={"PASS": "s3cr3t"},
    )
    assert done.returncode == 0, done.stderr
    content = gateway.posts("/commands")[0].json()
    assert b64decode(content.pop("stdin")) == b"\x00in"
    assert content == {
        "server": "local",
        "command": "prog",
        "args": ["--timeout", "--", "-o"],
        "env": {"A": "1", "B": "x=y"},
        "secret_env": {"PASS": "s3cr3t"},
        "cwd": "/tmp",
        "user": "nobody",
        "timeout_s": 300.0,
        "no_output_timeout_s": 1.5,
    }


@pytest.mark.parametrize(
    ("final", "code", "said"),
    [
        ({"status": "failed", "exit_code": 7, "reason": "exit_code", "message": "exit code 7"}, 7, b""),
        ({"status": "failed", "exit_code": 125, "reason": "exited"}, 125, b""),
        ({"status": "failed", "exit_code": 255, "reason": "exited"}, 255, b""),
        (
            {"status": "failed", "exit_code": 127, "reason": "spawn_failed", "message": "no program x"},
            127,
            b"no program x",
        ),
        (
            {"status": "failed", "exit_code": 126, "reason": "spawn_failed", "message": "not runnable"},
            126,
            b"not runnable",
        ),
        ({"status": "failed", "exit_code": 137, "signal": "SIGKILL", "reason": "signal"}, 137, b"ended by SIGKILL"),
        (
            {"status": "failed", "exit_code": None, "reason": "agent_unreachable", "message": "refused"},
            125,
            b"did not run: refused",
        ),
        ({"status": "timeout", "exit_code": None, "reason": "timeout", "message": "over 5 s"}, 124, b"over 5 s"),
        ({"status": "cancelled", "exit_code": 143, "reason": "cancelled"}, 130, b"was cancelled"),
        ({"status": "lost", "exit_code": None, "message": "rebooted"}, 125, b"outcome is lost: rebooted"),
        ({"status": "unknown", "exit_code": None, "message": ""}, 125, b"cannot be known"),
        ({"status": "skipped", "exit_code": None}, 125, b"not run"),
        (
            {"log_completeness": "incomplete", "result": {"stdout": {"dropped": 5}, "stderr": {}}},
            0,
            b"5 bytes were dropped",
        ),
        ({"log_completeness": "unverified"}, 0, b"could not be verified"),
    ],
)
def test_the_outcome_becomes_an_exit_code_and_a_sentence(gateway, myx, final, code, said):
    async def script(stream):
        await stream.data(1, b"x\n")
        await stream.final(**final)

    gateway.script = script
    done = myx("run", "local", "--", "x")
    assert (done.returncode, done.stdout) == (code, b"x\n")
    assert said in done.stderr
    assert done.stderr.count(b"\n") == bool(said)


@pytest.mark.parametrize(
    ("options", "command", "message", "said"),
    [
        ([], ["nope"], "cannot be executed: No such file", "cannot be executed: No such file: nope"),
        ([], ["nope"], "nope cannot be executed", "nope cannot be executed"),
        (
            *([], ["sh -c true"], "cannot be executed"),
            "cannot be executed: sh -c true (no shell splits this into words; either -- PROGRAM ARG… or -- sh -c '…')",
        ),
        (["--cwd", "/no"], ["x"], "cannot be started (cwd): No such", "cannot be started (cwd): No such: /no"),
        (["--user", "joe"], ["x"], "user is not one here", "the command did not run: user is not one here: joe"),
    ],
)
def test_what_is_missing_is_named(gateway, myx, options, command, message, said):
    reason, code = ("agent_refused", None) if "--user" in options else ("spawn_failed", 127)

    async def script(stream):
        content = gateway.posts("/commands")[0].json()
        asked = {name: content[name] for name in ("command", "args", "cwd", "user") if name in content}
        await stream.final(status="failed", exit_code=code, reason=reason, message=message, **asked)

    gateway.script = script
    assert myx("run", "local", *options, "--", *command).stderr.decode() == f"myx: {said}\n"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--cwd", "relative"], b"'relative' is not an absolute path: it is a folder of the server"),
        (["--timeout", "99999d"], b"'99999d' is too long: at most 3650 days; 0: no limit"),
        (["--no-output-timeout", "99999d"], b"'99999d' is too long"),
    ],
)
def test_what_no_server_takes_is_refused_here(gateway, myx, option, said):
    done = myx("run", "local", *option, "--", "x")
    assert done.returncode == 2
    assert said in done.stderr
    assert not gateway.requests


def test_a_refused_request_is_a_wrong_command_line_told_once(gateway, myx):
    fields = {"user": "is too long", "server": "nosuch"}
    problem = {"reason": "REQUEST_INVALID", "detail": "user is too long.", "fields": fields}
    gateway.answers.append(("POST /commands", (400, problem)))
    done = myx("run", "local", "--", "x")
    assert (done.returncode, done.stderr) == (2, b"myx: user is too long (server: nosuch)\n")


def test_a_gap_is_told(gateway, myx):
    async def script(stream):
        await stream.data(1, b"a\n")
        await stream.gap(100, "limit reached")
        stream.offset += 3  # bytes that are skipped without a word
        await stream.data(1, b"b\n")
        stream.offset += 4
        await stream.final(log_completeness="incomplete")

    gateway.script = script
    done = myx("run", "local", "--", "x")
    assert done.stdout == b"a\nb\n"
    assert b"100 bytes of the output are missing here (limit reached)" in done.stderr
    assert b"3 bytes of the output are missing here" in done.stderr
    assert b"4 bytes of the output are missing here" in done.stderr


def test_detach_prints_the_id(gateway, myx):
    done = myx("run", "--detach", "local", "--", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"0190-command-0\n", b"")
    done = myx("run", "-d", "local", "other", "--output", "json", "--", "x")
    document = json.loads(done.stdout)
    assert document["exit_code"] == 0
    assert (document["type"], document["job"]["target_count"]) == ("detached", 2)
    assert myx("run", "-d", "local", "other", "--", "x").stdout == b"0190-job-1\n"


def test_json_lines_tell_all(gateway, myx):
    gateway.script = hello
    done = myx("run", "local", "--output", "json", "--", "x")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["started", "log", "log", "log", "final", "result"]
    assert [(line["stream"], line["offset"], b64decode(line["data"])) for line in lines[1:4]] == [
        ("stdout", 0, b"out 1\n"),
        ("stderr", 6, b"err 1\n"),
        ("stdout", 12, b"no end"),
    ]
    assert lines[-1]["exit_code"] == 0
    assert lines[-1]["commands"][0]["command"]["status"] == "success"


def test_several_servers_have_prefixed_lines(gateway, myx):
    async def script(stream):
        name = stream.command["server_name"].encode()
        await stream.data(1, b"one\ntw")
        await stream.data(2, b"oops")
        await stream.data(1, b"o\nlast of " + name)
        await stream.final(**({"status": "failed", "exit_code": 3} if name == b"other" else {}))

    gateway.script = script
    done = myx("run", "local", "other", "third", "--", "x")
    assert done.returncode == 3
    for name in (b"local", b"other", b"third"):
        mine = [line for line in done.stdout.splitlines() if line.startswith(name)]
        assert mine == [name + b" | one", name + b" | two", name + b" | last of " + name]
        assert name + b" | oops\n" in done.stderr
    assert b"myx: other: exit code 3\n" in done.stderr
    assert len(done.stdout.splitlines()) == 9


def test_servers_that_fail_differently_are_a_1(gateway, myx):
    codes = {"local": 3, "other": 4}

    async def script(stream):
        await stream.final(status="failed", exit_code=codes[stream.command["server_name"]])

    gateway.script = script
    assert myx("run", "local", "other", "--", "x").returncode == 1


def test_nothing_starts_while_one_of_several_names_is_wrong(gateway, myx):
    done = myx("run", "local", "nope", "--", "x")
    assert done.returncode == 125
    assert b"there is no server nope; nothing was started" in done.stderr
    assert not gateway.commands


def test_an_unknown_server_is_named(gateway, myx):
    done = myx("run", "nope", "--", "x")
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr == b"myx: there is no server nope; the names are shown by: myx server list\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "local"], b"-- is needed"),
        (["run", "local", "--"], b"which command"),
        (["run", "--", "x"], b"SERVER"),
        (["run", "local", "local", "--", "x"], b"named twice"),
        (["run", "local", "--timeout", "-5", "--", "x"], b"timeout"),
        (["run", "local", "--timeout", "soon", "--", "x"], b"'soon' is not a time"),
        (["run", "local", "--env", "NOVALUE", "--", "x"], b"NAME=VALUE"),
        (["run", "local", "--secret-env", "A=secretvalue", "--", "x"], b"a name only"),
        (["run", "local", "--secret-env", "UNSET_HERE", "--", "x"], b"no terminal to ask at"),
        (["run", "local", "--nonsense", "--", "x"], b"--nonsense"),
        (["logs", "x", "--offset", "-1"], b"offset"),
        (["frobnicate"], b"there is no command 'frobnicate'"),
        (["server"], b"one of: list, show"),
        (["status", "--output", "xml"], b"invalid choice"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_a_2(gateway, myx, arguments, said):
    done = myx(*arguments, start_new_session=True)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr
    assert done.stderr.startswith(b"myx: ")
    assert done.stderr.count(b"\n") == 1
    assert b"secretvalue" not in done.stderr
    assert not gateway.posts(".*")


def test_too_much_stdin_is_refused_before_anything_starts(gateway, myx):
    done = myx("run", "local", "--stdin", "--", "x", given=b"x" * (1024 * 1024 + 1))
    assert done.returncode == 2
    assert b"1024 KiB" in done.stderr
    assert not gateway.requests


def test_what_is_not_text_is_refused_before_anything_starts(gateway, myx):
    for arguments in (["run", "local", "--", "x", b"\xff"], ["run", "local", "-e", b"A=\xff", "--", "x"]):
        done = myx(*arguments)
        assert done.returncode == 2
        assert b"is not UTF-8" in done.stderr
    assert not gateway.requests
    assert myx("server", "show", b"\xff").returncode == 125


def test_an_output_that_takes_no_more_is_told(gateway, myx):
    gateway.script = hello
    with Path("/dev/full").open("wb") as full:
        done = myx("run", "local", "--", "x", stdout=full)
    assert done.returncode == 125
    assert done.stderr.startswith(b"myx: the output cannot be written: No space left on device; the command goes on: ")


def test_closed_descriptors_receive_nothing_and_harm_nothing(gateway, myx):
    gateway.script = hello
    shell = f'exec "{sys.executable}" -m myx_cli run local -- x <&- >&-'
    done = subprocess.run(["sh", "-c", shell], env=myx.env, stderr=subprocess.PIPE, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, b"err 1\n")


def test_a_secret_is_asked_for_on_the_terminal(gateway, myx):
    gateway.script = hello
    ours, its = os.openpty()
    process = myx.start(
        *("run", "local", "--secret-env", "PASS", "--", "x"),
        preexec_fn=lambda: (os.setsid(), fcntl.ioctl(its, termios.TIOCSCTTY, 0)),
        pass_fds=(its,),
    )
    os.close(its)
    shown = b""
    while b"PASS: " not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, b"s3cr3t\n")
    assert process.wait(10) == 0
    assert b"s3cr3t" not in shown + os.read(ours, 1000)
    os.close(ours)
    assert gateway.posts("/commands")[0].json()["secret_env"] == {"PASS": "s3cr3t"}


def test_nonsense_about_one_of_several_servers_does_not_hide_the_others(gateway, myx):
    async def script(stream):
        if stream.command["server_name"] == "other":
            await stream.final(exit_code="seven", status="failed", message=["?"])
        else:
            await hello(stream)

    gateway.script = script
    done = myx("run", "local", "other", "--", "x")
    assert done.returncode == 1
    assert b"local | out 1\n" in done.stdout
    assert b"myx: other: exit code seven\n" in done.stderr
