"""myx-agent as a program: its files, its start, its stop, what it costs."""

import asyncio
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil
import pytest

import myx_agent
from myx_testkit.agent import RealAgent
from myx_testkit.wait import until

PROGRAM = str(Path(sys.executable).with_name("myx-agent"))
GOOD = {"agent_token": "t" * 32, "secret_key": "s" * 32, "rpc_port": 24351, "rpc_path": "a3f8b9c2d1e4f607"}


def write(path, document, mode=0o600):
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    path.chmod(mode)
    return path


def run(*arguments, **options):
    return subprocess.run(
        [PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, **options
    )


def test_a_good_configuration_is_checked_and_a_version_told(tmp_path):
    path = write(tmp_path / "config.json", GOOD)

    assert (run("--config", path, "--check").returncode, run("--version").returncode) == (0, 0)
    assert run("--version").stdout.startswith("myx-agent ")


def test_a_bad_configuration_ends_the_agent_with_one_line_that_names_the_key(tmp_path):
    path = write(tmp_path / "config.json", {key: value for key, value in GOOD.items() if key != "rpc_path"})
    done = run("--config", path)

    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"myx-agent: {path}: rpc_path is missing"]


def test_a_configuration_that_others_can_read_is_refused(tmp_path):
    done = run("--config", write(tmp_path / "config.json", GOOD, 0o640), "--check")

    assert done.returncode == 2
    assert "640" in done.stderr


def test_a_configuration_that_is_not_there_is_said(tmp_path):
    done = run("--config", tmp_path / "none.json")

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_a_port_in_use_is_said_in_one_line(own, own_agent, tmp_path):
    folder = {"spool_dir": str(tmp_path / "spool2")}
    path = write(tmp_path / "second.json", own_agent.configuration | folder)
    done = run("--config", path)

    assert done.returncode == 1
    assert done.stderr.splitlines() == ["myx-agent: cannot start: [Errno 98] Address already in use"]


def without(config, *keys):
    return {key: value for key, value in config.items() if key not in keys}


@pytest.mark.parametrize("maker", ["openssl", "cryptography", "none"])
def test_a_certificate_is_made_when_there_is_none(own_agent, tmp_path, maker):
    folder = tmp_path / "ssl"
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    python = sys.executable
    if maker == "openssl":
        (bin_folder / "openssl").symlink_to(shutil.which("openssl"))
    if maker == "none":  # a Python without the library, as the agent's own environment is
        python_path = tmp_path / "hidden"
        python_path.mkdir()
        (python_path / "cryptography.py").write_text("raise ImportError")
    own_agent.configuration |= {"certificate_path": str(folder / "agent.crt"), "key_path": str(folder / "agent.key")}
    own_agent.program.env = {"PATH": str(bin_folder)} | (
        {"PYTHONPATH": str(tmp_path / "hidden")} if maker == "none" else {}
    )
    own_agent.program.argv = [python, "-m", "myx_agent", "--config", str(own_agent.config_file)]
    if maker == "none":
        write(own_agent.config_file, own_agent.configuration)
        own_agent.program.start()
        assert own_agent.program.process.wait(20) == 1
        assert "install the openssl program or the Python package cryptography" in own_agent.program.output()
        return
    own_agent.start()
    own_agent.stop()
    text = subprocess.run(
        ["openssl", "x509", "-in", folder / "agent.crt", "-noout", "-text"], capture_output=True, text=True, check=True
    )

    assert "prime256v1" in text.stdout
    assert stat.S_IMODE((folder / "agent.key").stat().st_mode) == 0o600
    first = (folder / "agent.crt").read_bytes()
    own_agent.start()
    assert (folder / "agent.crt").read_bytes() == first


def test_readiness_is_told_on_the_descriptor_that_was_given(own_agent):
    reader, writer = os.pipe()
    write(own_agent.config_file, own_agent.configuration)
    process = subprocess.Popen(
        [PROGRAM, "--config", own_agent.config_file], env=os.environ | {"MYX_READY_FD": str(writer)}, pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writer)
    try:
        assert os.read(reader, 100) == b"READY\n"
        assert os.read(reader, 100) == b""  # nobody keeps it: neither the agent nor its supervisor
    finally:
        os.close(reader)
        process.terminate()
        assert process.wait(10) == 0


