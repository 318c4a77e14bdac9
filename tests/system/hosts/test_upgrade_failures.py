"""The twelve ways in which an upgrade fails, each through the whole product: the old agent is back by itself, what runs
goes on, and the control plane says what happened."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tool_variants import ENDS, broken, good

from myx_testkit.bundle import agent_bundle
from myx_testkit.fleet import FINAL, Fleet
from myx_testkit.hosts.host import Host
from myx_testkit.hosts.lab import HostLab
from myx_testkit.rest import Refused
from myx_testkit.wait import until_sync

OLD = "0.1.0"
# Room for the agent, Ansible and one more release.
DISK_MB = 900


@dataclass
class Managed:
    """A host with an agent, the server's name, and the release that must always be back."""

    fleet: Fleet
    host: Host
    name: str
    release: str

    def current(self) -> str:
        return (self.host.root / "opt/myx-agent/current").readlink().name

    def is_copying(self) -> bool:
        """Files of a new release are being put beside the old one."""
        return any(path.name.startswith(".") for path in (self.host.root / "opt/myx-agent/releases").iterdir())

    def is_switched(self) -> bool:
        return self.current() != self.release

    def kill_upgrade(self) -> None:
        self.host.exec("systemctl kill --signal=KILL 'myx-upgrade-*'")

    def upgrade(self, injure: Callable[[], None] | None = None) -> dict[str, Any]:
        """An upgrade to its end, also where that release has failed before; `injure` is called once it has begun."""
        deployment = self.fleet.start(self.name, "upgrade_agent", force=True)
        if injure is not None:
            injure()
        return self.fleet.wait(deployment)

    def begin(self, line: str) -> str:
        body = {"server": self.name, "command": "sh", "args": ["-c", line]}
        return str(self.fleet.rest.post("/commands", body)["id"])


@pytest.fixture(scope="module")
def enrolled(fleet: Fleet, host_lab: HostLab) -> Iterator[Managed]:
    """One host for all of it: after each failure the agent is as it was before."""
    with host_lab.host(disk_mb=DISK_MB) as host:
        name = fleet.enrol(host)
        managed = Managed(fleet, host, name, "")
        managed.release = managed.current()
        yield managed
        fleet.remove(name)


@pytest.fixture
def managed(enrolled: Managed, offer) -> Iterator[Managed]:
    """With a command that runs through all of it."""
    fleet = enrolled.fleet
    command = enrolled.begin("sleep 12; echo through; exit 6")
    yield enrolled
    offer.put(agent_bundle())
    fleet.wait_online(enrolled.name)
    fleet.rest.post(f"/servers/{enrolled.name}/check")
    until_sync(lambda: fleet.agent(enrolled.name)["version"] == OLD, interval_s=0.2, what="the old version is seen")
    assert enrolled.current() == enrolled.release
    assert fleet.run(enrolled.name, "echo sound") == "sound\n"
    until_sync(lambda: fleet.rest.get(f"/commands/{command}")["status"] in FINAL, 60, interval_s=0.2)
    assert fleet.rest.get(f"/commands/{command}")["exit_code"] == 6
    assert fleet.myx.cli("logs", command).stdout.decode() == "through\n"


def assert_told(managed: Managed, final: dict[str, Any], state: str, *reasons: str) -> None:
    """That it failed, what became of it, and why."""
    told = managed.fleet.tell(final)
    assert (final["status"], final["reason"]) == ("failed", f"upgrade_{state}"), told
    assert OLD in final["message"], told
    assert any(reason in final["message"] for reason in reasons), told


@pytest.mark.parametrize(("defect", "state", "reason"), ENDS)
def test_a_new_agent_that_is_broken(
    managed: Managed, offer, tmp_path: Path, defect: str, state: str, reason: str
) -> None:
    offer.put(broken(tmp_path, defect))
    assert_told(managed, managed.upgrade(), state, reason)
    with pytest.raises(Refused) as error:
        managed.fleet.start(managed.name, "upgrade_agent")
    assert error.value.reason == "VERSION_FAILED_BEFORE"


def test_files_for_another_architecture(managed: Managed, offer, tmp_path: Path) -> None:
    offer.put(of_the_other_architecture(tmp_path))
    assert_told(managed, managed.upgrade(), "failed", "it is not made for x86_64")


def of_the_other_architecture(folder: Path) -> Path:
    """A bundle that says of its files for one architecture that they are for the other."""
    bundle = folder / "swapped"
    shutil.copytree(good(folder, "9.2.0"), bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    other = {"x86_64": "aarch64", "aarch64": "x86_64", "any": "any"}
    for file in manifest["files"]:
        file["arch"] = other[file["arch"]]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


def test_a_disk_that_is_full_in_the_middle(managed: Managed, offer, tmp_path: Path) -> None:
    def fill() -> None:
        until_sync(managed.is_copying, 120, interval_s=0.02, what="files are copied")
        managed.host.fill_disk()

    offer.put(good(tmp_path))
    try:
        final = managed.upgrade(fill)
    finally:
        managed.host.free_disk()
    # Where it struck: while the files were copied, or the new agent's first command had no room for its output.
    state = "reverted" if final["reason"] == "upgrade_reverted" else "failed"
    assert_told(managed, final, state, "room", "space", "disk is nearly full")


def test_the_upgrade_killed_while_files_are_copied(managed: Managed, offer, tmp_path: Path) -> None:
    # A release that was put back stays for as long as something runs from it, and what is there is not built again.
    managed.host.exec(f"cd /opt/myx-agent/releases && ls | grep -v -x {managed.release} | xargs -r rm -r")

    def kill() -> None:
        until_sync(managed.is_copying, 120, interval_s=0.02, what="files are copied")
        managed.kill_upgrade()

    offer.put(good(tmp_path))
    assert_told(managed, managed.upgrade(kill), "failed", "killed")


def test_the_upgrade_killed_after_the_switch(managed: Managed, offer, tmp_path: Path) -> None:
    def kill() -> None:
        until_sync(managed.is_switched, 120, interval_s=0.02, what="switched")
        managed.kill_upgrade()

    offer.put(broken(tmp_path, "hang"))
    assert_told(managed, managed.upgrade(kill), "reverted", "killed")


def test_a_network_that_is_lost_after_the_switch(managed: Managed, offer, tmp_path: Path) -> None:
    def cut() -> None:
        until_sync(managed.is_switched, 120, interval_s=0.02, what="switched")
        managed.host.cut()
        until_sync(lambda: not managed.is_switched(), 120, what="put back")
        managed.host.heal()

    offer.put(good(tmp_path))
    assert_told(managed, managed.upgrade(cut), "reverted", "not confirmed in")
