"""Installing the agent on real hosts, again, after an accident, and taking it off again."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tool_agent import GUARD, STAGING, Identity, Machine, make_identity
from tool_variants import broken, good

from myx_testkit.wait import until, until_sync


@pytest.fixture
def machine(host, tmp_path):
    return Machine(host, tmp_path / "packs")


async def test_install_again_and_uninstall(machine):
    before = machine.host.inventory()
    first = await machine.install()
    assert first.code == 0, first.text
    assert machine.version() == machine.bundle().version
    assert machine.run("echo out; echo err >&2; exit 3") == (3, "out\nerr\n")

    command = machine.start("echo begin; sleep 12; echo end; exit 7")
    again = await machine.install()
    assert again.code == 0, again.text
    assert again.recap["changed"] == 0
    machine.host.exec("systemctl restart myx-agent")
    assert machine.finish(command) == (7, "begin\nend\n")

    running = machine.start("sleep 1000")
    refused = await machine.uninstall()
    assert refused.code == 2
    assert running in refused.message
    done = await machine.uninstall(force=True)
    assert done.code == 0, done.text
    assert before.differences(machine.host.inventory()) == []
    assert not machine.host.exec("pgrep -f '[m]yx-agent'", check=False).stdout
    assert (await machine.uninstall()).recap["changed"] == 0


@pytest.fixture(scope="module")
def installed(host_lab, tmp_path_factory):
    """One host with an agent for the tests that leave it sound."""
    with host_lab.host() as host:
        machine = Machine(host, tmp_path_factory.mktemp("packs"))
        done = asyncio.run(machine.install())
        assert done.code == 0, done.text
        yield machine


def test_commands_have_the_rights_that_root_has(installed):
    assert installed.run("sudo -u ops sudo -n id -u") == (0, "0\n")
    code, text = installed.run(
        "apt-get update -q && apt-get install -qy --no-install-recommends hello && hello", timeout=200
    )
    assert code == 0, text
    assert "Hello, world!" in text
    assert (
        installed.run(
            "mkdir /opt/x /etc/x /home/x && rmdir /opt/x /etc/x /home/x && touch /dev/shm/x && rm /dev/shm/x"
        )[0]
        == 0
    )
    assert installed.run("grep -c . /proc/self/status > /dev/null; cat /proc/self/oom_score_adj")[1] == "500\n"


def test_too_much_memory_kills_the_command_and_not_the_agent(installed):
    installed.host.exec(
        "mkdir -p /etc/systemd/system/myx-agent.service.d;"
        "printf '[Service]\\nMemoryMax=200M\\n' > /etc/systemd/system/myx-agent.service.d/memory.conf;"
        "systemctl daemon-reload; systemctl restart myx-agent"
    )
    until_sync(installed.version, 30)
    pid = installed.host.exec("systemctl show -P MainPID myx-agent").stdout
    bystander = installed.start("sleep 6; echo still here")
    code, text = installed.run("python3 -c 'x = bytearray(10**9)'; echo ended $?")
    assert "still" not in text
    assert code != 0 or "ended 137" in text
    assert installed.finish(bystander) == (0, "still here\n")
    assert installed.host.exec("systemctl show -P MainPID myx-agent").stdout == pid
    installed.host.exec(
        "rm -r /etc/systemd/system/myx-agent.service.d; systemctl daemon-reload; systemctl restart myx-agent"
    )
    until_sync(installed.version, 30)


async def test_check_mode_tells_and_touches_nothing(installed):
    before = installed.host.inventory()
    same = await installed.install(check=True)
    assert (same.code, same.recap["changed"]) == (0, 0), same.text
    other = await installed.install(good(None), check=True, diff=True)
    assert other.code == 0, other.text
    assert other.recap["changed"] == 2
    assert before.differences(installed.host.inventory()) == []


async def test_a_broken_release_by_ssh_goes_back_at_once(installed, tmp_path):
    old, command = installed.release(), installed.start("echo begin; sleep 6; echo end")
    done = await installed.install(broken(tmp_path, "crash-loop"), **trusted_timeout())
    assert done.code == 2
    assert "the new agent has a bug" in done.message
    assert "what was there before is back" in done.message
    assert (installed.release(), await until(installed.version, 30)) == (old, installed.bundle().version)
    assert installed.finish(command) == (0, "begin\nend\n")


async def test_a_new_port_and_back_when_it_is_taken(installed):
    old = installed.identity
    installed.identity = make_identity(24352)
    done = await installed.install()
    assert done.code == 0, done.text
    assert installed.version()
    works = installed.identity
    installed.identity = make_identity(22)
    done = await installed.install(**trusted_timeout())
    assert done.code == 2
    installed.identity = works
    assert await until(installed.version, 30)
    installed.identity = old
    assert (await installed.install()).code == 0
    assert installed.version()


@pytest.mark.long
async def test_what_nobody_confirmed_is_ended_by_the_next_installation(installed):
    """Confirmed where all is as it should be; else undone first, and what it had changed is changed again."""
    old, first, second = installed.identity, make_identity(24354), make_identity(24355)
    installed.identity = first
    done = await installed.install(confirm=False)
    assert done.code == 0, done.text
    assert "confirmation" in installed.host.exec(f"{GUARD} begin x y z", check=False).stderr
    again = await installed.install()
    assert (again.code, again.recap["changed"]) == (0, 0), again.text
    assert "no upgrade is under way" in installed.host.exec(f"{GUARD} status").stdout

    installed.identity = second
    assert (await installed.install(confirm=False)).code == 0
    installed.identity = Identity(second.config, first.certificate, first.key)
    done = await installed.install()
    assert done.code == 0, done.text
    assert installed.version()
    installed.identity = old
    assert (await installed.install()).code == 0
    assert installed.version()


async def test_settings_of_the_operator_stay_unless_the_agent_does_not_take_them(installed):
    """Also after a rotation, which leaves its id, an installation again changes nothing."""
    file = installed.host.root / "etc/myx-agent/config.json"
    own = {"max_running": 7, "log_level": "debug"}
    file.write_text(json.dumps(installed.identity.config | own | {"rotation_id": "r1"}))
    installed.host.exec("systemctl restart myx-agent")
    assert await until(installed.version, 30)

    again = await installed.install()
    assert (again.code, again.recap["changed"]) == (0, 0), again.text
    old, installed.identity = installed.identity, make_identity(24353)
    other = await installed.install()
    assert other.code == 0, other.text
    assert json.loads(file.read_text()) == own | installed.identity.config

    installed.identity = old
    file.write_text(json.dumps(old.config | own | {"max_runing": 7}))
    installed.host.exec("systemctl restart myx-agent")
    repaired = await installed.install()
    assert repaired.code == 0, repaired.text
    assert "max_runing is not a known key" in repaired.text
    assert installed.version()
    assert json.loads(file.read_text()) == old.config


async def test_a_reboot_is_quick_and_brings_the_agent(installed):
    installed.start("sleep 1000")
    installed.host.reboot()
    assert await until(installed.version, 30)
    states = {item["state"] for item in installed.call("list_commands")["commands"]}
    assert "running" not in states
    assert "lost" in states


async def test_what_a_half_done_install_left_is_no_hindrance(machine):
    host = machine.host
    release = machine.bundle().release
    host.exec(
        f"mkdir -p /opt/myx-agent/releases/{release}/bin /opt/myx-agent/releases/.{release}.parts/wheels"
        " /opt/myx-agent/releases/0.0.1-half /etc/myx-agent/ssl;"
        f"ln -s releases/{release} /opt/myx-agent/current; ln -s /nowhere /opt/myx-agent/current.new;"
        "echo '{' > /etc/myx-agent/config.json; echo half > /etc/myx-agent/ssl/agent.key;"
        "touch /opt/myx-agent/restart-needed;"
        "echo '[Service]' > /etc/systemd/system/myx-agent.service; chmod 777 /etc/myx-agent"
    )
    done = await machine.install()
    assert done.code == 0, done.text
    assert machine.version()
    assert host.exec("ls -A /opt/myx-agent/releases").stdout.split() == [release]
    assert host.exec("stat -c %a /etc/myx-agent /etc/myx-agent/config.json").stdout == "700\n600\n"


@pytest.mark.parametrize(
    "moment",
    ["parts", pytest.param("RELEASE", marks=pytest.mark.long), pytest.param("config", marks=pytest.mark.long)],
)
async def test_a_power_cut_in_mid_install_and_once_more(machine, moment):
    """While it is unpacked, when the release is complete, when the configuration is written."""
    paths = {
        "parts": "/opt/myx-agent/releases/.*.parts/wheels",
        "RELEASE": "/opt/myx-agent/releases/*/RELEASE.json",
        "config": "/etc/myx-agent/config.json",
    }
    going = asyncio.create_task(machine.install())
    await until(lambda: machine.host.exec(f"ls -d {paths[moment]}", check=False).stdout, 60)
    await asyncio.to_thread(machine.host.power_cut)
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    await asyncio.to_thread(machine.host.boot)
    done = await machine.install()
    assert done.code == 0, done.text
    assert machine.version()
    again = await machine.install()
    assert again.recap["changed"] == 0


async def test_no_room_is_said_before_anything_is_built(host_lab, tmp_path):
    with host_lab.host(disk_mb=600) as host:
        machine = Machine(host, tmp_path)
        before = host.inventory()
        (host.root / STAGING[1:]).mkdir(parents=True)
        host.exec("dd if=/dev/zero of=/var/filler bs=1M count=300 status=none")
        done = await machine.install()
        assert done.code == 2
        assert "not enough room" in done.message
        host.exec("rm /var/filler")
        done = await machine.install()
        assert done.code == 0, done.text
        assert (await machine.uninstall()).code == 0
        assert before.differences(host.inventory()) == []


# Making the other Debian takes minutes on a machine that has none yet.
@pytest.mark.long
async def test_the_next_debian_too(host_lab, tmp_path):
    with host_lab.host(suite="trixie", network=False) as host:
        machine = Machine(host, tmp_path, "3.13")
        done = await machine.install()
        assert done.code == 0, done.text
        assert machine.run("cat /etc/debian_version")[1].startswith("13")
        assert (await machine.install()).recap["changed"] == 0
        machine.prepare()
        assert machine.upgrade(good(None), "good")["state"] == "switched"
        machine.confirm("good")
        assert (await machine.uninstall()).code == 0


async def test_uninstall_of_an_agent_that_is_broken(machine):
    before = machine.host.inventory()
    assert (await machine.install()).code == 0
    machine.start("sleep 1000")
    machine.host.exec("rm -rf /opt/myx-agent/releases/*/lib; echo x > /etc/myx-agent/config.json")
    assert (await machine.uninstall()).code == 2
    done = await machine.uninstall(force=True)
    assert done.code == 0, done.text
    assert before.differences(machine.host.inventory()) == []
    assert not machine.host.exec("pgrep -x sleep", check=False).stdout


def trusted_timeout():
    return {"trusted": {"agent_start_timeout_s": 10}}
