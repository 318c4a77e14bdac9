"""What the README's first minute promises, through the real command line."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from myx_testkit.standalone import Standalone


def test_each_line_is_shown_as_it_is_written(myx: Standalone) -> None:
    script = "for i in 1 2 3; do date +%s.%N; sleep 0.7; done"
    follower = myx.follow("run", "local", "--", "sh", "-c", script)
    assert follower.stdout is not None
    lags = [time.time() - float(line) for line in follower.stdout]
    assert follower.communicate(timeout=10)[1] == b""
    assert follower.returncode == 0
    assert len(lags) == 3
    assert max(lags) < 0.65, lags  # below the pause between the lines, on a loaded machine too


def test_the_exit_code_is_the_commands(myx: Standalone) -> None:
    assert myx.cli("run", "local", "--", "sh", "-c", "exit 7").returncode == 7
    assert myx.cli("run", "local", "--", "true").returncode == 0
    assert myx.cli("run", "local", "--", "/no/such/program").returncode == 127
    assert myx.cli("run", "local", "--", "sh", "-c", "kill -KILL $$").returncode == 137


def test_both_streams_go_where_they_belong(myx: Standalone) -> None:
    done = myx.cli(
        "run", "local", "--env", "WHO=me", "--cwd", "/tmp", "--", "sh", "-c", "echo $WHO in $PWD; echo no >&2"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"me in /tmp\n", b"no\n")


def test_a_command_ends_at_its_timeout(myx: Standalone) -> None:
    began = time.monotonic()
    assert myx.cli("run", "--timeout", "1", "local", "--", "sleep", "60").returncode == 124
    assert time.monotonic() - began < 8


def test_a_detached_command_is_shown_listed_followed_and_cancelled(myx: Standalone) -> None:
    started = myx.cli("run", "--detach", "local", "--", "sh", "-c", "echo begun; sleep 60")
    command = started.stdout.decode().strip().splitlines()[-1].split()[-1]
    shown = json.loads(myx.cli("command", "show", "--output", "json", command).stdout)
    assert shown["server_name"] == "local"
    assert command in myx.cli("command", "list", "--server", "local", "--output", "json").stdout.decode()
    follower = myx.follow("logs", "-f", command)
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"begun\n"
    assert myx.cli("command", "cancel", "--grace", "1", command).returncode == 0
    follower.communicate(timeout=15)
    assert follower.returncode == 130
    shown = json.loads(myx.cli("command", "show", "--output", "json", command).stdout)
    assert shown["status"] == "cancelled"


def test_ctrl_c_asks_for_the_end_of_the_command(myx: Standalone) -> None:
    with myx.follow("run", "local", "--", "sh", "-c", "echo begun; exec sleep 300") as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"begun\n"
        follower.send_signal(signal.SIGINT)
        _, said = follower.communicate(timeout=20)
    assert follower.returncode == 130, said
    (latest,) = myx.api().request("GET", "/commands?page_size=1")["items"]
    assert (latest["args"], latest["status"]) == (["-c", "echo begun; exec sleep 300"], "cancelled")


def test_a_build_of_many_files_shows_what_it_shows_locally(myx: Standalone, tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"module_{number}.py").write_text(f"x = {number}\n")
    build = [sys.executable, "-m", "compileall", "-f", str(tmp_path)]
    here = subprocess.run(build, capture_output=True, check=True)
    done = myx.cli("run", "local", "--", *build)
    assert (done.returncode, done.stdout) == (0, here.stdout)
    assert done.stdout.count(b"Compiling") == 300


def test_the_local_server_is_online(myx: Standalone) -> None:
    (server,) = [item for item in myx.api().request("GET", "/servers")["items"] if item["name"] == "local"]
    assert server["address"] == "127.0.0.1"
    assert b"local" in myx.cli("server", "list").stdout
    assert b"online" in myx.cli("server", "show", "local").stdout
    status = myx.cli("status")
    assert status.returncode == 0, status


def test_a_silent_command_is_waited_for(myx: Standalone) -> None:
    done = myx.cli("run", "local", "--", "sh", "-c", "sleep 6; echo at last")
    assert (done.returncode, done.stdout) == (0, b"at last\n")


@pytest.mark.long
@pytest.mark.timeout(150)
def test_a_command_that_is_silent_for_a_minute_is_waited_for(myx: Standalone) -> None:
    done = myx.cli("run", "local", "--", "sh", "-c", "sleep 61; echo at last", timeout_s=120)
    assert (done.returncode, done.stdout) == (0, b"at last\n")


def test_the_same_idempotency_key_runs_once(myx: Standalone, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    body = {"server": "local", "command": "sh", "args": ["-c", f"echo x >> {mark}"]}
    first = myx.api().request("POST", "/commands", body, {"Idempotency-Key": "once-only"})
    second = myx.api().request("POST", "/commands", body, {"Idempotency-Key": "once-only"})
    assert first["id"] == second["id"]
    assert myx.cli("logs", "-f", first["id"]).returncode == 0
    third = myx.api().request("POST", "/commands", body, {"Idempotency-Key": "once-only"})
    assert (third["id"], third["status"]) == (first["id"], "success")
    assert mark.read_text() == "x\n"
