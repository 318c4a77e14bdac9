"""A host without a Python gets one from the control plane.

The builds that operators use (python-build-standalone) cannot be had here: Debian's Python in the same form stands in.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from myx_testkit.fleet import Fleet
from myx_testkit.hosts.host import Host
from myx_testkit.hosts.lab import HostLab

NAME = "cpython-3.11.2+20260101-x86_64-unknown-linux-gnu"
PLACE = f"/opt/myx-agent/python/{NAME}"


@pytest.fixture
def bare(host_lab: HostLab) -> Iterator[Host]:
    """A host without any Python and without internet."""
    with host_lab.host(python=False, network=False) as host:
        host.ssh("true")
        host.wait_until_settled()
        yield host


@pytest.fixture
def archive(fleet: Fleet) -> Iterator[Path]:
    """Where the control plane looks for a build."""
    path = fleet.myx.home.path / "pythons" / f"{NAME}-install_only.tar.gz"
    yield path
    path.unlink()


def pack(host: Host, path: Path, tmp_path: Path) -> None:
    base, root = host.layers[-1], tmp_path / "python"
    (root / "bin").mkdir(parents=True)
    subprocess.run(["cp", base / "usr/bin/python3.11", root / "bin/"], check=True)
    (root / "bin/python3").symlink_to("python3.11")
    (root / "lib").mkdir()
    subprocess.run(["cp", "-a", base / "usr/lib/python3.11", root / "lib/"], check=True)
    subprocess.run(["tar", "-czf", path, "-C", tmp_path, "python"], check=True)


def play_both_ways(fleet: Fleet, name: str, project: Path) -> None:
    """A playbook of the user's own, over SSH and by the agent."""
    (project / "playbooks").mkdir(parents=True)
    play = "- hosts: all\n  gather_facts: true\n  tasks:\n    - ansible.builtin.ping:\n"
    (project / "playbooks/site.yml").write_text(play)
    pushed = fleet.myx.cli("playbook", "push", str(project))
    assert pushed.returncode == 0, pushed.stderr
    for method in ("ssh", "agent"):
        played = fleet.myx.cli("playbook", "run", "bare/site.yml", name, "--method", method)
        assert played.returncode == 0, (played.stdout, played.stderr)
    fleet.myx.cli("playbook", "remove", "bare")


def test_a_host_without_python_is_installed_with_one_that_is_brought(
    fleet: Fleet, bare: Host, archive: Path, tmp_path: Path
) -> None:
    before = bare.inventory()
    pack(bare, archive, tmp_path)
    name = fleet.add(bare)
    ended = fleet.succeed(name, "install_agent")
    preflight = next(step for step in ended["steps"] if step["name"] == "preflight")
    assert preflight["message"].endswith("with Python 3.11")
    assert NAME in fleet.log(ended["id"])
    assert fleet.run(name, "readlink -f /opt/myx-agent/current/bin/python") == f"{PLACE}/bin/python3.11\n"

    again = fleet.succeed(name, "install_agent")
    assert NAME not in fleet.log(again["id"])
    play_both_ways(fleet, name, tmp_path / "bare")
    fleet.succeed(name, "uninstall_agent")
    assert before.differences(bare.inventory()) == []
    fleet.remove(name)


def test_a_build_that_does_not_run_there_is_told_and_leaves_nothing(
    fleet: Fleet, bare: Host, archive: Path, tmp_path: Path
) -> None:
    before = bare.inventory()
    archive.write_bytes(b"no archive")
    name = fleet.add(bare)
    ended = fleet.deploy(name, "install_agent")
    assert (ended["status"], ended["reason"]) == ("failed", "python_not_brought"), fleet.tell(ended)
    assert NAME in ended["message"]
    assert ended["cure"]
    assert before.differences(bare.inventory()) == []
    pack(bare, archive, tmp_path)
    fleet.succeed(name, "install_agent")
    fleet.remove(name)
