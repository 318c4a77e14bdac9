"""A bundle from a given set of wheels: no network, the agent's real source."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from myx_agent_bundle import build as building
from myx_agent_bundle import wheels
from myx_agent_bundle.agent_wheel import AgentSource
from myx_agent_bundle.build import Plan, build
from myx_agent_bundle.manifest import Entry, digest_of
from myx_agent_bundle.pins import Pins

AGENT = Path(__file__).parents[3] / "agent"


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """pip's place is taken by wheels that are made here; counts how often it was asked."""
    asked = []

    def make(folder, name, tag):
        path = folder / f"{name.replace('-', '_')}-99.0-{tag}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            entry = zipfile.ZipInfo(f"{name}-99.0.dist-info/METADATA", (2020, 1, 1, 0, 0, 0))
            archive.writestr(zipfile.ZipInfo("tag"), tag)
            archive.writestr(entry, f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.0\n")
        return wheels.read(path)

    def fetch(roots, target, _pins, folder):
        folder.mkdir(parents=True)
        asked.append(target)
        binary = f"cp{target.python.replace('.', '')}-none-manylinux_2_17_{target.arch}"
        made = [make(folder, root.name, binary if root.name == "msgspec" else "py3-none-any") for root in roots]
        return {wheel.name: wheel for wheel in made}

    def fetch_uv(_version, arch, _folder, place):
        place.parent.mkdir(parents=True)
        place.write_text(f"uv for {arch}")

    monkeypatch.setattr(building.download, "fetch", fetch)
    monkeypatch.setattr(building.download, "fetch_uv", fetch_uv)
    return asked


def plan(out, pins="uv==1\nansible-core==99.0", version=None, reuse=None):
    source = AgentSource.read(AGENT)
    return Plan(out, source, version or source.version, Pins(pins), reuse)


def test_a_bundle_is_whole_and_says_what_is_for_whom(tmp_path, downloads):
    out = tmp_path / "bundle"
    document, is_new = build(plan(out))
    assert is_new
    assert json.loads((out / "manifest.json").read_text()) == document
    on_disk = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} - {"manifest.json"}
    assert {item["path"] for item in document["files"]} == on_disk
    for item in document["files"]:
        assert item["sha256"] == wheels.digest(out / item["path"])
    entries = [Entry(**(item | {"python": tuple(item["python"])})) for item in document["files"]]
    assert document["digest"] == digest_of(entries)
    by_name = {entry.path: entry for entry in entries}
    msgspec = by_name["wheels/msgspec-99.0-cp312-none-manylinux_2_17_aarch64.whl"]
    assert (msgspec.arch, msgspec.python, msgspec.set) == ("aarch64", ("3.12",), "agent")
    ansible = by_name["wheels/ansible_core-99.0-py3-none-any.whl"]
    assert (ansible.arch, ansible.python, ansible.set) == ("any", ("3.11", "3.12", "3.13", "3.14"), "ansible")
    assert by_name["uv/aarch64/uv"].arch == "aarch64"
    lines = (out / "requirements" / "agent-3.12.txt").read_text().splitlines()
    assert [line.count("--hash") for line in lines if line.startswith("msgspec==")] == [2]
    assert [line for line in lines if line.startswith(f"myx-agent=={document['version']} --hash=sha256:")]


def test_the_same_again_builds_nothing(tmp_path, downloads):
    first, _ = build(plan(tmp_path / "bundle"))
    count = len(downloads)
    assert build(plan(tmp_path / "bundle")) == (first, False)
    assert len(downloads) == count


def test_a_damaged_bundle_is_built_again(tmp_path, downloads):
    first, _ = build(plan(tmp_path / "bundle"))
    (tmp_path / "bundle" / "uv" / "x86_64" / "uv").write_text("")
    again, is_new = build(plan(tmp_path / "bundle"))
    assert is_new
    assert again["digest"] == first["digest"]


def test_a_variant_takes_the_third_party_files_of_another_bundle(tmp_path, downloads):
    first, _ = build(plan(tmp_path / "one"))
    count = len(downloads)
    variant, _ = build(plan(tmp_path / "two", version="9.9.9", reuse=tmp_path / "one"))
    assert len(downloads) == count
    assert variant["version"] == "9.9.9"
    assert variant["digest"] != first["digest"]
    agents = [item["path"] for item in variant["files"] if "myx_agent" in item["path"]]
    assert agents == ["wheels/myx_agent-9.9.9-py3-none-any.whl"]
    with zipfile.ZipFile(tmp_path / "two" / agents[0]) as archive:
        assert b'__version__ = "9.9.9"' in archive.read("myx_agent/__init__.py")
    text = (tmp_path / "two" / "requirements" / "agent-3.11.txt").read_text()
    assert text.count("myx-agent==") == 1
    assert text != (tmp_path / "one" / "requirements" / "agent-3.11.txt").read_text()


def test_other_pins_are_not_reused(tmp_path, downloads):
    build(plan(tmp_path / "one"))
    count = len(downloads)
    build(plan(tmp_path / "two", pins="uv==2\nansible-core==99.0", reuse=tmp_path / "one"))
    assert len(downloads) > count


def test_the_agents_wheel_is_reproducible(tmp_path, downloads):
    first, _ = build(plan(tmp_path / "one"))
    second, _ = build(plan(tmp_path / "two"))
    assert first["digest"] == second["digest"]


def test_the_program_says_in_one_line_why_not(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "myx_agent_bundle", "build", "--out", tmp_path / "b", "--agent-source", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "not the source of the agent" in done.stderr
    assert done.stderr.count("\n") == 1