async def test_a_stop_takes_two_seconds_whatever_is_open(own, own_agent):
    command_id = await own.start("sh", "-c", "echo 1; sleep 60")
    ask = {"jsonrpc": "2.0", "id": 1, "method": "get_command_log"}
    ask["params"] = {"command_id": command_id, "offset": 2, "wait": 30}
    body = json.dumps(ask)
    reader, writer = await asyncio.open_connection("127.0.0.1", own_agent.rpc_port, ssl=own.tls)
    writer.write(
        f"POST /{own_agent.rpc_path}/rpc HTTP/1.1\r\nHost: agent\r\nX-Agent-Token: {own_agent.agent_token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    await writer.drain()
    async with own.stream(command_id) as stream:
        await stream.receive()
        await own("heartbeat")  # asked after the poll was written: the agent has read that by now
        began = time.monotonic()
        own_agent.program.process.terminate()
        await asyncio.to_thread(own_agent.program.process.wait, 10)
        took = time.monotonic() - began

    assert took < 4
    answer = await reader.read()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["result"]["new_offset"] == 2
    writer.close()
    own_agent.restart()
    assert (await own("heartbeat"))["running_commands"] == 1


async def test_stop_commands_cancels_what_runs_and_ends_the_supervisor(own, own_agent, tools):
    stubborn = await own.start("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    plain = await own.start("sleep", "60")
    supervisor = own.supervisor
    own_agent.stop()
    done = run("--config", own_agent.config_file, "--stop-commands", "--grace", "0.2")

    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == sorted([f"cancelled {stubborn}", f"cancelled {plain}"])
    # Its last connection is closed an instant before the system has taken it down.
    await until(lambda: not tools.is_alive(supervisor.pid), 5)
    again = run("--config", own_agent.config_file, "--stop-commands")
    assert (again.returncode, again.stdout) == (0, "")
    own_agent.restart()
    assert (await own.follow(stubborn)).result["reason"] == "cancelled"


async def test_stop_commands_ends_also_what_a_killed_supervisor_left(own, own_agent, tools):
    command_id = await own.start("sleep", "60")
    leader = int((own.folder(command_id) / "pid").read_text().split()[0])
    own_agent.kill9()
    own.supervisor.kill()
    done = run("--config", own_agent.config_file, "--stop-commands")

    assert done.stdout == f"cancelled {command_id}\n"
    assert not tools.is_alive(leader)


async def test_two_thousand_short_commands_leave_nothing(own, own_agent):
    agent, supervisor = psutil.Process(own_agent.program.pid), own.supervisor
    await own.run("true")

    async def one(number):
        command_id = f"n{number}"
        answers = await own.batch(
            ("execute_command", {"command": "true", "command_id": command_id}),
            ("get_command_log", {"command_id": command_id, "wait": 30, "until": "final"}),
            ("release_command", {"command_id": command_id}),
        )
        assert answers[1]["result"]["result"]["return_code"] == 0
        assert answers[2]["result"]["released"]

    async def many(first, last):
        numbers = iter(range(first, last))

        async def work():
            for number in numbers:
                await one(number)

        await asyncio.gather(*(work() for _ in range(8)))

    await many(0, 300)
    fds = agent.num_fds(), supervisor.num_fds()
    rss = agent.memory_info().rss, supervisor.memory_info().rss
    await many(300, 2000)
    await until(lambda: not supervisor.children(), 10)

    assert abs(agent.num_fds() - fds[0]) <= 40  # pipes held of commands that have just ended are let go in turns
    assert supervisor.num_fds() <= fds[1] + 1
    assert agent.memory_info().rss < rss[0] + 3_000_000
    assert supervisor.memory_info().rss < rss[1] + 3_000_000
    assert len(list((Path(own.spool) / "commands").iterdir())) == 1
    assert (await own("get_status"))["finished_count"] == 1


async def test_idle_it_is_small_and_does_not_tick(own, own_agent, record_property):
    await own("get_status")
    await own.run("true")
    processes = psutil.Process(own_agent.program.pid), own.supervisor
    rss = [process.memory_info().rss / 1e6 for process in processes]

    def switches():
        return [process.num_ctx_switches().voluntary for process in processes]

    def cpu():
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    await asyncio.sleep(1.5)  # the flusher and the connection of the last call settle
    before, cpu_before = switches(), cpu()
    await asyncio.sleep(3)
    wakes = [after - earlier for after, earlier in zip(switches(), before, strict=True)]
    record_property("rss_mb", rss)
    record_property("cpu_share", (cpu() - cpu_before) / 3)

    assert sum(rss) <= 60, rss
    assert sum(wakes) <= 4, wakes  # ten ticks a second would be a hundred


@pytest.fixture
def foreign_agent(tmp_path_factory):
    """An agent that runs as `nobody`, by the system's own Python."""
    python, nobody = "/usr/bin/python3", pwd.getpwnam("nobody")
    packages = f"{Path(myx_agent.__file__).parent.parent}:{Path(msgspec.__file__).parent.parent}"
    become = [
        "setpriv",
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "env",
        f"PYTHONPATH={packages}",
    ]
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root to become another user")
    if subprocess.run([*become, python, "-c", "import myx_agent.agent"], capture_output=True, check=False).returncode:
        pytest.skip("the system's Python cannot run the agent")
    folder = Path(tempfile.mkdtemp(prefix="myx-agent-"))
    agent = RealAgent(folder, require_signature=False)
    agent.program.argv = [*become, python, "-m", "myx_agent", "--config", str(agent.config_file)]
    write(agent.config_file, agent.configuration)
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, nobody.pw_uid, nobody.pw_gid)
    agent.program.start()
    yield agent
    agent.program.stop()
    subprocess.run([*agent.program.argv, "--stop-commands"], check=True, timeout=60)
    shutil.rmtree(folder)


async def test_an_ordinary_user_can_run_it(foreign_agent, tools):
    async with tools.calling(foreign_agent) as call:
        await until(lambda: "serves on port" in foreign_agent.program.output(), 20)
        log = await call.run("sh", "-c", "id -un; exit 3")
        assert (log.stdout, log.result["return_code"], log.result["tree_gone"]) == (b"nobody\n", 3, True)
        assert not {"cgroup", "run_as_user"} & set((await call("get_status"))["capabilities"])
        with pytest.raises(tools.RpcFailure) as caught:
            await call.start("true", user="root")
        assert (caught.value.code, caught.value.data["field"]) == (-32602, "user")

        command_id = await call.start(
            "sh", "-c", "trap '' TERM; (setsid sleep 60 &) ; echo 1; while :; do sleep 1; done"
        )
        await call("get_command_log", command_id=command_id, wait=10)
        await call("cancel_command", command_id=command_id, grace=0.1)
        result = (await call.follow(command_id)).result
        assert (result["reason"], result["signal"], result["tree_gone"]) == ("cancelled", "SIGKILL", True)
