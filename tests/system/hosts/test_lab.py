"""The hosts that all other tests here stand on are what they say they are."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from myx_testkit.hosts import cgroups
from myx_testkit.hosts.accounts import ACCOUNTS
from myx_testkit.hosts.host import Host
from myx_testkit.hosts.lab import HostLab, sweep
from myx_testkit.hosts.locks import locked
from myx_testkit.hosts.network import interfaces
from myx_testkit.hosts.run import Failed, run
from myx_testkit.wait import until_sync


def test_a_host_is_a_debian_with_systemd_that_everybody_logs_in_to(host: Host) -> None:
    host.wait_until_settled()
    assert host.exec("cat /proc/1/comm; hostname").stdout.split() == ["systemd", host.name]
    assert host.exec("systemctl --failed --no-legend").stdout == ""
    for name in ACCOUNTS:
        assert host.ssh("id -un", user=name).stdout == f"{name}\n"
    assert host.ssh("sudo -n id -u", user="ops").stdout == "0\n"
    assert "password" in host.ssh("sudo -n true", user="sudoer", check=False).stderr
    with_password = "echo %s | sudo -S id -u"
    assert host.ssh(with_password % host.account("sudoer").password, user="sudoer").stdout == "0\n"
    assert host.ssh(with_password % host.account("nosudo").password, user="nosudo", check=False).returncode == 1


def test_limits_are_enforced(host: Host) -> None:
    eater = "systemd-run --quiet --wait --pipe -p MemoryMax=64M python3 -c 'x = b\"1\" * 200_000_000; print(len(x))'"
    assert host.exec(eater, check=False).returncode != 0
    assert host.exec(eater.replace("64M", "infinity")).stdout == "200000000\n"
    crowd = "systemd-run --quiet --wait --pipe -p TasksMax=3 sh -c 'sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait'"
    assert "fork" in host.exec(crowd, check=False).stderr


def test_power_goes_and_comes_and_the_disk_stays(host: Host) -> None:
    host.write("/root/kept", "yes")
    for cut in (host.power_off, host.power_cut):
        cut()
        assert not host.is_open()
        host.boot()
        assert host.ssh("cat kept").stdout == "yes"
    before = host.exec("cat /proc/sys/kernel/random/boot_id").stdout
    host.reboot()
    assert host.exec("cat /proc/sys/kernel/random/boot_id; cat /root/kept").stdout.splitlines()[1:] == ["yes"]
    assert host.exec("cat /proc/sys/kernel/random/boot_id").stdout != before
    host.restore()
    assert host.exec("test ! -e /root/kept; echo $?").stdout == "0\n"
    host.write("/root/saved", "yes")
    host.power_off()
    host.save()
    host.boot()
    host.exec("rm /root/saved")
    host.restore()
    assert host.ssh("cat saved").stdout == "yes"


def test_a_frozen_host_hangs_and_a_cut_one_is_silent(host: Host) -> None:
    host.freeze()
    assert host.is_open()  # the kernel still takes connections
    assert not host.greets()
    host.thaw()
    host.wait_for_ssh()
    for way in ({}, {"to_host": False}, {"from_host": False}):
        host.cut(**way)
        assert not host.is_open(timeout_s=0.3)
        assert host.exec("echo inside").stdout == "inside\n"
        host.heal()
        host.wait_for_ssh()


def test_a_firewall_blocks_a_port_for_all_or_all_but_one(host_lab: HostLab) -> None:
    host, friend = host_lab.hosts(2)
    with host, friend:
        host.exec("systemd-run --quiet python3 -m http.server 8123")
        until_sync(lambda: host.is_open(8123))
        host.block_port(8123, except_from=friend.address)
        assert not host.is_open(8123, 0.3)
        assert host.greets()
        fetch = f"import urllib.request as u; print(u.urlopen('http://{host.address}:8123', timeout=1).status)"
        assert friend.exec(f'python3 -c "{fetch}"').stdout == "200\n"
        host.unblock_ports()
        assert host.is_open(8123)
        host.block_all_but(22)
        assert not host.is_open(8123, 0.3)
        assert host.greets()


@pytest.mark.long
def test_a_slow_host_answers_late(host: Host) -> None:
    host.slow(100)
    began = time.monotonic()
    assert host.is_open(timeout_s=10)
    assert time.monotonic() - began >= 0.2
    host.full_speed()
    host.wait_for_ssh()


def test_a_small_disk_can_be_filled(host_lab: HostLab) -> None:
    with host_lab.host(disk_mb=64) as host:
        host.fill_disk()
        assert "No space left" in host.exec("head -c 100000 /dev/zero > /opt/more", check=False).stderr
        host.free_disk()
        host.exec("head -c 100000 /dev/zero > /opt/more")


def test_python_is_taken_and_given_back(host_lab: HostLab) -> None:
    with host_lab.host(python=False) as host:
        assert host.exec("python3 -c 1", check=False).returncode == 127
        host.give_python()
        assert host.exec("python3 -c 'import ssl; print(1)'").stdout == "1\n"
        host.remove_python()
        assert host.exec("python3 -c 1", check=False).returncode == 127


def test_a_changed_host_key_is_another_one(host: Host) -> None:
    before = host.fingerprint
    assert before.startswith("SHA256:")
    known = host.known_hosts.read_text()
    host.change_host_key()
    assert host.fingerprint != before
    host.ssh("true")
    host.known_hosts.write_text(known)
    with pytest.raises(Failed, match="REMOTE HOST IDENTIFICATION HAS CHANGED"):
        host.ssh("true")


def test_a_host_without_internet_reaches_its_own_network_only(host_lab: HostLab) -> None:
    with host_lab.host(network=False) as host:
        assert host.ssh("true").returncode == 0
        route = run(["ip", "-4", "route", "show", "default"]).stdout.split()
        if "via" in route:
            ping = f"import socket; socket.create_connection(('{route[route.index('via') + 1]}', 9), timeout=0.5)"
            assert "timed out" in host.exec(f'python3 -c "{ping}"', check=False).stderr


def test_an_inventory_tells_what_changed(host: Host) -> None:
    host.wait_until_settled()
    before = host.inventory()
    assert len(before.files) > 1000
    assert before.differences(host.inventory()) == []
    host.write("/etc/systemd/system/new.service", "[Service]\nExecStart=/bin/true\n")
    host.exec("useradd new; chmod 700 /opt; systemctl daemon-reload")
    told = "\n".join(before.differences(host.inventory()))
    for fact in ("/opt: d 755 0:0 -> d 700 0:0", "/new.service: not there", "unit new: new.service", "account new: "):
        assert fact in told
    host.exec("rm /etc/systemd/system/new.service; userdel new; chmod 755 /opt; systemctl daemon-reload")
    left = [line.split(":")[0] for line in before.differences(host.inventory())]
    assert {line.rstrip("-") for line in left if line.startswith("/")} <= {"/etc/passwd", "/etc/shadow"} | GROUPS


GROUPS = {"/etc/group", "/etc/gshadow", "/etc/subuid", "/etc/subgid"}


def test_what_a_killed_test_process_left_is_swept(host_lab: HostLab, tmp_path: Path) -> None:
    script = (
        "import os, signal\n"
        "from myx_testkit.hosts.lab import HostLab\n"
        "lab = HostLab(); lab.open(); host = lab.host()\n"
        "print(host.guest.init_pid, *host.guest.groups, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    said, _ = killed.communicate(timeout=60)
    init, *groups = said.split()
    lab = str(killed.pid)
    assert any(interface.startswith(f"myx{lab}") for interface in interfaces())
    until_sync(lambda: not Path(f"/proc/{init}").exists(), 20, what="the kernel ended the guest with its owner")
    with locked(host_lab.store / "labs.lock"):
        assert lab in sweep(host_lab.store)
    assert not any(interface.startswith(f"myx{lab}") for interface in interfaces())
    assert not [group for group in groups if Path(group).exists()]
    assert not cgroups.members(map(Path, groups))
    assert f"myx{lab}" not in Path("/proc/mounts").read_text() + run(["nft", "list", "tables"]).stdout
    assert not (host_lab.store / "labs" / lab).exists()
