"""Enrolling when something goes wrong on the way: each end can be acted on, and nothing is given away."""

import contextlib
import os
import time
from pathlib import Path

import psutil
import pytest

from myx_testkit.fleet import Fleet
from myx_testkit.hosts.accounts import NOSUDO, OPS, SUDOER
from myx_testkit.hosts.host import Host
from myx_testkit.hosts.lab import HostLab
from myx_testkit.wait import until_sync

IN_SECONDS = 45.0


def refused(fleet: Fleet, server: str):
    """The failed install, whose failed step has a sentence and a cure."""
    ended = fleet.deploy(server, "install_agent")
    assert ended["status"] == "failed", fleet.tell(ended)
    step = next(step for step in ended["steps"] if step["status"] == "failed")
    assert step["message"]
    assert step["cure"]
    return ended


@pytest.mark.parametrize(
    ("login", "reason"),
    [
        ({"user": "sudoer", "password": SUDOER.password, "sudo_password": "wrong"}, "sudo_password_wrong"),
        ({"user": "sudoer"}, "sudo_password_needed"),
        ({"user": "nosudo", "password": NOSUDO.password}, "sudo_not_allowed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_sudo_says_is_told_and_another_login_mends_it(fleet: Fleet, host: Host, login, reason) -> None:
    key = {} if "password" in login else fleet.key()
    name = fleet.add(host, credential=login | key)
    before = host.inventory()
    ended = refused(fleet, name)
    assert ended["reason"] == reason, fleet.tell(ended)
    assert login["user"] in ended["message"]
    assert before.differences(host.inventory()) == []
    fleet.rest.patch(f"/servers/{name}", {"credential": {"user": "ops", "password": OPS.password}})
    fleet.succeed(name, "install_agent")
    fleet.remove(name)


@pytest.mark.parametrize("how", ["off", "frozen", "cut"])
def test_a_host_that_does_not_answer_is_told_and_never_waited_for_long(fleet: Fleet, host: Host, how: str) -> None:
    name = fleet.add(host)
    {"off": host.power_off, "frozen": host.freeze, "cut": host.cut}[how]()
    began = time.monotonic()
    ended = refused(fleet, name)
    assert time.monotonic() - began < IN_SECONDS
    assert ended["reason"] == "ssh_unreachable"
    assert host.address in ended["message"]
    {"off": host.boot, "frozen": host.thaw, "cut": host.heal}[how]()
    host.wait_for_ssh()
    fleet.succeed(name, "install_agent")
    fleet.remove(name)


def is_installing(fleet: Fleet, deployment: str) -> bool:
    return any(step["name"] == "install" and step["status"] == "running" for step in fleet.get(deployment)["steps"])


@pytest.mark.long
def test_a_reboot_in_mid_install(fleet: Fleet, host: Host) -> None:
    name = fleet.add(host)
    deployment = fleet.start(name, "install_agent")
    until_sync(lambda: is_installing(fleet, deployment), 60, interval_s=0.05, what="the play runs")
    host.reboot()
    ended = fleet.wait(deployment)
    assert ended["status"] in {"failed", "lost"}, fleet.tell(ended)
    assert ended["message"]
    assert ended["cure"]
    fleet.succeed(name, "install_agent")
    assert fleet.run(name, "echo there") == "there\n"
    fleet.remove(name)


def plays_of(fleet: Fleet) -> list[int]:
    """Processes of plays that another executor than the one that runs has started."""
    work, executors = str(fleet.myx.home.path / "work"), fleet.myx.pids("executor")
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(work in word for word in process.cmdline()) and not {p.pid for p in process.parents()} & set(
                executors
            ):
                found.append(process.pid)
    return found


def test_an_executor_that_is_killed_in_mid_install_finishes_it_or_says_so(fleet: Fleet, host: Host) -> None:
    name = fleet.add(host)
    deployment = fleet.start(name, "install_agent")
    until_sync(lambda: is_installing(fleet, deployment), 60, interval_s=0.05, what="the play runs")
    fleet.myx.kill9("executor")
    until_sync(lambda: not plays_of(fleet), what="the play ended with its executor")
    fleet.myx.wait_until_well()
    ended = fleet.wait(deployment)
    if ended["status"] != "success":
        assert ended["message"], fleet.tell(ended)
        assert ended["cure"], fleet.tell(ended)
        fleet.succeed(name, "install_agent")
    assert fleet.run(name, "echo there") == "there\n"
    fleet.remove(name)


def test_an_agent_that_came_and_went_leaves_nothing(fleet: Fleet, host: Host) -> None:
    host.ssh("true")
    host.wait_until_settled()
    before = host.inventory()
    name = fleet.enrol(host)
    fleet.run(name, "id")
    fleet.succeed(name, "uninstall_agent")
    assert before.differences(host.inventory()) == []
    fleet.succeed(name, "install_agent")
    fleet.wait_online(name)
    fleet.remove(name)


def holders(folder: Path, secrets: list[bytes]) -> list[str]:
    """Files below this folder in which one of these is written."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += [str(path)] if any(secret in content for secret in secrets) else []
    return found


def test_a_login_is_nowhere_in_the_clear(fleet: Fleet, host_lab: HostLab) -> None:
    with host_lab.host() as host:
        password, passphrase = f"pässword-{os.urandom(8).hex()}", host_lab.passphrase
        host.exec(f"chpasswd <<EOF\nsudoer:{password}\nEOF")
        key_line = host_lab.locked_key.read_text().splitlines()[2]
        secrets = [password.encode(), passphrase.encode(), key_line.encode()]
        name = fleet.enrol(host, credential={"user": "sudoer", "password": password, "sudo_password": password})
        locked = {"private_key": host_lab.locked_key.read_text(), "passphrase": passphrase}
        fleet.rest.patch(f"/servers/{name}", {"credential": locked | {"user": "root"}})
        fleet.succeed(name, "install_agent")
        assert holders(fleet.myx.home.path, secrets) == []
        for place in ("var", "etc", "opt", "root", "home", "tmp"):
            assert holders(host.root / place, secrets) == [], place
        told = str(fleet.rest.get(f"/servers/{name}")) + str(fleet.rest.get(f"/deployments?server={name}"))
        assert not [secret for secret in secrets if secret.decode() in told]
        fleet.remove(name)
