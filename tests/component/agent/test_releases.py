"""Agent and supervisor of different releases: after an upgrade, after a rollback, with the old folder deleted."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest

import myx_agent
from myx_testkit.process import Program
from myx_testkit.wait import until

COUNT = "i=0; while [ $i -lt {n} ]; do i=$((i+1)); echo $i; sleep 0.01; done; exit 42"
START = """
import sys
sys.path.insert(0, {folder!r})
from myx_agent.__main__ import main
sys.exit(main())
"""


def numbered(count):
    return b"".join(b"%d\n" % number for number in range(1, count + 1))


class Releases:
    """Copies of the agent, each with its own supervisor code."""

    def __init__(self, agent, folder):
        self.agent = agent
        self.folder = folder

    def make(self, name, code=""):
        release = self.folder / name
        source = Path(myx_agent.__file__).parent
        shutil.copytree(source, release / "myx_agent", ignore=shutil.ignore_patterns("__pycache__"))
        with (release / "myx_agent" / "supervisor" / "main.py").open("a") as file:
            file.write(f"\n# release {name}\n{code}\n")
        (release / "agent.py").write_text(START.format(folder=str(release)))

    def use(self, name):
        """The release that the next start runs."""
        argv = [sys.executable, str(self.folder / name / "agent.py"), "--config", str(self.agent.config_file)]
        self.agent.program = Program("agent", argv, self.agent.folder / f"agent-{name}.log")

    def switch(self, name):
        """As an upgrade does: stop one, start the other."""
        self.agent.stop()
        self.use(name)
        self.agent.start()


@pytest.fixture
def releases(own_agent, tmp_path):
    releases = Releases(own_agent, tmp_path / "releases")
    releases.make("a")
    releases.make("b")
    releases.use("a")
    return releases


def release_of(call):
    return Path(call.supervisor.cmdline()[-2]).parents[1].name


async def grown(call, command_id, least):
    await until(lambda: (call.folder(command_id) / "log").stat().st_size >= least, 10)


async def test_a_supervisor_of_another_release_is_kept_while_it_has_commands(own_agent, releases, tools):
    own_agent.start()
    async with tools.calling(own_agent) as own:
        mark = own_agent.folder / "go"
        waiting = await own.start("sh", "-c", f"until [ -e {mark} ]; do sleep 0.01; done; exit 6")
        counting = await own.start("sh", "-c", COUNT.format(n=100))
        await grown(own, counting, 30)
        before = own.supervisor
        releases.switch("b")
        assert (own.supervisor.pid, release_of(own)) == (before.pid, "a")

        during = await own.run("sh", "-c", "echo during; exit 5")  # the old one serves the new agent
        assert (during.stdout, during.result["return_code"]) == (b"during\n", 5)
        to_cancel = await own.start("sleep", "60")
        await own("cancel_command", command_id=to_cancel)
        assert (await own.follow(to_cancel)).result["reason"] == "cancelled"
        assert (await own("heartbeat"))["running_commands"] >= 1
        assert release_of(own) == "a"

        mark.touch()
        counted, waited = await own.follow(counting), await own.follow(waiting)
        assert (counted.stdout, counted.result["return_code"]) == (numbered(100), 42)
        assert waited.result["return_code"] == 6


async def test_without_commands_it_gives_way(own_agent, releases, tools):
    own_agent.start()
    async with tools.calling(own_agent) as own:
        command_id = await own.start("sleep", "0.5")
        before = own.supervisor
        releases.switch("b")
        await own.follow(command_id)
        assert (await own("heartbeat"))["running_commands"] == 0

        assert (own.supervisor.pid, release_of(own)) == (before.pid, "b")
        assert (await own.run("echo", "on")).stdout == b"on\n"


async def test_an_idle_supervisor_gives_way_at_once(own_agent, releases, tools):
    own_agent.start()
    async with tools.calling(own_agent) as own:
        releases.switch("b")
        assert release_of(own) == "b"
        releases.switch("a")
        assert release_of(own) == "a"
        assert (await own.run("echo", "on")).stdout == b"on\n"


async def test_a_supervisor_outlives_the_folder_of_its_release(own_agent, releases, tools):
    own_agent.start()
    async with tools.calling(own_agent) as own:
        mark = own_agent.folder / "go"
        script = f"until [ -e {mark} ]; do sleep 0.01; done; head -c 6000000 /dev/zero; sleep 60"
        command_id = await own.start("sh", "-c", script, timeout=30)
        releases.switch("b")
        shutil.rmtree(releases.folder / "a")
        mark.touch()
        await grown(own, command_id, 6_000_000)
        log = await own.run("sh", "-c", "echo new; exit 3", secret_env={"S": "hunter2-hunter2"})
        assert (log.stdout, log.result["return_code"]) == (b"new\n", 3)
        await own("cancel_command", command_id=command_id, grace=1)
        assert (await own.follow(command_id, keep=False)).result["reason"] == "cancelled"
        await own("heartbeat")

        assert release_of(own) == "b"


async def test_a_supervisor_that_dies_in_the_new_release_is_followed_by_the_old_one(own_agent, releases, tools):
    releases.make("broken", 'raise SystemExit("cannot be imported")')
    own_agent.start()
    async with tools.calling(own_agent) as own:
        command_id = await own.start("sh", "-c", COUNT.format(n=200))
        releases.switch("broken")  # its supervisor would not start, and is not needed while commands run
        assert release_of(own) == "a"
        releases.switch("a")
        log = await own.follow(command_id)
        assert (log.stdout, log.result["return_code"]) == (numbered(200), 42)


async def test_a_supervisor_that_hangs_does_not_keep_the_old_release_from_coming_back(own_agent, releases, tools):
    code = (releases.folder / "a" / "myx_agent" / "commands" / "supervisor.py").read_text()
    impatient = code.replace("_PATIENCE_S = 60.0", "_PATIENCE_S = 1.0")
    assert impatient != code
    (releases.folder / "a" / "myx_agent" / "commands" / "supervisor.py").write_text(impatient)
    own_agent.start()
    async with tools.calling(own_agent) as own:
        command_id = await own.start("sh", "-c", COUNT.format(n=300))
        hung = own.supervisor
        hung.send_signal(signal.SIGSTOP)
        own_agent.kill9()
        own_agent.restart()

        assert own.supervisor.pid != hung.pid
        log = await own.follow(command_id)
        assert log.stdout == numbered(300)
        assert (await own.run("echo", "on")).stdout == b"on\n"


async def test_a_stop_of_the_agent_leaves_supervisor_and_commands(own, own_agent):
    """As systemd does it with KillMode=process: TERM to the agent alone."""
    command_id = await own.start("sh", "-c", COUNT.format(n=100))
    await grown(own, command_id, 30)
    supervisor = own.supervisor
    own_agent.stop()

    assert supervisor.is_running()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):  # were it to get them too
        supervisor.send_signal(number)
    await until((own.folder(command_id) / "result.json").exists, 10)
    own_agent.restart()
    assert (own.supervisor.pid, supervisor.is_running()) == (supervisor.pid, True)
    assert (await own.follow(command_id)).result["return_code"] == 42


class TestInheritance:
    """Commands get nothing of what the unit gives the agent."""

    @pytest.fixture
    async def unit(self, own_agent, tools):
        """An agent as its unit starts it."""
        given = {
            "NOTIFY_SOCKET": "/run/x",
            "INVOCATION_ID": "0" * 32,
            "JOURNAL_STREAM": "8:1",
            "LISTEN_FDS": "1",
            "LISTEN_PID": "1",
            "MEMORY_PRESSURE_WATCH": "/sys/x",
            "SYSTEMD_EXEC_PID": "1",
            "CREDENTIALS_DIRECTORY": "/run/y",
            "PYTHONPATH": "/nowhere",
            "VIRTUAL_ENV": "/nowhere",
        }
        own_agent.program.env = {**os.environ, **given}
        own_agent.start()
        async with tools.calling(own_agent) as own:
            yield own

    async def test_neither_its_environment_nor_its_descriptors(self, unit):
        log = await unit.run("sh", "-c", "env -0; echo; ls /proc/self/fd | tr '\\n' ' '")
        environment, _newline, descriptors = log.stdout.decode().rpartition("\n")
        names = {item.partition("=")[0] for item in environment.split("\0") if "=" in item}

        allowed = {"PATH", "LANG", "TZ", "HOME", "USER", "LOGNAME", "SHELL", "MYX_COMMAND_ID", "PWD"}
        assert {name for name in names if "proxy" not in name.lower() and not name.startswith("LC_")} <= allowed
        assert descriptors.split() == ["0", "1", "2", "3"]  # 3: the folder that ls reads

    async def test_neither_umask_nor_signals_nor_limits(self, unit):
        log = await unit.run("sh", "-c", "umask; ulimit -Sn; grep -E '^Sig(Blk|Ign)|NoNewPrivs' /proc/self/status")
        umask, files, *status = log.stdout.decode().split("\n")

        assert (umask, int(files) <= 1024) == ("0022", True)
        internal = 0b11 << 31  # signals 32 and 33 are the C library's own
        assert [int(line.split()[-1], 16) & ~internal for line in status if line] == [0, 0, 0]

    async def test_a_command_dies_before_agent_and_supervisor(self, unit, own_agent):
        adjusted = (await unit.run("cat", "/proc/self/oom_score_adj")).stdout
        own = [Path(f"/proc/{pid}/oom_score_adj").read_text() for pid in (own_agent.program.pid, unit.supervisor.pid)]

        assert adjusted == b"500\n"
        assert own == [Path("/proc/self/oom_score_adj").read_text()] * 2

    async def test_the_supervisor_has_room_for_its_commands(self, unit):
        soft, hard = unit.supervisor.rlimit(psutil.RLIMIT_NOFILE)

        assert soft == min(hard, 65536)

    async def test_what_the_supervisor_is_told_is_no_secret(self, unit):
        told = json.loads(unit.supervisor.cmdline()[-1])

        assert not {"agent_token", "secret_key"} & told.keys()
