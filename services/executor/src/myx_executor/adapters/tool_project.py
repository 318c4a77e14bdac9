"""Archives that users push: read with suspicion, unpacked by hand."""

import gzip
import hashlib
import os
import posixpath
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from myx_kit.errors import InvalidArgument

MAX_ARCHIVE_BYTES = 20 << 20
MAX_UNPACKED_BYTES = 100 << 20
MAX_MEMBERS = 5000
_MAX_NAME = 300
_HEADERS_BYTES = 16 << 20
# Links on the way of one target; the kernel follows as many (path_resolution(7)).
_MAX_FOLLOWED = 40


@dataclass(frozen=True, slots=True)
class ProjectCheck:
    """What a pushed archive holds."""

    digest: str
    size: int
    files: int
    playbooks: tuple[str, ...]


def check_project(archive: Path) -> ProjectCheck:
    """Reads a pushed tar.gz through.

    InvalidArgument `PROJECT_TOO_LARGE`, `PROJECT_INVALID`, `PROJECT_UNSAFE`, `PROJECT_EMPTY`.
    """
    size = archive.stat().st_size
    if size > MAX_ARCHIVE_BYTES:
        raise _too_large(f"the archive has {size} bytes, at most {MAX_ARCHIVE_BYTES} are taken")
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    files, links, folders, unpacked = set[str](), dict[str, str](), set[str](), 0
    with _opened(archive) as tar:
        for member, name in _members(tar):
            unpacked += member.size
            if unpacked > MAX_UNPACKED_BYTES:
                raise _too_large(f"unpacked it has more than {MAX_UNPACKED_BYTES} bytes")
            if name in files or name in links or (name in folders and not member.isdir()):
                raise _unsafe(f"{name} is in it twice")
            if member.issym():
                links[name] = member.linkname
            else:
                (folders if member.isdir() else files).add(name)
    leaves = files | links.keys()
    _nothing_below(leaves, leaves | folders)
    _links_stay(links)
    playbooks = sorted(
        posixpath.basename(name) for name in files if posixpath.dirname(name) == "playbooks" and name.endswith(".yml")
    )
    if not playbooks:
        raise InvalidArgument("PROJECT_EMPTY", "there is no playbooks/*.yml in the archive", field="archive")
    return ProjectCheck(digest, size, len(files), tuple(playbooks))


def unpack_project(archive: Path, folder: Path) -> None:
    """Unpacks an archive that check_project accepts into a new folder; never outside of it."""
    folder.mkdir(mode=0o755)
    links = dict[str, str]()
    with _opened(archive) as tar:
        for member, name in _members(tar):
            path = folder / name
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            if not path.parent.resolve().is_relative_to(folder.resolve()):
                raise _unsafe(f"{name} leaves the project")
            if member.isdir():
                path.mkdir(mode=0o755, exist_ok=True)
            elif member.issym():
                links[name] = member.linkname
                path.symlink_to(member.linkname)
            else:
                _write(tar, member, path)
    _links_stay(links)
    for name in links:
        if not Path(os.path.realpath(folder / name)).is_relative_to(folder.resolve()):
            raise _unsafe(f"the link {name} leaves the project")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    mode = 0o755 if member.mode & 0o100 else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as out:
        source = tar.extractfile(member)
        if source is not None:
            shutil.copyfileobj(source, out)


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with (
            archive.open("rb") as file,
            gzip.GzipFile(fileobj=file, mode="rb") as unzipped,
            tarfile.open(fileobj=_Bounded(unzipped), mode="r|", errorlevel=2) as tar,  # type: ignore[call-overload]
        ):
            yield tar
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, UnicodeError, OverflowError):
        raise InvalidArgument("PROJECT_INVALID", "the archive is no whole tar.gz", field="archive") from None


class _Bounded:
    """Reads no more than an archive may unpack to, whatever its headers say."""

    def __init__(self, source: BinaryIO | gzip.GzipFile) -> None:
        self._source = source
        self._left = MAX_UNPACKED_BYTES + _HEADERS_BYTES

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(f"unpacked it has more than {MAX_UNPACKED_BYTES} bytes")
        return data


def _members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Members with names that stay inside. InvalidArgument for anything else."""
    for count, member in enumerate(tar):
        if count >= MAX_MEMBERS:
            raise _too_large(f"it has more than {MAX_MEMBERS} members")
        name = posixpath.normpath(member.name)
        if not _stays(name) or member.name.startswith("/"):
            raise _unsafe(f"{member.name[:_MAX_NAME]} leaves the project")
        if not (member.isreg() or member.isdir() or member.issym()):
            raise _unsafe(f"{name} is neither a file nor a folder nor a symbolic link")
        if member.issym() and not _stays(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))):
            raise _unsafe(f"the link {name} leaves the project")
        if member.issym() and member.linkname.startswith("/"):
            raise _unsafe(f"the link {name} leaves the project")
        if name != ".":
            yield member, name


def _stays(name: str) -> bool:
    return name != ".." and not name.startswith(("../", "/")) and len(name) <= _MAX_NAME and "\0" not in name


def _nothing_below(leaves: set[str], names: set[str]) -> None:
    """No member may be reached through a file or a link: its real place would be another one."""
    for name in names:
        parent = posixpath.dirname(name)
        while parent:
            if parent in leaves:
                raise _unsafe(f"{name} lies below {parent}, which is no folder")
            parent = posixpath.dirname(parent)


def _links_stay(links: Mapping[str, str]) -> None:
    """What comes after a link in a target is looked for where that link leads, which the words alone do not tell.

    The last part of a target need not be followed: if it is a link too, it has a turn of its own.
    """
    for name, target in links.items():
        place = [part for part in posixpath.dirname(name).split("/") if part]
        ahead, followed = target.split("/")[::-1], 0
        while ahead:
            through = links.get("/".join(place))
            if through is not None:
                followed += 1
                if followed > _MAX_FOLLOWED:
                    raise _unsafe(f"the link {name} leads through too many others")
                place.pop()
                ahead += through.split("/")[::-1]
                continue
            part = ahead.pop()
            if part == ".." and not place:
                raise _unsafe(f"the link {name} leaves the project by way of another one")
            if part == "..":
                place.pop()
            elif part not in {"", "."}:
                place.append(part)


def _too_large(message: str) -> InvalidArgument:
    return InvalidArgument("PROJECT_TOO_LARGE", message, field="archive")


def _unsafe(message: str) -> InvalidArgument:
    return InvalidArgument("PROJECT_UNSAFE", message, field="archive")
