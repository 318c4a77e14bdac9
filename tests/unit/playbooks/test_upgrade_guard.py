"""upgrade-guard on a folder of its own, with a systemctl that only writes down what it was asked."""

import json
import os
import subprocess
from pathlib import Path

import pytest

GUARD = Path(__file__).parents[3] / "playbooks/roles/agent/files/upgrade-guard"
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$MYX_GUARD_ROOT/calls"
[ "$1" = restart ] && [ "$2" = myx-agent.service ] && [ -e "$MYX_GUARD_ROOT/restart-fails" ] && exit 1
exit 0
"""


class Place:
    """What stands on the host, and its clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state_dir = root / "var/lib/myx-agent/upgrade"
        self.releases = root / "opt/myx-agent/releases"
        self.current = root / "opt/myx-agent/current"
        for folder in ("etc/systemd/system", "etc/myx-agent/ssl", "var/lib/myx-agent", "bin", "proc/sys/kernel/random"):
            (root / folder).mkdir(parents=True)
        (root / "bin/systemctl").write_text(SYSTEMCTL)
        (root / "bin/systemctl").chmod(0o755)
        self.release("1.0-aaa", "1.0")
        self.release("2.0-bbb", "2.0")
        self.current.symlink_to("releases/1.0-aaa")
        self.boot("boot-1", 100)

    def release(self, name: str, version: str) -> None:
        (self.releases / name).mkdir(parents=True)
        (self.releases / name / "RELEASE.json").write_text(json.dumps({"version": version, "digest": "x"}))

    def boot(self, boot_id: str, uptime_s: float) -> None:
        (self.root / "proc/sys/kernel/random/boot_id").write_text(f"{boot_id}\n")
        (self.root / "proc/uptime").write_text(f"{uptime_s:.2f} 1.00\n")

    def at(self, uptime_s: float) -> None:
        (self.root / "proc/uptime").write_text(f"{uptime_s:.2f} 1.00\n")

    def __call__(self, *arguments: str, code: int = 0, **env: str) -> str:
        environment = {
            "MYX_GUARD_ROOT": str(self.root),
            "MYX_GUARD_PROC": str(self.root / "proc"),
            "MYX_GUARD_PATH": f"{self.root}/bin:{os.environ['PATH']}",
        }
        done = subprocess.run(
            ["sh", str(GUARD), *arguments],
            env=environment | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout + done.stderr

    def state(self, upgrade: str = "u1") -> dict[str, str]:
        return json.loads((self.state_dir / f"{upgrade}.json").read_text())

    @property
    def calls(self) -> list[str]:
        return (self.root / "calls").read_text().splitlines()

    @property
    def left(self) -> set[str]:
        return {path.name for path in self.state_dir.iterdir()} - {"lock"}

    def back_up_unit(self) -> Path:
        """A unit that was changed, and what it was before."""
        unit = self.root / "etc/systemd/system/myx-agent.service"
        unit.write_text("new")
        backup = self.state_dir / "backup-u1/etc/systemd/system"
        backup.mkdir(parents=True)
        (backup / "myx-agent.service").write_text("old")
        (self.state_dir / "backup-u1/complete").touch()
        return unit

    def upgrade(self, *steps: str) -> None:
        self("begin", "u1", "2.0-bbb", "2.0", "300", "60")
        for step in steps:
            self(step, "u1")


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_an_upgrade_from_its_begin_to_its_confirmation(place):
    place.upgrade()
    state = place.state()
    assert (state["state"], state["from_release"], state["to_release"]) == ("preparing", "1.0-aaa", "2.0-bbb")
    assert (state["from_version"], state["to_version"], state["reason"]) == ("1.0", "2.0", "")
    assert (place.root / "etc/systemd/system/myx-agent-revert.timer").exists()
    assert "enable --quiet myx-agent-revert.timer" in place.calls
    place("arm", "u1")
    pending = dict(line.split("=", 1) for line in (place.state_dir / "pending").read_text().splitlines())
    assert (pending["UPGRADE_ID"], pending["FROM"], pending["TO"]) == ("u1", "1.0-aaa", "2.0-bbb")
    assert int(pending["DEADLINE"]) > 0
    assert pending["BOOT_ID"] == "boot-1"
    assert place.current.readlink() == Path("releases/1.0-aaa")
    place("activate", "u1")
    assert place.current.readlink() == Path("releases/2.0-bbb")
    assert place.state()["state"] == "preparing"
    place("switched", "u1")
    assert place.state()["state"] == "switched"
    assert place.state()["switched_at"]
    place.release("0.9-ccc", "0.9")
    place("confirm", "u1")
    assert place.state()["state"] == "confirmed"
    assert sorted(path.name for path in place.releases.iterdir()) == ["1.0-aaa", "2.0-bbb"]
    assert place.left == {"u1.json"}
    assert not list((place.root / "etc/systemd/system").glob("*revert*"))
    for verb in ("confirm", "switched", "activate"):
        place(verb, "u1")
    place("revert", "u1", "too late", code=76)
    place("expire")
    assert place.current.readlink() == Path("releases/2.0-bbb")


@pytest.mark.parametrize("steps", [("arm",), ("arm", "activate"), ("arm", "activate", "switched")])
def test_a_revert_puts_back_the_old_one_with_its_files(place, steps):
    unit = place.back_up_unit()
    place.upgrade(*steps)
    place("revert", "u1", 'a "quoted"\nreason with \\ and é')
    assert place.state()["state"] == "reverted"
    assert place.state()["reason"] == 'a "quoted" reason with \\ and '
    assert place.current.readlink() == Path("releases/1.0-aaa")
    assert "restart myx-agent.service" in place.calls
    assert unit.read_text() == "old"
    assert place.left == {"u1.json"}
    assert not (place.releases / "2.0-bbb").exists()
    place("revert", "u1", "again")
    place("confirm", "u1", code=76)
    place("begin", "u1", "2.0-bbb", "2.0", code=76)


def test_what_never_switched_is_failed_and_restarts_nothing(place):
    place.upgrade()
    (place.releases / ".2.0-bbb.parts").mkdir()
    place("revert", "u1", "no room")
    assert (place.state()["state"], place.state()["reason"]) == ("failed", "no room")
    assert "restart myx-agent.service" not in place.calls
    assert [path.name for path in place.releases.iterdir()] == ["1.0-aaa"]


def test_the_timer_reverts_what_nobody_confirmed_and_not_before(place):
    place.upgrade("arm", "activate", "switched")
    place.at(159)
    place("expire")
    assert place.state()["state"] == "switched"
    place.at(161)
    place("expire")
    assert place.state()["state"] == "reverted"
    assert "not confirmed in 60 s" in place.state()["reason"]


def test_a_new_agent_that_never_answered_goes_back_by_the_timer(place):
    place.upgrade("arm", "activate")
    place.at(100 + 90 + 61)
    place("expire")
    assert place.state()["reason"] == "the new agent did not answer in time"


def test_a_preparation_that_takes_for_ever_fails(place):
    place.upgrade()
    place.at(399)
    place("expire")
    assert place.state()["state"] == "preparing"
    place.at(401)
    place("expire")
    assert (place.state()["state"], place.left) == ("failed", {"u1.json"})


def test_after_a_reboot_a_switched_agent_has_its_time_again(place):
    place.upgrade("arm", "activate", "switched")
    place.boot("boot-2", 20)
    place("expire")
    assert place.state()["state"] == "switched"
    place.at(61)
    place("expire")
    assert "restarted" in place.state()["reason"]
    assert place.current.readlink() == Path("releases/1.0-aaa")


@pytest.mark.parametrize(
    ("steps", "state"), [((), "failed"), (("arm",), "reverted"), (("arm", "activate"), "reverted")]
)
def test_a_reboot_in_the_middle_is_undone_at_once(place, steps, state):
    place.upgrade(*steps)
    place.boot("boot-2", 5)
    place("expire")
    assert place.state()["state"] == state
    assert "restarted" in place.state()["reason"]
    assert place.current.readlink() == Path("releases/1.0-aaa")


@pytest.mark.parametrize(
    ("steps", "state"),
    [((), "failed"), (("arm", "activate"), "reverted"), (("arm", "activate", "switched"), "switched")],
)
def test_the_end_of_the_upgrades_process_undoes_what_is_unfinished(place, steps, state):
    place.upgrade(*steps)
    place("ended", "u1")
    assert place.state()["state"] == state
    place("ended", "other")


def test_one_upgrade_at_a_time(place):
    place.upgrade("arm", "activate", "switched")
    place("begin", "u2", "3.0-ccc", "3.0", code=75)
    assert place.state()["state"] == "switched"
    place("begin", "u2", "3.0-ccc", "3.0", MYX_GUARD_TAKEOVER="1")
    assert place.state()["state"] == "reverted"
    assert place.state("u2")["from_release"] == "1.0-aaa"
    place("begin", "u3", "3.0-ccc", "3.0")
    assert place.state("u2")["state"] == "failed"


def test_a_release_in_use_is_kept(place):
    (place.root / "proc/77").mkdir()
    cmdline = f"{place.releases}/2.0-bbb/bin/python\0-I\0{place.releases}/2.0-bbb/lib/myx_agent/supervisor\0"
    (place.root / "proc/77/cmdline").write_text(cmdline)
    place.upgrade("arm", "activate")
    place("revert", "u1", "x")
    assert (place.releases / "2.0-bbb").exists()


def test_a_reason_that_quotes_a_file_of_the_release_does_not_keep_it(place):
    (place.root / "proc/78").mkdir()
    reason = f'it does not answer: Traceback\n{place.releases}/2.0-bbb/lib/myx_agent/agent.py", line 1'
    (place.root / "proc/78/cmdline").write_text(f"/bin/sh\0upgrade-guard\0revert\0u1\0{reason}\0")
    place.upgrade("arm", "activate")
    place("revert", "u1", reason)
    assert not (place.releases / "2.0-bbb").exists()


def test_an_old_agent_that_does_not_start_either_is_told(place):
    place.upgrade("arm", "activate")
    (place.root / "restart-fails").touch()
    place("revert", "u1", "x")
    assert place.state()["reason"] == "x; and the old agent did not start"
    assert place.current.readlink() == Path("releases/1.0-aaa")


def test_a_release_may_be_installed_again_over_itself(place):
    place("begin", "u1", "1.0-aaa", "1.0")
    place("arm", "u1")
    place("activate", "u1")
    place("revert", "u1", "x")
    assert (place.releases / "1.0-aaa").exists()


def test_without_an_agent_there_is_no_upgrade(place):
    place.current.unlink()
    assert "no agent that could be put back" in place("begin", "u1", "2.0-bbb", "2.0", code=1)


@pytest.mark.parametrize("name", ["", "../x", "-x", "a b", "a;b", "$(id)", "a/b"])
def test_names_are_names(place, name):
    place("begin", name, "2.0-bbb", "2.0", code=64)
    place("begin", "u1", name, "2.0", code=64)
    place("confirm", name, code=64)


def test_an_incomplete_release_is_not_switched_to(place):
    (place.releases / "2.0-bbb/RELEASE.json").unlink()
    place.upgrade("arm")
    assert "not complete" in place("activate", "u1", code=1)
    assert place.current.readlink() == Path("releases/1.0-aaa")


def test_old_states_and_logs_go(place):
    place.state_dir.mkdir()
    for number in range(30):
        for ending in ("json", "log"):
            path = place.state_dir / f"old-{number}.{ending}"
            path.write_text("{}")
            os.utime(path, (number, number))
    place.upgrade()
    kept = {path.name for path in place.state_dir.glob("old-*")}
    assert "old-29.json" in kept
    assert "old-29.log" in kept
    assert "old-0.json" not in kept
    assert "old-0.log" not in kept


def test_usage_and_status(place):
    assert "begin ID TO" in place("nonsense", code=64)
    assert "1.0-aaa" in place("status")
    place.upgrade()
    assert json.loads(place("status", "u1"))["state"] == "preparing"
    assert json.loads(place("status"))["upgrade_id"] == "u1"


@pytest.mark.parametrize("verb", [("expire",), ("ended", "u1"), ("begin", "u2", "3.0-ccc", "3.0"), ("confirm", "u1")])
def test_a_confirmation_that_was_told_holds_whatever_killed_it_then(place, verb):
    place.release("0.9-old", "0.9")
    place.upgrade("arm", "activate", "switched")
    stub = place.root / "bin/rm"
    stub.write_text("#!/bin/sh\nkill -KILL $PPID\n")
    stub.chmod(0o755)
    place("confirm", "u1", code=-9)
    stub.unlink()
    assert (place.state()["state"], "pending" in place.left) == ("confirmed", True)

    place.boot("boot-2", 1000)
    place(*verb)

    assert (place.state()["state"], place.state()["reason"]) == ("confirmed", "")
    assert place.current.readlink() == Path("releases/2.0-bbb")
    assert sorted(path.name for path in place.releases.iterdir()) == ["1.0-aaa", "2.0-bbb"]
    assert place.calls.count("restart myx-agent.service") == 1
    assert "pending" not in place.left


def test_killed_at_any_point_it_can_be_done_again(place):
    """Every command of a revert is made to fail once: the next attempt finishes it."""
    names = ("rm", "mv", "ln", "sync", "systemctl", "cp")
    for name in names:
        fresh = Place(place.root / name)
        unit = fresh.back_up_unit()
        fresh.upgrade("arm", "activate")
        stub = fresh.root / "bin" / name
        kept = stub.read_text() if stub.exists() else None
        stub.write_text("#!/bin/sh\nkill -KILL $PPID\n")
        stub.chmod(0o755)
        fresh("revert", "u1", "first", code=-9)
        if kept is None:
            stub.unlink()
        else:
            stub.write_text(kept)
        fresh.at(1000)
        fresh("expire")
        assert fresh.state()["state"] == "reverted", name
        assert fresh.current.readlink() == Path("releases/1.0-aaa"), name
        assert unit.read_text() == "old", name
        assert fresh.left == {"u1.json"}, name
