"""The command line as people use it, with a whole MyX: logins, users, tokens, audit trail, events, inventory."""

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from myx_testkit.standalone import Standalone
from myx_testkit.wait import until_sync

PASSWORD = "a long enough 4711 word"


class Person:
    """`myx` of somebody with a configuration folder of their own, who knows only the address."""

    def __init__(self, myx: Standalone, folder: Path) -> None:
        self._myx = myx
        self.url = f"http://127.0.0.1:{myx.port}"
        taken = {name: value for name, value in myx.environment.items() if name != "MYX_HOME"}
        self.environment = {**taken, "XDG_CONFIG_HOME": str(folder)}
        self.folder = folder

    def __call__(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._myx.cli_argv(*arguments),
            env=self.environment,
            cwd=self.folder.parent,
            input=given,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def log_in(self, name: str, password: str, *more: str) -> None:
        options = ("--user", name, "--password-stdin", *more)
        done = self("login", self.url, *options, given=f"{password}\n")
        assert done.returncode == 0, done.stderr

    def token(self) -> str:
        kept = json.loads((self.folder / "myx/contexts.json").read_text())
        return str(kept["contexts"][kept["current"]]["token"])


@pytest.fixture
def admin(myx: Standalone, tmp_path: Path) -> Person:
    """Logged in as the first administrator."""
    person = Person(myx, tmp_path / "admin")
    person.log_in("admin", myx.home.admin_password_file.read_text().strip())
    return person


@pytest.fixture
def bob(myx: Standalone, admin: Person, tmp_path: Path) -> Person:
    """Somebody who may look at this machine only."""
    name = f"bob-{secrets.token_hex(4)}"
    done = admin("user", "add", name, "-g", "viewer on name=local", "--password-stdin", given=PASSWORD)
    assert done.returncode == 0, done.stderr
    person = Person(myx, tmp_path / "bob")
    person.log_in(name, PASSWORD)
    person.name = name  # type: ignore[attr-defined]
    return person


def test_a_login_lasts_until_the_logout(admin: Person) -> None:
    done = admin("whoami", "-o", "json")
    assert json.loads(done.stdout)["me"]["name"] == "user:admin"
    assert json.loads(done.stdout)["me"]["via"] == "token"
    token = admin.token()
    assert admin("run", "local", "--", "echo", "hello").stdout == "hello\n"
    tokens = json.loads(admin("token", "list", "-o", "json").stdout)["items"]
    assert any(one["name"].startswith("myx on ") for one in tokens)
    assert token not in admin("token", "list").stdout
    assert admin("logout").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "myx_cli", "status"],
        env={**admin.environment, "MYX_URL": admin.url, "MYX_TOKEN": token},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 125
    assert "refused the token" in done.stderr


def test_a_wrong_password_opens_nothing(myx: Standalone, tmp_path: Path) -> None:
    stranger = Person(myx, tmp_path / "stranger")
    done = stranger("login", stranger.url, "--user", "admin", "--password-stdin", given="wrong 0815")
    assert done.returncode == 125
    assert "0815" not in done.stderr
    assert not (tmp_path / "stranger").exists()


def test_a_user_may_do_what_was_granted_until_they_may_not(admin: Person, bob: Person) -> None:
    name = bob.name  # type: ignore[attr-defined]
    assert "viewer on name=local" in bob("whoami").stdout
    assert bob("server", "list").stdout.startswith("local\t")
    for arguments in (("run", "local", "--", "id"), ("user", "list"), ("audit", "list"), ("credential", "list")):
        done = bob(*arguments)
        assert (done.returncode, done.stdout) == (125, ""), arguments
    assert admin("user", "set", name, "-g", "operator on name=local").returncode == 0
    until_sync(lambda: bob("run", "local", "--", "echo", "now").stdout == "now\n", 30, what="the new grant holds")
    assert admin("user", "set", name, "--disable").returncode == 0
    until_sync(lambda: bob("status").returncode == 125, 30, what="the token is not taken any more")
    assert admin("user", "remove", name).returncode == 0
    assert admin("user", "show", name).returncode == 125


def test_what_was_done_is_in_the_trail_whose_export_can_be_checked(admin: Person, bob: Person, tmp_path: Path) -> None:
    name = bob.name  # type: ignore[attr-defined]
    assert bob("run", "local", "--", "id").returncode == 125
    listed = json.loads(admin("audit", "list", "--operation", "users.create", "--limit", "1", "-o", "json").stdout)
    (entry,) = listed["items"]
    assert (entry["principal"], entry["result"]) == ("user:admin", "ok")
    refused = admin("audit", "list", "--principal", f"user:{name}", "--result", "refused", "--since", "1h").stdout
    assert "commands.run\trefused\t" in refused or "jobs.create\trefused\t" in refused
    exported = tmp_path / "trail.jsonl"
    done = admin("audit", "export", "--to", str(exported))
    assert done.returncode == 0, done.stderr
    assert admin("audit", "export").stdout.splitlines()[0] == exported.read_text().splitlines()[0]
    assert PASSWORD not in exported.read_text()
    head = done.stderr.rsplit(" ", 1)[1].strip()
    for arguments in ((str(exported),), (str(exported), "--expect", head), (), ("--expect", head)):
        done = admin("audit", "verify", *arguments, "-o", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["ok"]
    lines = exported.read_text().splitlines()
    changed = json.loads(lines[0]) | {"principal": "user:nobody"}
    for wrong in ([json.dumps(changed), *lines[1:]], [lines[0], *lines[2:]], lines[:-1], [*lines[:-2], lines[-1]]):
        exported.write_text("\n".join(wrong) + "\n")
        done = admin("audit", "verify", str(exported))
        assert done.returncode == 1, wrong[-1]
    done = admin("audit", "verify", "--expect", f"1:{'0' * 64}")
    assert done.returncode == 1


def test_events_are_shown_up_to_now_and_followed(myx: Standalone, admin: Person, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with seen.open("wb") as output:
        follower = subprocess.Popen(
            myx.cli_argv("events", "-f", "--type", "command", "--server", "local", "-o", "json"),
            env=admin.environment,
            stdout=output,
        )

    def lines() -> list[bytes]:
        # The stream may begin behind the first one.
        assert admin("run", "local", "--", "true").returncode == 0
        return seen.read_bytes().split(b"\n")[:-1]

    try:
        until_sync(lambda: bool(lines()), 60, what="an event is followed")
    finally:
        follower.terminate()
        assert follower.wait(20) == 143
    assert {json.loads(line)["type"].partition(".")[0] for line in lines()} == {"command"}
    done = admin("events", "--type", "command.finished", "--server", "local")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows
    assert {row[1] for row in rows} == {"command.finished"}
    assert {row[2] for row in rows} == {"local"}


def test_ansible_pings_the_fleet(myx: Standalone, admin: Person, tmp_path: Path) -> None:
    script = tmp_path / "myx_inventory.sh"
    program = myx.cli_argv()[0]
    script.write_text(f'#!/bin/sh\nexec {program} inventory "$@"\n')
    script.chmod(0o700)
    environment = {
        **admin.environment,
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    ansible = str(Path(sys.executable).parent / "ansible")
    done = subprocess.run(
        [ansible, "-i", str(script), "local:&myx_status_online", "-c", "local", "-m", "ping"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "local | SUCCESS" in done.stdout
    assert admin.token() not in admin("inventory", "--list").stdout
