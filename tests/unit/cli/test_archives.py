"""A folder of playbooks as an archive."""

import io
import os
import socket
import tarfile

import pytest

from myx_cli import archives
from myx_cli.archives import pack
from myx_cli.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "project"
    (place / "playbooks").mkdir(parents=True)
    (place / "playbooks/site.yml").write_text("- hosts: all\n")
    return place


def packed(folder):
    out = io.BytesIO()
    pack(str(folder), out)
    return out.getvalue()


def members(folder):
    with tarfile.open(fileobj=io.BytesIO(packed(folder))) as archive:
        return {member.name: member for member in archive}


def refusal(folder):
    with pytest.raises(UsageError) as caught:
        packed(folder)
    return caught.value.message


def test_the_playbooks_are_told_by_name(folder):
    (folder / "playbooks/again.yaml").write_text("[]")
    (folder / "playbooks/README.md").write_text("no playbook")
    (folder / "playbooks/folder.yml").mkdir()
    assert pack(str(folder), io.BytesIO()) == ["again.yaml", "site.yml"]


def test_the_same_content_gives_the_same_bytes_whoever_has_it_and_since_when(folder, tmp_path):
    (folder / "files").mkdir()
    (folder / "files/a").write_text("a")
    first = packed(folder)
    os.utime(folder / "files/a", (1, 1))
    (folder / "files/a").chmod(0o600)
    (folder / "files").chmod(0o700)
    os.chown(folder / "playbooks", os.getuid(), os.getgid())
    assert packed(folder) == first
    (folder / "files/a").write_text("b")
    assert packed(folder) != first


def test_modes_are_those_of_programs_and_of_files_and_the_owner_is_root(folder):
    (folder / "library").mkdir()
    for name, mode in (("program", 0o4711), ("script", 0o700), ("plain", 0o666), ("secret", 0o400), ("group", 0o070)):
        (folder / "library" / name).write_text("x")
        (folder / "library" / name).chmod(mode)
    found = members(folder)
    modes = {name.removeprefix("library/"): found[name].mode for name in found if name.startswith("library/")}
    assert modes == {"program": 0o755, "script": 0o755, "plain": 0o644, "secret": 0o644, "group": 0o644}
    assert found["library"].mode == 0o755
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in found.values()} == {(0, 0, "root", 0)}


def test_what_tools_leave_is_not_packed(folder):
    for name in (".git/config", ".venv/bin/python", "roles/a/__pycache__/x.pyc", "roles/a/.DS_Store"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    for name in (
        "playbooks/site.retry",
        "playbooks/.site.yml.swp",
        "playbooks/site.yml~",
        ".gitignore",
        "roles/a/x.py",
    ):
        (folder / name).write_text("x")
    assert list(members(folder)) == [
        ".gitignore",
        "playbooks",
        "playbooks/site.yml",
        "roles",
        "roles/a",
        "roles/a/x.py",
    ]


def test_links_inside_the_folder_stay_links_and_hard_links_become_files(folder):
    (folder / "files").mkdir()
    (folder / "files/a").write_text("a")
    (folder / "link").symlink_to("files/a")
    (folder / "playbooks/files").symlink_to("../files")
    (folder / "dangling").symlink_to("files/not-yet")
    os.link(folder / "files/a", folder / "files/b")
    found = members(folder)
    links = {name: member.linkname for name, member in found.items() if member.issym()}
    assert links == {"link": "files/a", "playbooks/files": "../files", "dangling": "files/not-yet"}
    assert (found["files/b"].isreg(), found["files/b"].size) == (True, 1)
    assert "playbooks/files/a" not in found


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../outside", "files/../../outside", "hop/outside", "../project-2/x"]
)
def test_a_link_that_leaves_the_folder_is_refused(folder, target):
    (folder / "files").mkdir()
    (folder / "hop").symlink_to("files/..")
    (folder / "files/up").symlink_to("../..")
    (folder / "link").symlink_to(target.replace("hop", "files/up"))
    assert refusal(folder).endswith("is a link that leads out of the folder")


def test_a_folder_that_is_itself_reached_by_a_link_is_packed(folder, tmp_path):
    (folder / "link").symlink_to("playbooks/site.yml")
    (tmp_path / "elsewhere").symlink_to(folder)
    assert packed(tmp_path / "elsewhere") == packed(folder)


def test_a_link_to_itself_goes_nowhere_else(folder):
    (folder / "round").symlink_to("round")
    assert members(folder)["round"].linkname == "round"


@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_what_is_neither_file_folder_nor_link_is_named(folder, kind, monkeypatch):
    monkeypatch.chdir(folder)
    if kind == "fifo":
        os.mkfifo("odd")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("odd")
    assert refusal(folder) == "odd is neither file, folder nor link"


def test_names_of_any_bytes_and_lengths_are_kept(folder):
    names = ["größe.txt", f"files/{'long' * 50}.txt", "new\nline"]
    (folder / "files").mkdir()
    for name in names:
        (folder / name).write_text("x")
    assert set(names) <= set(members(folder))


@pytest.mark.parametrize("missing", ["no folder", "no playbooks", "a file"])
def test_what_is_no_project_is_said(tmp_path, missing):
    place = tmp_path / "x"
    if missing == "no playbooks":
        (place / "playbooks").mkdir(parents=True)
    elif missing == "a file":
        place.write_text("x")
    assert refusal(place) == f"{place} holds no playbooks/*.yml: is it the folder of a project?"


def test_more_than_the_limit_is_refused_and_what_packs_well_is_not(folder):
    with (folder / "zeros").open("wb") as file:
        file.truncate(archives.LIMIT_BYTES + 1)
    assert len(packed(folder)) < archives.LIMIT_BYTES
    (folder / "noise").write_bytes(os.urandom(archives.LIMIT_BYTES))
    assert refusal(folder).endswith("is too large for a project: at most 20 MiB packed and 10000 files")


def test_more_files_than_the_limit_are_refused(folder, monkeypatch):
    monkeypatch.setattr(archives, "_MEMBERS", 30)
    (folder / "files").mkdir()
    # With the two folders and the playbook exactly as many as may be.
    for number in range(archives._MEMBERS - 3):
        (folder / f"files/{number}").touch()
    assert len(members(folder)) == archives._MEMBERS
    (folder / "files/one-more").touch()
    assert refusal(folder).endswith("and 30 files")
