"""Enrolling at the command line: what an operator types and reads."""

import json
import time
from pathlib import Path

from myx_testkit.fleet import Fleet
from myx_testkit.hosts.accounts import OPS, SUDOER
from myx_testkit.hosts.host import Host
from myx_testkit.hosts.lab import HostLab
from myx_testkit.wait import until_sync

ENROLLED_WITHIN_S = 240.0


def said(done) -> str:
    return (done.stdout + done.stderr).decode()


def secret_file(folder: Path, text: str) -> str:
    path = folder / "secret"
    path.touch(0o600)
    path.write_text(text)
    return str(path)


def last_deployment(fleet: Fleet, server: str):
    done = fleet.myx.cli("deployment", "list", "--server", server, "--output", "json")
    assert done.returncode == 0, said(done)
    return json.loads(done.stdout)["items"][0]


def test_one_line_makes_a_managed_server(fleet: Fleet, host: Host, tmp_path: Path) -> None:
    began = time.monotonic()
    lab = fleet.lab
    login = ["--key-file", str(lab.locked_key), "--passphrase-file", secret_file(tmp_path, lab.passphrase)]
    words = ["server", "add", "one-line", host.address, *login, "--host-key", host.fingerprint, "--label", "env=test"]
    done = fleet.myx.cli(*words, "--enrol", timeout_s=ENROLLED_WITHIN_S)
    assert done.returncode == 0, said(done)
    fleet.wait_online("one-line")
    print(f"from address and key to an online agent in {time.monotonic() - began:.1f} s")
    assert fleet.rest.get("/servers/one-line")["labels"] == {"env": "test"}
    assert "PLAY RECAP" in said(done)
    deployment = last_deployment(fleet, "one-line")
    shown = said(fleet.myx.cli("deployment", "show", deployment["id"]))
    for step in deployment["steps"]:
        assert step["status"] in {"success", "skipped"}
        assert step["title"] in shown

    again = fleet.myx.cli("server", "enrol", "one-line", timeout_s=ENROLLED_WITHIN_S)
    assert again.returncode == 0, said(again)
    assert last_deployment(fleet, "one-line")["recap"]["changed"] == 0

    assert "fork" not in (fleet.myx.home.path / "logs/executor.log").read_text()
    fleet.run("one-line", "true")
    gone = fleet.myx.cli("agent", "uninstall", "one-line", timeout_s=ENROLLED_WITHIN_S)
    assert gone.returncode == 0, said(gone)
    assert fleet.myx.cli("server", "remove", "one-line").returncode == 0


def test_passwords_jump_hosts_and_keys_that_are_accepted_at_first_contact(
    fleet: Fleet, host_lab: HostLab, tmp_path: Path
) -> None:
    with host_lab.host() as jump, host_lab.host() as inner:
        inner.block_port(22, except_from=jump.address)
        login = ["--user", "ops", "--password-file", secret_file(tmp_path, OPS.password), "--accept-host-key"]
        assert fleet.myx.cli("server", "add", "door", jump.address, *login).returncode == 0
        words = ["server", "add", "inner", inner.address, *login, "--jump", "door", "--enrol"]
        done = fleet.myx.cli(*words, timeout_s=ENROLLED_WITHIN_S)
        assert done.returncode == 0, said(done)
        for name, host in (("door", jump), ("inner", inner)):
            key = fleet.rest.get(f"/servers/{name}")["host_key"]
            assert (key["fingerprint"], key["how"]) == (host.fingerprint, "first_contact")
        assert fleet.run("inner", "hostname").strip() == inner.name
        for name in ("inner", "door"):
            fleet.remove(name)


def test_a_refusal_is_a_sentence_with_a_cure_and_retry_goes_on_once_it_is_gone(
    fleet: Fleet, host: Host, tmp_path: Path
) -> None:
    host.block_port(22, reject=True)
    login = ["--user", "sudoer", "--password-file", secret_file(tmp_path, SUDOER.password)]
    words = ["server", "add", "refusing", host.address, *login, "--host-key", host.fingerprint, "--enrol"]
    done = fleet.myx.cli(*words, timeout_s=ENROLLED_WITHIN_S)
    assert done.returncode == 1, said(done)
    deployment = last_deployment(fleet, "refusing")
    assert deployment["reason"] == "ssh_unreachable"
    for sentence in (deployment["message"], deployment["cure"]):
        assert len(sentence) > 10
        assert sentence in said(done)
    assert host.address in deployment["message"]
    host.unblock_ports()
    again = fleet.myx.cli("deployment", "retry", deployment["id"], timeout_s=ENROLLED_WITHIN_S)
    assert again.returncode == 0, said(again)
    assert fleet.run("refusing", "id -un") == "root\n"
    assert fleet.myx.cli("server", "remove", "refusing", "--force").returncode == 0


def test_an_install_that_was_cancelled_can_be_begun_again(fleet: Fleet, host: Host) -> None:
    name = fleet.add(host)
    deployment = fleet.start(name, "install_agent")

    def is_installing() -> bool:
        steps = {step["name"]: step["status"] for step in fleet.get(deployment)["steps"]}
        return steps["install"] == "running"

    until_sync(is_installing, 60, interval_s=0.05, what="the play runs")
    assert fleet.myx.cli("deployment", "cancel", deployment).returncode == 0
    ended = fleet.wait(deployment)
    assert ended["status"] == "cancelled", fleet.tell(ended)
    assert fleet.rest.get(f"/servers/{name}")["maintenance"] is None
    fleet.succeed(name, "install_agent")
    assert fleet.run(name, "echo there") == "there\n"
    fleet.remove(name)
