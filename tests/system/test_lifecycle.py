"""Start, stop and start again, whatever happened in between."""

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from myx_standalone import leftovers
from myx_testkit.open_way import needed_folders, prefix_as
from myx_testkit.process import is_alive
from myx_testkit.standalone import BIN, PARTS, Standalone
from myx_testkit.wait import until_sync

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Standalone]:
    """A MyX of this test alone, in a folder whose name is hard on careless programs."""
    deployment = Standalone(tmp_path / "ünusual 'folder' of $HOME" / ("long" * 25) / "home")
    yield deployment
    if deployment.program.process is not None and deployment.program.is_running():
        deployment.stop()
    assert everything_of(deployment) == []


def everything_of(deployment: Standalone) -> list[str]:
    """What runs for this home, by any trace of it."""
    found = [f"{name} {pid}" for pid, name in leftovers.of_home(deployment.home).items()]
    return found + [f"{process.pid} {process.name()}" for process in deployment.command_processes()]


def test_it_stops_in_time_cancels_what_runs_says_so_and_keeps_all_data(own: Standalone) -> None:
    own.start()
    first = own.api().request("POST", "/commands", {"server": "local", "command": "echo", "args": ["kept"]})["id"]
    assert own.cli("logs", "-f", first).stdout == b"kept\n"
    script = "setsid sleep 1111 & trap '' TERM; sleep 1111"
    running = own.api().request("POST", "/commands", {"server": "local", "command": "sh", "args": ["-c", script]})["id"]
    until_sync(lambda: len(sleepers()) == 2)
    assert stat.S_IMODE(own.home.standalone_file.stat().st_mode) == 0o600
    began = time.monotonic()
    assert own.stop(signal.SIGINT) == 0
    took = time.monotonic() - began
    assert took < 10, own.said()
    assert everything_of(own) == []
    assert sleepers() == []
    assert f"Cancelling a command that still runs on this machine: {running}" in own.said()
    assert "1 command was cancelled." in own.said()
    assert not own.home.standalone_file.exists()

    began = time.monotonic()
    own.start()
    assert time.monotonic() - began < 60
    assert own.cli("logs", first).stdout == b"kept\n"
    assert own.api().request("GET", f"/commands/{running}")["status"] == "cancelled"
    assert own.cli("run", "local", "--", "true").returncode == 0


def test_it_stops_in_time_when_the_door_hangs_and_ends_the_commands_all_the_same(own: Standalone) -> None:
    own.start()
    script = "trap '' TERM; sleep 1111; sleep 1111"
    running = own.api().request("POST", "/commands", {"server": "local", "command": "sh", "args": ["-c", script]})["id"]
    until_sync(lambda: len(sleepers()) == 1)
    for part in ("gateway", "heartbeat"):
        os.kill(own.pids(part)[0], signal.SIGSTOP)
    began = time.monotonic()
    assert own.stop() == 0
    assert time.monotonic() - began < 10, own.said()
    assert everything_of(own) == []
    assert sleepers() == []
    assert f"cancelled {running}" in own.said()
    own.start()
    until_sync(lambda: own.api().request("GET", f"/commands/{running}")["status"] == "cancelled", 20)


def sleepers() -> list[int]:
    return [process.pid for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "1111"]]


def test_after_kill_9_of_everything_it_simply_starts(own: Standalone) -> None:
    own.start()
    assert own.cli("run", "local", "--", "echo", "x").stdout == b"x\n"
    family = [psutil.Process(own.program.pid), *psutil.Process(own.program.pid).children(recursive=True)]
    for process in (*family, *own.command_processes()):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    until_sync(lambda: not any(is_alive(process) for process in family))
    assert own.program.process is not None
    own.program.process.wait()
    own.start()
    assert own.cli("run", "local", "--", "echo", "y").stdout == b"y\n"
    assert len(own.api().request("GET", "/commands")["items"]) == 2


def test_nothing_outlives_a_killed_supervisor_but_the_commands_and_they_are_found_again(own: Standalone) -> None:
    own.start()
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.5; done; exit 5"
    command = own.api().request("POST", "/commands", {"server": "local", "command": "sh", "args": ["-c", script]})["id"]
    assert own.follow_first_line(command) == b"1\n"
    own.program.kill9()
    until_sync(lambda: leftovers.of_home(own.home) == {}, 5)
    own.start()
    done = own.cli("logs", "-f", command)
    assert (done.returncode, done.stdout) == (5, b"".join(b"%d\n" % number for number in range(1, 11)))


def test_a_second_signal_kills_at_once(own: Standalone) -> None:
    own.start()
    own.api().request(
        "POST", "/commands", {"server": "local", "command": "sh", "args": ["-c", "trap '' TERM; sleep 30"]}
    )
    own.program.process.send_signal(signal.SIGINT)
    until_sync(lambda: "MyX stops." in own.said())
    time.sleep(0.6)  # signals closer than that are one and the same
    began = time.monotonic()
    own.program.process.send_signal(signal.SIGINT)
    own.program.process.wait(5)
    until_sync(lambda: everything_of(own) == [], 5)
    assert time.monotonic() - began < 3


def test_a_port_in_use_is_a_sentence(own: Standalone) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = up(own, "--port", str(port))
    assert done.returncode == 1
    assert done.stderr == (
        f"myx-standalone: port {port} on 127.0.0.1 cannot be used (Address already in use): "
        "free it, or choose another one with MYX_PORT\n"
    )


