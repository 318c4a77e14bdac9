"""Packs of the agent's bundle."""

import hashlib
import json
import os
import tarfile

import pytest

from myx_executor.adapters.bundle import AgentBundle
from myx_kit.errors import FailedPrecondition

WHEELS = [
    ("myx_agent-0.1.0-py3-none-any.whl", "any", ["3.11", "3.13"], "agent"),
    ("httptools-1-cp311-cp311-x86_64.whl", "x86_64", ["3.11"], "agent"),
    ("httptools-1-cp313-cp313-x86_64.whl", "x86_64", ["3.13"], "agent"),
    ("httptools-1-cp311-cp311-aarch64.whl", "aarch64", ["3.11"], "agent"),
    ("ansible_core-2.19-py3-none-any.whl", "any", ["3.11", "3.13"], "ansible"),
]


def build(folder):
    files = []

    def add(path, kind, arch, python, of):
        content = os.urandom(2000)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        files.append(
            {"path": path, "sha256": sha256, "size": 2000, "kind": kind, "arch": arch, "python": python, "set": of}
        )

    for name, arch, python, of in WHEELS:
        add(f"wheels/{name}", "wheel", arch, python, of)
    for arch in ("x86_64", "aarch64"):
        add(f"uv/{arch}/uv", "uv", arch, ["any"], "any")
    for of in ("agent", "ansible"):
        for python in ("3.11", "3.13"):
            add(f"requirements/{of}-{python}.txt", "requirements", "any", [python], of)
    text = "".join(sorted(f"{file['path']}\0{file['sha256']}\n" for file in files))
    manifest = {"version": "0.1.0", "digest": hashlib.sha256(text.encode()).hexdigest(), "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return manifest


@pytest.fixture
def folder(tmp_path):
    build(tmp_path / "bundle")
    return tmp_path / "bundle"


def names(pack):
    with tarfile.open(pack.path) as tar:
        return tar.getnames()


def test_a_host_gets_what_is_for_it(folder, tmp_path):
    bundle = AgentBundle(folder, tmp_path / "cache")
    pack = bundle.pack("agent", "x86_64", "3.11")
    assert names(pack) == [
        "RELEASE.json",
        "requirements.txt",
        "uv",
        "wheels/httptools-1-cp311-cp311-x86_64.whl",
        "wheels/myx_agent-0.1.0-py3-none-any.whl",
    ]
    with tarfile.open(pack.path) as tar:
        assert tar.getmember("uv").mode == 0o755
        release = json.load(tar.extractfile("RELEASE.json"))
        assert tar.extractfile("requirements.txt").read() == (folder / "requirements/agent-3.11.txt").read_bytes()
    info = bundle.info()
    assert release == {"version": "0.1.0", "digest": info.digest, "arch": "x86_64", "python": "3.11"}
    assert info.release == f"0.1.0-{info.digest[:12]}"
    assert hashlib.sha256(pack.path.read_bytes()).hexdigest() == pack.sha256
    assert pack.path.stat().st_size == pack.size
    assert "wheels/ansible_core-2.19-py3-none-any.whl" in names(bundle.pack("ansible", "aarch64", "3.13"))


def test_only_what_is_ours_travels_to_a_host_with_an_index(folder, tmp_path):
    bundle = AgentBundle(folder, tmp_path / "cache")
    own = "wheels/myx_agent-0.1.0-py3-none-any.whl"
    assert names(bundle.pack("agent", "x86_64", "3.11", index=True)) == ["RELEASE.json", "requirements.txt", "uv", own]
    assert names(bundle.pack("ansible", "x86_64", "3.11", index=True)) == ["RELEASE.json", "requirements.txt", "uv"]


def test_the_same_bytes_each_time(folder, tmp_path):
    one = AgentBundle(folder, tmp_path / "one").pack("agent", "x86_64", "3.11")
    two = AgentBundle(folder, tmp_path / "two").pack("agent", "x86_64", "3.11")
    assert one.sha256 == two.sha256
    assert one.path.read_bytes() == two.path.read_bytes()


def test_a_pack_that_was_changed_in_the_cache_is_made_anew(folder, tmp_path):
    one = AgentBundle(folder, tmp_path / "cache").pack("agent", "x86_64", "3.11")
    one.path.write_bytes(b"evil" * 100)
    two = AgentBundle(folder, tmp_path / "cache").pack("agent", "x86_64", "3.11")
    assert two.sha256 == one.sha256 == hashlib.sha256(two.path.read_bytes()).hexdigest()


def test_the_cache_is_bounded(folder, tmp_path):
    bundle = AgentBundle(folder, tmp_path / "cache")
    for _ in range(12):
        build(folder)
        for python in ("3.11", "3.13"):
            pack = bundle.pack("agent", "x86_64", python)
    assert pack.path.exists()
    assert len(list((tmp_path / "cache/packs").iterdir())) == 16


@pytest.mark.parametrize(
    ("arch", "python"), [("riscv64", "3.11"), ("x86_64", "3.10"), ("", "3.11"), ("x86_64", ""), ("x86_64", "any")]
)
def test_hosts_that_it_is_not_for(folder, tmp_path, arch, python):
    with pytest.raises(FailedPrecondition) as caught:
        AgentBundle(folder, tmp_path / "cache").pack("agent", arch, python)
    assert caught.value.reason == "AGENT_BUNDLE_UNSUITABLE"


def test_broken_bundles(folder, tmp_path):
    def reason(call):
        with pytest.raises(FailedPrecondition) as caught:
            call()
        return caught.value.reason

    assert reason(AgentBundle(None, tmp_path).info) == "NO_AGENT_BUNDLE"
    assert reason(AgentBundle(tmp_path / "none", tmp_path).info) == "NO_AGENT_BUNDLE"
    bundle = AgentBundle(folder, tmp_path / "cache")
    (folder / "uv/x86_64/uv").write_bytes(b"other")
    assert reason(lambda: bundle.pack("agent", "x86_64", "3.11")) == "AGENT_BUNDLE_INVALID"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0]["sha256"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert reason(bundle.info) == "AGENT_BUNDLE_INVALID"
    (folder / "manifest.json").write_text("[]")
    assert reason(bundle.info) == "AGENT_BUNDLE_INVALID"
    assert not [*(tmp_path / "cache").rglob(".pack-*")]
