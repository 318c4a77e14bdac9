"""The deployment tool's archive, and archives that users push."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from myx_executor.adapters import tool_project
from myx_executor.adapters.tool import DeploymentTool, check_project, unpack_project
from myx_kit.errors import FailedPrecondition, InvalidArgument


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tool"
    for name, text in {
        "VERSION": "1.2.3\n",
        "playbooks/a.yml": "[]",
        "playbooks/b.yml": "[]",
        "playbooks/deep/c.yml": "[]",
        "scripts/run.py": "x",
        "scripts/__pycache__/run.pyc": "y",
        "scripts/run.py~": "z",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "scripts/run.py").chmod(0o775)
    (folder / "leak").symlink_to("/etc/passwd")
    return folder


def test_the_tool_is_the_same_bytes_for_the_same_content(tree, tmp_path):
    one = DeploymentTool(tree, tmp_path / "one").archive()
    for path in tree.rglob("*.yml"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    two = DeploymentTool(tree, tmp_path / "two").archive()
    assert one.digest == two.digest
    assert one.version == "1.2.3"
    assert one.playbooks == ("a.yml", "b.yml")
    with tarfile.open(one.path) as tar:
        assert tar.getnames() == [
            "VERSION",
            "playbooks/a.yml",
            "playbooks/b.yml",
            "playbooks/deep/c.yml",
            "scripts/run.py",
        ]
        assert tar.getmember("scripts/run.py").mode == 0o755
        assert {member.uid for member in tar} == {0}


def test_a_change_makes_another_archive_and_old_ones_go(tree, tmp_path):
    tool = DeploymentTool(tree, tmp_path / "cache")
    digests = set()
    for number in range(8):
        (tree / "playbooks/a.yml").write_text(f"[{number}]")
        archive = tool.archive()
        assert tool.archive() == archive
        digests.add(archive.digest)
    assert len(digests) == 8
    assert archive.path.exists()
    assert len(list((tmp_path / "cache/tools").iterdir())) == 4


def test_no_tool(tmp_path):
    for folder in (None, tmp_path):
        with pytest.raises(FailedPrecondition) as caught:
            DeploymentTool(folder, tmp_path).archive()
        assert caught.value.reason == "NO_DEPLOYMENT_TOOL"


def pushed(tmp_path, *members):
    path = tmp_path / "pushed.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content, changes in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return path


PLAY = ("playbooks/site.yml", b"[]", {})


def reason(archive):
    with pytest.raises(InvalidArgument) as caught:
        check_project(archive)
    return caught.value.reason


def test_a_good_project(tmp_path):
    archive = pushed(
        tmp_path,
        (".", b"", {"type": tarfile.DIRTYPE}),
        ("./playbooks", b"", {"type": tarfile.DIRTYPE}),
        ("./playbooks/site.yml", b"[]", {}),
        ("./files/script", b"#!/bin/sh", {"mode": 0o4755}),
        ("files/link", b"", {"type": tarfile.SYMTYPE, "linkname": "../playbooks/site.yml"}),
    )
    check = check_project(archive)
    assert (check.files, check.playbooks) == (2, ("site.yml",))
    folder = tmp_path / "out"
    unpack_project(archive, folder)
    assert (folder / "files/link").read_text() == "[]"
    assert (folder / "files/script").stat().st_mode & 0o7777 == 0o755
    with pytest.raises(FileExistsError):
        unpack_project(archive, folder)


@pytest.mark.parametrize(
    "member",
    [
        ("/etc/x", b"", {}),
        ("../x", b"", {}),
        ("a/../../x", b"", {}),
        ("dev", b"", {"type": tarfile.CHRTYPE}),
        ("fifo", b"", {"type": tarfile.FIFOTYPE}),
        ("hard", b"", {"type": tarfile.LNKTYPE, "linkname": "playbooks/site.yml"}),
        ("link", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("link", b"", {"type": tarfile.SYMTYPE, "linkname": "../x"}),
        ("deep/link", b"", {"type": tarfile.SYMTYPE, "linkname": "../../x"}),
        ("playbooks/site.yml", b"again", {}),
        ("playbooks/site.yml/below", b"", {}),
    ],
)
def test_what_leaves_the_project_is_refused(tmp_path, member):
    archive = pushed(tmp_path, PLAY, member)
    assert reason(archive) == "PROJECT_UNSAFE"
    with pytest.raises((InvalidArgument, OSError)):
        unpack_project(archive, tmp_path / "out")
    assert not (tmp_path / "x").exists()


def test_a_file_through_a_link_is_refused(tmp_path):
    link = ("folder", b"", {"type": tarfile.SYMTYPE, "linkname": "playbooks"})
    assert reason(pushed(tmp_path, PLAY, link, ("folder/x.yml", b"", {}))) == "PROJECT_UNSAFE"
    assert reason(pushed(tmp_path, PLAY, ("folder/x.yml", b"", {}), link)) == "PROJECT_UNSAFE"


def link(name, target):
    return (name, b"", {"type": tarfile.SYMTYPE, "linkname": target})


@pytest.mark.parametrize(
    "links",
    [
        # Each stays inside by its words; the second leads to /etc by way of the first.
        [link("a/b/c/l", "../../.."), link("x", "a/b/c/l/../../../../etc/passwd")],
        [link("x", "a/b/c/l/../../../../etc/passwd"), link("a/b/c/l", "../../..")],
        [link("a/l", ".."), link("a/x", "./l//../b")],
        # By way of two others.
        [link("a/b/l", "../.."), link("a/m", "b/l/a"), link("x", "a/m/../../y")],
        # In circles.
        [link("one", "two/x"), link("two", "one/x")],
        [link("self", "self/x")],
        # Farther than the kernel goes.
        [link(f"l{n}", f"l{n + 1}/.") for n in range(50)],
    ],
)
def test_a_link_that_leaves_through_a_link_is_refused(tmp_path, links):
    archive = pushed(tmp_path, PLAY, *links)
    assert reason(archive) == "PROJECT_UNSAFE"
    with pytest.raises(InvalidArgument):
        unpack_project(archive, tmp_path / "out")


def test_a_link_through_a_link_that_stays_is_followed(tmp_path):
    members = [
        ("roles/v2/vars.yml", b"two", {}),
        link("roles/current", "v2"),
        link("roles/newest", "./current/"),
        link("roles/v2/up", "../.."),
        link("playbooks/vars.yml", "../roles/current/vars.yml"),
        link("playbooks/same.yml", "../roles/newest/../v2/vars.yml"),
        link("round.yml", "roles/newest/up/roles/v2/up/playbooks/vars.yml"),
    ]
    for number, ordered in enumerate((members, members[::-1])):
        archive = pushed(tmp_path, PLAY, *ordered)
        check_project(archive)
        folder = tmp_path / str(number)
        unpack_project(archive, folder)
        for name in ("playbooks/vars.yml", "playbooks/same.yml", "round.yml"):
            assert (folder / name).read_text() == "two"


def test_a_link_to_a_link_is_none_through_it(tmp_path):
    archive = pushed(tmp_path, PLAY, link("a/one", "../playbooks/site.yml"), link("a/two", "./one"), link("b", "a/two"))
    check_project(archive)
    unpack_project(archive, tmp_path / "out")
    assert (tmp_path / "out/b").read_text() == "[]"


def test_what_is_no_project(tmp_path):
    assert reason(pushed(tmp_path, ("README", b"", {}))) == "PROJECT_EMPTY"
    path = tmp_path / "junk"
    for junk in (b"", b"junk", gzip.compress(b"junk" * 1000), pushed(tmp_path, PLAY).read_bytes()[:-20]):
        path.write_bytes(junk)
        assert reason(path) in {"PROJECT_INVALID", "PROJECT_EMPTY"}


def test_sizes_are_bounded(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tool_project, "MAX_MEMBERS", 5)
        assert reason(pushed(tmp_path, *((f"f{n}", b"", {}) for n in range(6)))) == "PROJECT_TOO_LARGE"
    with monkeypatch.context() as patch:
        patch.setattr(tool_project, "MAX_ARCHIVE_BYTES", 10)
        assert reason(pushed(tmp_path, PLAY)) == "PROJECT_TOO_LARGE"
    bomb = tmp_path / "bomb"
    with tarfile.open(bomb, "w:gz") as tar, Path("/dev/zero").open("rb") as zeros:
        for number in range(3):
            info = tarfile.TarInfo(f"f{number}")
            info.size = 60 << 20
            tar.addfile(info, zeros)
    assert reason(bomb) == "PROJECT_TOO_LARGE"
    with gzip.open(bomb, "wb") as out:
        header = tarfile.TarInfo("x")
        header.type, header.size = tarfile.XHDTYPE, 200 << 20
        out.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(200):
            out.write(bytes(1 << 20))
    assert reason(bomb) in {"PROJECT_TOO_LARGE", "PROJECT_INVALID"}
