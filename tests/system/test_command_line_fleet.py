"""The command line with a whole MyX: servers from files, their logins and labels, playbooks of one's own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from myx_testkit.standalone import Standalone

HOSTS = """\
[web]
imported-web[01:02]:2222 ansible_host=192.0.2.1 ansible_user=deploy

[db]
imported-db ansible_host='2001:db8::5' ansible_become_password=hidden-word
"""
CSV = """\ufeffName;Address;User;Port;Password_file;Labels\r
imported-a;192.0.2.7;ops;2022;pw;role=web,env=prod\r
imported-b;2001:db8::7;;;;\r
"""


class Shell:
    """`myx` in a folder, which keeps all that was ever printed."""

    def __init__(self, myx: Standalone, folder: Path) -> None:
        self._myx = myx
        self.folder = folder
        self.shown = b""

    def __call__(self, *arguments: str, fails: bool = False, given: bytes = b"") -> str:
        done = self._myx.cli(*arguments, cwd=self.folder, input=given)
        self.shown += done.stdout + done.stderr
        assert bool(done.returncode) == fails, done.stderr
        return (done.stderr if fails else done.stdout).decode()

    def json(self, *arguments: str) -> dict:
        return json.loads(self(*arguments, "-o", "json"))

    def outcomes(self, *arguments: str) -> list[str]:
        return [item["outcome"] for item in self.json("server", "import", *arguments)["items"]]

    def names(self) -> set[str]:
        return {server["name"] for server in self.json("server", "list")["items"]}


@pytest.fixture
def shell(myx: Standalone, tmp_path: Path) -> Iterator[Shell]:
    """Takes away the servers, the credential and the project that a test leaves."""
    shell = Shell(myx, tmp_path)
    yield shell
    for name in sorted(shell.names()):
        if name.startswith("imported-"):
            shell("server", "remove", name)
    kept = {item["name"] for item in shell.json("credential", "list")["items"]}
    for name in kept & {"fleet-login", "fleet-login-2"}:
        shell("credential", "remove", name)
    if "pushed" in {item["name"] for item in shell.json("playbook", "list")["items"]}:
        shell("playbook", "remove", "pushed")


def test_servers_come_from_a_csv_file(shell: Shell) -> None:
    (shell.folder / "pw").write_text("hidden-word\n")
    (shell.folder / "fleet.csv").write_text(CSV)
    assert shell.outcomes("fleet.csv", "--dry-run") == ["would be added"] * 2
    assert not any(name.startswith("imported-") for name in shell.names())
    assert shell.outcomes("fleet.csv") == ["added"] * 2
    assert shell.outcomes("fleet.csv") == ["is there already"] * 2

    server = shell.json("server", "show", "imported-a")
    assert (server["address"], server["ssh"]["user"], server["ssh"]["port"]) == ("192.0.2.7", "ops", 2022)
    assert server["labels"] == {"role": "web", "env": "prod"}
    assert shell.json("server", "show", "imported-b")["address"] == "2001:db8::7"

    (shell.folder / "fleet.csv").write_text(CSV + "imported-c;192.0.2.8;;ssh;;\r\n")
    assert "fleet.csv:4: port: must be a number from 1 to 65535" in shell("server", "import", "fleet.csv", fails=True)
    assert "imported-c" not in shell.names()
    assert b"hidden-word" not in shell.shown


def test_servers_come_from_an_inventory_and_take_a_shared_credential(shell: Shell) -> None:
    (shell.folder / "hosts").write_text(HOSTS)
    shell("credential", "add", "fleet-login", "--password-stdin", "--user", "ops", given=b"hidden-first\n")
    assert shell.outcomes("hosts", "--credential", "fleet-login") == ["added"] * 3
    assert b"passwords are not taken from an inventory" in shell.shown

    web = shell.json("server", "show", "imported-web02")
    assert (web["address"], web["ssh"]["user"], web["ssh"]["port"]) == ("192.0.2.1", "deploy", 2222)
    assert (web["labels"], web["ssh"]["credential"]) == ({"group.web": "true"}, "fleet-login")
    found = shell.json("server", "list", "-l", "group.db=true")["items"]
    assert [(server["name"], server["address"]) for server in found] == [("imported-db", "2001:db8::5")]

    used = shell.json("credential", "show", "fleet-login")
    assert used["used_by"] == ["imported-db", "imported-web01", "imported-web02"]
    assert (used["type"], used["user"], used["has_sudo_password"]) == ("password", "ops", False)
    (shell.folder / "new").write_text("hidden-second\n")
    (shell.folder / "sudo").write_text("hidden-sudo\n")
    changed = shell.json(
        *("credential", "set", "fleet-login", "--name", "fleet-login-2"),
        *("--password-file", "new", "--sudo-password-file", "sudo"),
    )
    assert (changed["name"], changed["user"], changed["has_sudo_password"]) == ("fleet-login-2", "ops", True)
    assert shell.json("server", "show", "imported-db")["ssh"]["credential"] == "fleet-login-2"

    assert "imported-db" in shell("credential", "remove", "fleet-login-2", fails=True)
    shell("credential", "remove", "fleet-login-2", "--force")
    assert shell.json("server", "show", "imported-db")["ssh"]["credential"] == ""
    assert b"hidden-" not in shell.shown


def test_a_server_is_changed_and_labelled(shell: Shell) -> None:
    shell("server", "add", "imported-a", "192.0.2.7", "--user", "ops", "--label", "env=test", "--label", "old=x")
    shell("server", "label", "imported-a", "env=prod", "old-", "team=")
    assert shell.json("server", "show", "imported-a")["labels"] == {"env": "prod", "team": ""}
    assert "label" in shell("server", "label", "imported-a", "bad-=x", fails=True)

    (shell.folder / "pw").write_text("hidden-word\n")
    changed = shell.json(
        *("server", "set", "imported-a", "--name", "imported-z", "--address", "192.0.2.9", "--port", "2022"),
        *("--password-file", "pw", "--sudo", "always", "--repair", "off"),
    )
    assert (changed["name"], changed["address"], changed["repair_policy"]) == ("imported-z", "192.0.2.9", "off")
    assert (changed["ssh"]["user"], changed["ssh"]["port"], changed["ssh"]["sudo"]) == ("ops", 2022, "always")
    assert "imported-a" in shell("server", "set", "imported-a", "--port", "22", fails=True)
    assert "local" in shell("server", "set", "imported-z", "--name", "local", fails=True)
    assert b"hidden-word" not in shell.shown


def test_a_folder_is_pushed_as_a_version_when_it_changed(shell: Shell) -> None:
    project = shell.folder / "Pushed"
    (project / "playbooks").mkdir(parents=True)
    (project / "playbooks/site.yml").write_text("- hosts: all\n  gather_facts: false\n  tasks: []\n")
    (project / "files").mkdir()
    (project / "files/link").symlink_to("../playbooks/site.yml")
    first = shell.json("playbook", "push", "Pushed")
    assert (first["name"], first["playbooks"], first["changed"]) == ("pushed", ["site.yml"], True)

    (project / "playbooks/site.retry").write_text("left out")
    (project / "playbooks/site.yml").touch()
    again = shell.json("playbook", "push", "Pushed")
    assert (again["version"], again["digest"], again["changed"]) == (first["version"], first["digest"], False)
    shell("playbook", "push", "Pushed")
    assert b"nothing has changed since the last push" in shell.shown

    (project / "files/new").write_text("x")
    changed = shell.json("playbook", "push", "Pushed", "--name", "pushed")
    assert changed["changed"]
    assert (changed["version"], changed["digest"]) != (first["version"], first["digest"])

    (project / "files/out").symlink_to("/etc/passwd")
    assert "files/out is a link that leads out" in shell("playbook", "push", "Pushed", fails=True)
    assert "cannot be a project's name" in shell("playbook", "push", "Pushed", "--name", "myx", fails=True)
    assert shell.json("playbook", "list")["items"][-1]["digest"] == changed["digest"]
