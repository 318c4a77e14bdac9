"""What hostile archives come to: nothing outside of the folder, nothing without bounds."""

import gzip
import io
import os
import stat
import tarfile

import pytest

from myx_agent.archives import ArchiveRefused, Bounds, unpack

BOUNDS = Bounds(total_bytes=1 << 20, members=100)


def member(name, kind=tarfile.REGTYPE, data=b"", **attributes):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(data)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, kind, linkname=target)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "root" / "fresh"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def pack(tmp_path):
    def pack(*members, mode="w:gz", **options):
        path = tmp_path / "archive.tar"
        with tarfile.open(path, mode, **options) as tar:
            for info, data in members:
                tar.addfile(info, io.BytesIO(data))
        return path

    return pack


def outside(folder):
    """What lies beside the folder that was unpacked into."""
    return sorted(path.name for path in folder.parent.iterdir() if path != folder)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_files_folders_and_links_inside_are_unpacked(pack, folder, mode, form):
    archive = pack(
        member("./", tarfile.DIRTYPE),
        member("./roles/web/main.yml", data=b"- x\n", mode=0o600),
        member("scripts", tarfile.DIRTYPE),
        member("scripts/run.sh", data=b"#!/bin/sh\n", mode=0o700),
        link("roles/web/again.yml", "main.yml"),
        link("scripts/roles", "../roles"),
        mode=mode,
        format=form,
    )
    unpack(archive, folder, BOUNDS)

    assert (folder / "roles/web/again.yml").read_bytes() == b"- x\n"
    assert (folder / "scripts/roles/web/main.yml").exists()
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in ("roles/web/main.yml", "scripts/run.sh")}
    assert modes == {"roles/web/main.yml": 0o644, "scripts/run.sh": 0o755}


HOSTILE = {
    "an absolute name": [member("/etc/passwd", data=b"x")],
    "a name that goes up": [member("../evil", data=b"x")],
    "a name that goes up later": [member("a/../../evil", data=b"x")],
    "a folder that goes up": [member("../evil", tarfile.DIRTYPE)],
    "an absolute link": [link("a", "/etc")],
    "a link that goes up": [link("a", "..")],
    "a link that goes up from below": [link("a/b", "../../evil")],
    "a file behind a link": [link("a", "b"), member("b", tarfile.DIRTYPE), member("a/evil", data=b"x")],
    "a file behind a link to itself": [link("a", "."), member("a/a/evil", data=b"x")],
    "links that go up together": [
        member("d/e", tarfile.DIRTYPE),
        link("d/e/up", "../.."),
        link("out", "d/e/up/.."),
    ],
    "a link with no target": [link("a", "")],
    "a hard link": [member("a", data=b"x"), link("b", "a", tarfile.LNKTYPE)],
    "a hard link to the host": [link("b", "/etc/shadow", tarfile.LNKTYPE)],
    "a character device": [member("null", tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "a block device": [member("disk", tarfile.BLKTYPE, devmajor=8)],
    "a pipe": [member("pipe", tarfile.FIFOTYPE)],
    "a file twice": [member("a", data=b"x"), member("a", data=b"y")],
    "a file in place of a link": [link("a", "b"), member("a", data=b"y")],
    "a link in place of a file": [member("a", data=b"y"), link("a", "b")],
    "a file below a file": [member("a", data=b"y"), member("a/b", data=b"y")],
    "too many members": [member(str(number)) for number in range(101)],
    "too much": [member(str(number), data=bytes(200_000)) for number in range(6)],
    "a very deep name": [member("a/" * 40 + "b", data=b"x")],
    "a very long name": [member("a" * 200 + "/" + "b" * 2000, data=b"x")],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_it_is_refused(pack, folder, what):
    with pytest.raises(ArchiveRefused) as caught:
        unpack(pack(*HOSTILE[what]), folder, BOUNDS)

    assert "\n" not in str(caught.value)
    assert outside(folder) == []
    assert not os.path.lexists(folder.parent.parent / "evil")


def test_set_uid_bits_and_owners_do_not_arrive(pack, folder):
    unpack(pack(member("su", data=b"x", mode=0o6755, uid=12345, gid=12345)), folder, BOUNDS)

    found = (folder / "su").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o755, os.geteuid())


def test_a_bomb_of_zeros_is_refused_before_it_is_unpacked(pack, folder):
    archive = pack(member("bomb", data=bytes(64 << 20)))
    assert archive.stat().st_size < 100_000
    with pytest.raises(ArchiveRefused):
        unpack(archive, folder, BOUNDS)

    assert list(folder.iterdir()) == []


def test_a_header_that_is_a_bomb_is_not_read(tmp_path, folder):
    """A header of an extended name is read at once by the library, whatever it says its size is."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 512 << 20
    with gzip.open(tmp_path / "bomb.tar", "wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(16):
            file.write(bytes(1 << 20))
    with pytest.raises(ArchiveRefused, match="header"):
        unpack(tmp_path / "bomb.tar", folder, BOUNDS)


@pytest.mark.parametrize("cut", [10, 300, 700])
def test_an_archive_that_is_cut_off_is_refused(pack, folder, cut):
    archive = pack(member("a", data=os.urandom(2000)), member("b", data=os.urandom(2000)))
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(ArchiveRefused):
        unpack(archive, folder, BOUNDS)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no tar", b"\x1f\x8b nor is this", os.urandom(5000)])
def test_what_is_no_archive_is_refused(tmp_path, folder, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ArchiveRefused):
        unpack(tmp_path / "x", folder, BOUNDS)
