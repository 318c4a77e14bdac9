"""From an address and a login to a managed server, and what an operator reads when that cannot be."""

import concurrent.futures

import pytest

from myx_testkit.fleet import Fleet
from myx_testkit.hosts.host import Host
from myx_testkit.hosts.lab import HostLab
from myx_testkit.rest import Refused
from myx_testkit.wait import until_sync


def failed_step(deployment):
    return next(step for step in deployment["steps"] if step["status"] == "failed")


def refused(fleet: Fleet, server: str):
    """The failed install and its failed step, which says what is wrong and what helps."""
    ended = fleet.deploy(server, "install_agent")
    assert ended["status"] == "failed", fleet.tell(ended)
    step = failed_step(ended)
    assert step["message"], step
    assert step["cure"], step
    return ended, step


def test_eight_hosts_are_enrolled_in_parallel(fleet: Fleet, host_lab: HostLab) -> None:
    hosts = host_lab.hosts(8)
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            names = list(pool.map(fleet.enrol, hosts))
        assert [fleet.run(name, "hostname").strip() for name in names] == [host.name for host in hosts]
        for name in names:
            fleet.remove(name)
    finally:
        for host in hosts:
            host.close()


def test_a_host_without_internet_is_enrolled_by_a_user_with_sudo(fleet: Fleet, host_lab: HostLab) -> None:
    with host_lab.host(network=False) as host:
        account = host.account("sudoer")
        credential = {"user": "sudoer", "password": account.password, "sudo_password": account.password}
        name = fleet.enrol(host, credential=credential)
        assert fleet.run(name, "id -un") == "root\n"
        fleet.remove(name)


def test_a_host_behind_a_jump_host_is_enrolled(fleet: Fleet, host_lab: HostLab) -> None:
    with host_lab.host() as jump, host_lab.host() as inner:
        door = fleet.add(jump)
        inner.block_port(22, except_from=jump.address)
        name = fleet.enrol(inner, ssh={"jump_servers": [door]})
        assert fleet.run(name, "hostname").strip() == inner.name
        fleet.remove(name)
        fleet.remove(door)


def test_the_host_key_is_demanded_accepted_and_guarded(fleet: Fleet, host: Host) -> None:
    name = fleet.add(host, trust=False)
    ended, _ = refused(fleet, name)
    assert ended["reason"] == "host_key_unknown"
    assert host.fingerprint in ended["message"]

    fleet.rest.put(f"/servers/{name}/host-key", {"fingerprint": host.fingerprint})
    fleet.succeed(name, "install_agent")

    before = host.fingerprint
    host.change_host_key()
    ended, _ = refused(fleet, name)
    assert ended["reason"] == "host_key_changed"
    assert before in ended["message"]
    assert host.fingerprint in ended["message"]
    fleet.remove(name)


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        ({"user": "root", "password": "wrong-password"}, "ssh_auth_failed"),
        ({"user": "nosudo", "password": "…", "sudo_password": "…"}, "sudo_refused"),
    ],
    ids=["wrong password", "no sudo"],
)
def test_a_login_that_does_not_do_is_told_and_mended(fleet: Fleet, host: Host, credential, reason) -> None:
    if credential["user"] == "nosudo":
        password = host.account("nosudo").password
        credential = credential | {"password": password, "sudo_password": password}
    name = fleet.add(host, credential=credential)
    ended, _ = refused(fleet, name)
    assert ended["reason"].startswith(reason.split("_")[0]), ended

    fleet.rest.patch(f"/servers/{name}", {"credential": fleet.key() | {"user": "root"}})
    fleet.succeed(name, "install_agent")
    fleet.remove(name)


def test_a_wrong_key_is_told(fleet: Fleet, host: Host) -> None:
    name = fleet.add(host, credential={"private_key": fleet.lab.other_key.read_text()})
    ended, _ = refused(fleet, name)
    assert ended["reason"] == "ssh_auth_failed"
    fleet.remove(name)


def test_no_python_is_told_before_the_host_is_touched(fleet: Fleet, host_lab: HostLab) -> None:
    with host_lab.host(python=False, network=False) as host:
        name = fleet.add(host)
        before = host.inventory()
        ended, step = refused(fleet, name)
        assert "python" in ended["message"].lower()
        assert step["name"] == "preflight"
        assert host.inventory() == before
        host.give_python()
        fleet.succeed(name, "install_agent")
        fleet.remove(name)


def test_a_full_disk_is_told(fleet: Fleet, host_lab: HostLab) -> None:
    with host_lab.host(disk_mb=600) as host:
        host.fill_disk(leave_mb=20)
        name = fleet.add(host)
        ended, _ = refused(fleet, name)
        assert "disk" in f"{ended['reason']} {ended['message']}".lower() or "MB" in ended["message"]
        host.free_disk()
        fleet.succeed(name, "install_agent")
        fleet.remove(name)


def test_a_firewall_before_the_agents_port_is_told(fleet: Fleet, host: Host) -> None:
    host.block_all_but(22)
    name = fleet.add(host)
    ended, step = refused(fleet, name)
    assert step["name"] == "preflight"
    assert str(fleet.agent(name)["rpc_port"]) in ended["message"]
    host.unblock_ports()
    fleet.succeed(name, "install_agent")
    fleet.remove(name)


def test_a_host_that_reboots_in_mid_install_is_installed_by_doing_it_again(fleet: Fleet, host: Host) -> None:
    name = fleet.add(host)
    deployment = fleet.start(name, "install_agent")

    def installing() -> bool:
        return any(one["name"] == "install" and one["status"] != "pending" for one in fleet.get(deployment)["steps"])

    until_sync(installing, 60, interval_s=0.05, what="the play runs")
    host.power_cut()
    ended = fleet.wait(deployment)
    assert ended["status"] in {"failed", "lost"}, fleet.tell(ended)
    assert ended["cure"] or failed_step(ended)["cure"]
    host.boot()
    fleet.succeed(name, "install_agent")
    assert fleet.run(name, "echo there") == "there\n"
    fleet.remove(name)


def test_two_installs_at_once_are_refused_with_the_holder(fleet: Fleet, host: Host) -> None:
    name = fleet.add(host)
    first = fleet.start(name, "install_agent")
    with pytest.raises(Refused) as error:
        fleet.start(name, "install_agent")
    assert error.value.reason == "MAINTENANCE_HELD"
    assert first in str(error.value)
    assert fleet.wait(first)["status"] == "success"
    fleet.remove(name)


def test_a_server_whose_host_is_gone_can_be_removed(fleet: Fleet, host: Host) -> None:
    name = fleet.enrol(host)
    host.power_cut()
    done = fleet.myx.cli("server", "remove", name, "--force")
    assert done.returncode == 0, done.stderr
    with pytest.raises(Refused):
        fleet.rest.get(f"/servers/{name}")
    host.boot()