def test_a_second_one_on_the_same_folder_is_a_sentence(myx: Standalone) -> None:
    done = up(myx, "--port", "0")
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"myx-standalone: MyX runs on {myx.home.path} already (process {myx.program.pid}): stop"
    )
    myx.wait_until_well()


@needs_root
def test_a_folder_that_is_not_writable_is_a_sentence() -> None:
    nobody = prefix_as(65534, 65534, needed_folders())
    argv = [*nobody, str(BIN / "myx-standalone"), "up", "--home", "/nowhere", "--port", "0"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode == 1
    assert (
        done.stderr
        == "myx-standalone: /nowhere cannot be made here (not writable): name another folder with MYX_HOME\n"
    )


def up(deployment: Standalone, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [str(BIN / "myx-standalone"), "up", *arguments]
    return subprocess.run(argv, env=deployment.environment, capture_output=True, text=True, timeout=60, check=False)


def test_every_part_runs_and_all_of_it_is_on_loopback(myx: Standalone) -> None:
    for part in PARTS:
        processes = [psutil.Process(pid) for pid in myx.pids(part)]
        assert processes, part
        for process in processes:
            connections = process.net_connections("inet")
            listening = {item.laddr.ip for item in connections if item.status == psutil.CONN_LISTEN}
            assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}, (part, listening)


def test_the_folder_holds_nothing_that_others_can_read(myx: Standalone) -> None:
    assert stat.S_IMODE(myx.home.path.stat().st_mode) == 0o700
    data = myx.home.postgres / "data"
    open_files = [
        path
        for path in myx.home.path.rglob("*")
        if not path.is_symlink() and path.is_file() and not path.is_relative_to(data) and path.stat().st_mode & 0o077
    ]
    assert [
        path for path in open_files if path.suffix not in {".crt", ""} and path.is_relative_to(myx.home.secrets)
    ] == []
    assert not [path for path in open_files if path.suffix in {".key", ".keys", ".token", ".log", ".json"}]


@needs_root
def test_another_user_finds_nothing_that_answers_without_a_secret(myx: Standalone) -> None:
    assert as_nobody("cat", str(myx.home.standalone_file)).returncode != 0
    assert as_nobody("ls", str(myx.home.path)).returncode != 0
    ports = {int(port) for port in json.loads(myx.home.ports_file.read_text()).values()}
    agent_port = json.loads(myx.home.agent_config.read_text())["rpc_port"]
    for port in ports | {agent_port, myx.port}:
        for request in ("GET / HTTP/1.0\\r\\n\\r\\n", "CONNECT {}\\r\\nPUB myx.log.x 1\\r\\nx\\r\\nPING\\r\\n"):
            script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{request}' >&3; timeout 2 cat <&3"
            answer = as_nobody("bash", "-c", script).stdout
            assert b"PONG" not in answer, port
            assert b" 200 " not in answer.splitlines()[0:1] or port == myx.port, (port, answer)
    for path in ("/api/v1/servers", "/api/v1/commands", "/api/v1/status", "/api/v1/agents"):
        script = (
            f"exec 3<>/dev/tcp/127.0.0.1/{myx.port}; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; timeout 5 cat <&3"
        )
        assert b" 401 " in as_nobody("bash", "-c", script).stdout.splitlines()[0]


def as_nobody(*program: str) -> subprocess.CompletedProcess[bytes]:
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *program]
    return subprocess.run(argv, capture_output=True, timeout=30, check=False, cwd="/")


@pytest.fixture
def ordinary_user() -> Iterator[pwd.struct_passwd]:
    """A user of this machine with a home folder of mode 700; made for the test."""
    name = "myx-test-user"
    subprocess.run(["useradd", "--create-home", name], check=True, capture_output=True)
    try:
        user = pwd.getpwnam(name)
        Path(user.pw_dir).chmod(0o700)
        yield user
    finally:
        subprocess.run(["userdel", "--remove", "--force", name], check=False, capture_output=True)


@needs_root
@pytest.mark.skipif(not shutil.which("useradd"), reason="no useradd here")
def test_it_works_as_an_ordinary_user_below_a_closed_home_folder(ordinary_user: pwd.struct_passwd) -> None:
    prefix = prefix_as(ordinary_user.pw_uid, ordinary_user.pw_gid, needed_folders())
    if subprocess.run([*prefix, sys.executable, "-c", ""], capture_output=True, check=False, cwd="/").returncode != 0:
        pytest.skip("no private mounts here, and the interpreter lies below a folder that others cannot enter")
    checkout = Path(ordinary_user.pw_dir) / "checkout"
    checkout.mkdir(0o700)
    os.chown(checkout, ordinary_user.pw_uid, ordinary_user.pw_gid)
    deployment = Standalone(
        checkout / ".myx",
        prefix=prefix,
        environment={"HOME": ordinary_user.pw_dir, "USER": ordinary_user.pw_name, "LOGNAME": ordinary_user.pw_name},
    )
    deployment.start()
    try:
        assert deployment.cli("run", "local", "--", "id", "-un").stdout.decode().strip() == ordinary_user.pw_name
        owners = {
            process.uids().effective for process in psutil.Process(deployment.program.pid).children(recursive=True)
        }
        assert owners == {ordinary_user.pw_uid}
    finally:
        assert deployment.stop() == 0
    assert everything_of(deployment) == []
