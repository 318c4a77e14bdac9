"""Pins, markers and closures: what a host of another kind than this one needs."""

import zipfile

import pytest
from packaging.requirements import Requirement

from myx_agent_bundle import wheels
from myx_agent_bundle.agent_wheel import check_version
from myx_agent_bundle.errors import BuildError
from myx_agent_bundle.manifest import Entry, digest_of
from myx_agent_bundle.pins import Pins
from myx_agent_bundle.targets import ALL, Target

OLD, NEW = Target("3.11", "x86_64"), Target("3.14", "aarch64")


def make_wheel(folder, name, version="1.0", requires=(), tag="py3-none-any"):
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {need}" for need in requires]
        archive.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(lines) + "\n")
    return wheels.read(path)


def test_pins_are_read_for_the_target_not_for_this_python():
    pins = Pins("a==1; python_version < '3.12'\na==2 ; python_version >= '3.12'\nB_b==3 # why\n\n# nothing\n")
    assert pins.lines(OLD) == ["a==1", "b-b==3"]
    assert pins.lines(NEW) == ["a==2", "b-b==3"]


def test_the_version_of_a_tool_must_be_pinned():
    assert Pins("uv==1.2").version("UV") == "1.2"
    with pytest.raises(BuildError, match="uv is not pinned"):
        Pins("ux==1.2").version("uv")
    with pytest.raises(BuildError, match="constraints"):
        Pins("not a requirement")


def test_a_closure_follows_markers_extras_and_versions(tmp_path):
    app = ["base[fast]>=1", "old; python_version<'3.12'", "arm; platform_machine=='aarch64'"]
    base = ["quick; extra=='fast'", "slow; extra=='lazy'", "win; sys_platform=='win32'"]
    there = {
        wheel.name: wheel
        for wheel in (
            make_wheel(tmp_path, "app", requires=app),
            make_wheel(tmp_path, "base", requires=base),
            make_wheel(tmp_path, "quick", requires=["app"]),
            make_wheel(tmp_path, "old"),
        )
    }  # fmt: skip
    assert wheels.closure([Requirement("app")], there, OLD) == ({"app", "base", "quick", "old"}, [])
    found, missing = wheels.closure([Requirement("app")], there, NEW)
    assert found == {"app", "base", "quick"}
    assert [need.name for need in missing] == ["arm"]
    assert wheels.closure([Requirement("app>2")], there, OLD) == (set(), [Requirement("app>2")])


def test_what_is_no_wheel_is_said(tmp_path):
    (tmp_path / "a-1-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(BuildError, match="not a wheel"):
        wheels.read(tmp_path / "a-1-py3-none-any.whl")


def test_targets_accept_old_glibc_and_none_newer_than_the_oldest_host():
    assert len(ALL) == 8
    assert OLD.platforms[0] == "manylinux_2_34_x86_64"
    assert "manylinux2014_aarch64" in NEW.platforms
    assert "manylinux_2_5_aarch64" not in NEW.platforms


def test_the_digest_says_names_and_contents_in_any_order():
    one, two = (Entry(name, "0" * 64, 1, "wheel", "any", ("3.11",), "any") for name in ("a", "b"))
    assert digest_of([one, two]) == digest_of([two, one])
    assert digest_of([one]) != digest_of([two])


def test_versions_are_put_in_their_normal_form():
    assert check_version("1.2.0-rc1") == "1.2.0rc1"
    with pytest.raises(BuildError):
        check_version("newest")
