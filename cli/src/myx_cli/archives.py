"""A folder of playbooks as an archive: the same content gives the same bytes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from myx_cli.errors import UsageError
from myx_cli.places import expanded
from myx_cli.text import clean

if TYPE_CHECKING:
    from tarfile import TarFile

LIMIT_BYTES = 20 * 1024 * 1024
_MEMBERS = 10_000
_LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", ".venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".DS_Store", ".idea"}
)
_LEFT_OUT_ENDINGS = (".pyc", ".retry", ".swp", "~")
_PLAYBOOK_ENDINGS = (".yml", ".yaml")


def pack(folder: str, out: BinaryIO) -> list[str]:
    """Writes a gzipped tar of `folder` to `out`; the playbooks in it, by name.

    Names sorted, times zero, owner root, modes 755 or 644. UsageError for what is no project, what is too large, and
    links that leave the folder.
    """
    import gzip
    import tarfile

    root = expanded(folder)
    playbooks = _playbooks(root, folder)
    with (
        gzip.GzipFile("", "wb", 9, out, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for number, path in enumerate(_members(root)):
            if number >= _MEMBERS or out.tell() > LIMIT_BYTES:
                break
            _add(archive, root, path)
    if number >= _MEMBERS or out.tell() > LIMIT_BYTES:
        raise UsageError(
            f"{clean(folder)} is too large for a project: at most {LIMIT_BYTES >> 20} MiB packed and {_MEMBERS} files"
        )
    return playbooks


def _playbooks(root: Path, folder: str) -> list[str]:
    place = root / "playbooks"
    try:
        names = sorted(entry.name for entry in place.iterdir() if entry.suffix in _PLAYBOOK_ENDINGS and entry.is_file())
    except OSError:
        names = []
    if not names:
        raise UsageError(f"{clean(folder)} holds no playbooks/*.yml: is it the folder of a project?")
    return names


def _members(root: Path) -> list[Path]:
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        kept = (name for name in (*folders, *files) if name not in _LEFT_OUT and not name.endswith(_LEFT_OUT_ENDINGS))
        found += [Path(folder) / name for name in kept]
    return sorted(found, key=lambda path: path.relative_to(root).parts)


def _add(archive: "TarFile", root: Path, path: Path) -> None:
    name = path.relative_to(root).as_posix()
    if not (path.is_symlink() or path.is_dir() or path.is_file()):
        raise UsageError(f"{clean(name)} is neither file, folder nor link")
    try:
        member = archive.gettarinfo(path, name)
        member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "root", "root"
        if member.issym():
            _check_link(root, path, name)
            member.mode = 0o777
            archive.addfile(member)
        elif member.isdir():
            member.mode = 0o755
            archive.addfile(member)
        else:
            member.type, member.linkname, member.size = b"0", "", path.stat().st_size
            member.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            with path.open("rb") as file:
                archive.addfile(member, file)
    except OSError as error:
        raise UsageError(f"{clean(name)} cannot be read: {error.strerror or 'it changes'}") from None


def _check_link(root: Path, path: Path, name: str) -> None:
    target = path.readlink()
    # Path.resolve() fails on a link to itself before Python 3.13.
    if target.is_absolute() or not Path(os.path.realpath(path.parent / target)).is_relative_to(root.resolve()):
        raise UsageError(f"{clean(name)} is a link that leads out of the folder")
