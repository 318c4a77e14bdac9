"""Upgrades on a real host that go wrong in every way: each time the old agent is back by itself, and says why."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tool_agent import GUARD, Machine
from tool_variants import ENDS, GOOD, broken, good

from myx_testkit.wait import until_sync


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return tmp_path_factory.mktemp("variants")


@pytest.fixture(scope="module")
def ready(host_lab, tmp_path_factory):
    """One host for all of it: whatever went wrong before, the next upgrade begins from a sound agent."""
    with host_lab.host() as host:
        machine = Machine(host, tmp_path_factory.mktemp("packs"))
        done = asyncio.run(machine.install())
        assert done.code == 0, done.text
        machine.prepare()
        yield machine


@pytest.fixture
def machine(ready):
    old = ready.release()
    yield ready
    until_sync(ready.version, 30)
    assert ready.run("echo sound") == (0, "sound\n")
    assert ready.release() == old, "a test of a failure must leave the old agent"
    assert_nothing_waits(ready)


def left_over(machine):
    return machine.host.exec(
        "ls /var/lib/myx-agent/upgrade | grep -v -e json$ -e log$ -e ^lock$; ls /etc/systemd/system | grep revert;"
        "ls -A /opt/myx-agent/releases | grep ^[.]; ls /var/lib/myx-agent/staging | grep upgrade;"
        "systemctl list-units --all --plain --no-legend 'myx-agent-revert*'",
        check=False,
    ).stdout


def assert_nothing_waits(machine):
    # A unit that has done its work may take systemd another moment.
    until_sync(lambda: left_over(machine) == "", 30, what="no timer, unit or file of the upgrade is left")


def releases(machine):
    return machine.host.exec("ls /opt/myx-agent/releases").stdout.split()


def processes_from(machine, release):
    return machine.host.exec(f"ps axww -o pid,args | grep -F releases/{release} | grep -v grep", check=False).stdout


@pytest.mark.parametrize(("name", "state", "reason"), ENDS)
def test_a_broken_agent_goes_back(machine, sources, name, state, reason):
    old = machine.version()
    command = machine.start("echo begin; sleep 8; echo end; exit 5")
    end = machine.upgrade(broken(sources, name), f"break-{name}", agent_start_timeout_s=10)
    assert (end["state"], end["from_version"], end["to_version"]) == (state, old, GOOD)
    assert reason in end["reason"]
    assert machine.finish(command) == (5, "begin\nend\n")
    until_sync(lambda: machine.version() == old, 30)
    assert [name for name in releases(machine) if name.startswith(GOOD)] == [], processes_from(machine, GOOD)


def test_an_archive_for_another_architecture_is_not_tried(machine, sources):
    end = machine.upgrade(good(sources), "arch", arch="aarch64")
    assert end["state"] == "failed"
    assert "aarch64" in end["reason"]
    assert "x86_64" in end["reason"]


def test_a_control_plane_that_does_not_come_back_is_no_confirmation(machine, sources):
    end = machine.upgrade(good(sources), "lost-network", confirm_timeout_s=5)
    assert end["state"] == "switched", end
    assert machine.version() == GOOD
    end = machine.wait_for("lost-network", "reverted")
    assert "not confirmed in 5 s" in end["reason"]


def test_killing_the_upgrade_before_the_switch_leaves_the_old_agent(machine, sources):
    # A release that was put back stays for as long as something runs from it, and what is there is not built again.
    machine.host.exec(f"rm -rf /opt/myx-agent/releases/{GOOD}-*")
    unit = machine.begin_upgrade(good(sources), "kill-early")
    until_sync(lambda: machine.host.exec("ls -A /opt/myx-agent/releases").stdout.count("parts"), 60, interval_s=0.05)
    machine.host.exec(f"systemctl kill --signal=KILL {unit}")
    end = machine.wait_for("kill-early", "failed")
    assert "killed" in end["reason"]


def test_killing_the_upgrade_after_the_switch_puts_the_old_agent_back(machine, sources):
    unit = machine.begin_upgrade(broken(sources, "hang"), "kill-late")
    until_sync(lambda: machine.release().startswith(GOOD), 60, interval_s=0.05)
    machine.host.exec(f"systemctl kill --signal=KILL {unit}")
    end = machine.wait_for("kill-late", "reverted")
    assert "killed" in end["reason"]


@pytest.mark.parametrize("how", [pytest.param("reboot", marks=pytest.mark.long), "power cut"])
def test_a_new_agent_that_was_not_confirmed_goes_back_after_a_reboot_too(machine, sources, how):
    upgrade = f"boot-{how.replace(' ', '-')}"
    assert machine.upgrade(good(sources), upgrade, confirm_timeout_s=15)["state"] == "switched"
    again(machine.host, how)
    until_sync(lambda: machine.version() == GOOD, 30)
    end = machine.wait_for(upgrade, "reverted")
    assert "after the host had restarted" in end["reason"]


@pytest.mark.parametrize("how", [pytest.param("reboot", marks=pytest.mark.long), "power cut"])
def test_a_reboot_in_the_middle_brings_the_old_agent(machine, sources, how):
    upgrade = f"middle-{how.replace(' ', '-')}"
    machine.begin_upgrade(broken(sources, "hang"), upgrade)
    until_sync(lambda: machine.release().startswith(GOOD), 60, interval_s=0.05)
    again(machine.host, how)
    end = machine.wait_for(upgrade, "reverted")
    assert end["reason"]


def again(host, how):
    if how == "reboot":
        host.reboot()
    else:
        host.power_cut()
        host.boot()


def test_only_one_upgrade_is_under_way(machine, sources):
    assert machine.upgrade(good(sources), "first", confirm_timeout_s=15)["state"] == "switched"
    machine.begin_upgrade(good(sources, "9.1.0"), "second")
    log = "/var/lib/myx-agent/upgrade/second.log"
    said = until_sync(lambda: "waits for its confirmation" in machine.host.exec(f"cat {log}", check=False).stdout, 180)
    assert said
    assert machine.state("second") == {}
    machine.host.exec(f"rm -r /var/lib/myx-agent/staging/upgrade-second; {GUARD} revert first 'by hand'")
    assert machine.state("first")["reason"] == "by hand"


def test_a_full_disk_fails_the_upgrade_and_nothing_else(host_lab, sources, tmp_path):
    with host_lab.host(disk_mb=700) as host:
        machine = Machine(host, tmp_path)
        done = asyncio.run(machine.install())
        assert done.code == 0, done.text
        machine.prepare()
        machine.begin_upgrade(good(sources), "room")
        until_sync(lambda: host.exec("ls -A /opt/myx-agent/releases").stdout.count("parts"), 60, interval_s=0.05)
        host.fill_disk()
        end = machine.wait_for("room", "failed", "switched", "reverted")
        host.free_disk()
        if end["state"] == "switched":  # the disk filled up when all was done
            machine.host.exec(f"{GUARD} revert room x")
        else:
            # Where it struck: while the files were copied, or the new agent's first command had no room for its output
            # (and the old one is back).
            assert any(word in end["reason"] for word in ("room", "space", "disk is nearly full")), end["reason"]
        assert machine.run("echo sound") == (0, "sound\n")
        host.fill_disk(leave_mb=300)
        (host.root / "var/lib/myx-agent/staging").mkdir(exist_ok=True)
        end = machine.upgrade(good(sources), "room2")
        assert end["state"] == "failed"
        assert "not enough room" in end["reason"]
        assert_nothing_waits(machine)


def test_a_confirmed_upgrade_stays_and_commands_run_through_it(ready, sources):
    """The last of this file: the agent is another one afterwards."""
    first, old = ready.release(), ready.version()
    command = ready.start("for i in 1 2 3 4 5 6; do echo $i; sleep 2; done; exit 9")
    end = ready.upgrade(good(sources), "good")
    assert end["state"] == "switched", end
    assert (end["from_version"], end["to_version"], end["from_release"]) == (old, GOOD, first)
    assert ready.version() == GOOD
    ready.confirm("good")
    ready.confirm("good")
    assert ready.state("good")["state"] == "confirmed"
    assert ready.finish(command) == (9, "1\n2\n3\n4\n5\n6\n")
    assert sorted(releases(ready)) == sorted([first, ready.release()])
    assert_nothing_waits(ready)

    assert ready.upgrade(good(sources, "9.1.0"), "better")["state"] == "switched"
    ready.confirm("better")
    assert ready.version() == "9.1.0"
    supervisor = ready.host.exec("tr '\\0' ' ' < /proc/$(pgrep -f '[m]yx_agent/supervisor')/cmdline").stdout
    assert (first in releases(ready)) == (f"/{first}/" in supervisor)  # it runs from where it was started
    again(ready.host, "power cut")
    until_sync(lambda: ready.version() == "9.1.0", 30)
    assert ready.state("good")["state"] == "confirmed"
