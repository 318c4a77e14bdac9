"""Unpacking archives that may be hostile: nothing lands outside of the folder, nothing is bounded by trust alone."""

import gzip
import os
import posixpath
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

_GZIP = b"\x1f\x8b"
_PIECE = 1 << 20
_LARGEST_READ = 4 << 20
_MAX_NAME_BYTES = 1024
_MAX_DEPTH = 32


class ArchiveRefused(Exception):
    """One line that says what is wrong with the archive."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much an archive may hold."""

    total_bytes: int
    members: int


def unpack(archive: Path, folder: Path, bounds: Bounds) -> None:
    """Unpack a tar, gzipped or plain, into an empty folder. Raises ArchiveRefused, OSError.

    Files become 644 or 755, folders 755, all of them ours. Symbolic links must stay inside and nothing is unpacked
    through one; devices, pipes, sparse files, other links and names twice are refused.
    """
    try:
        with archive.open("rb") as raw:
            _unpack(_Bounded(raw, bounds.total_bytes), folder, bounds)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise ArchiveRefused(f"the archive cannot be read: {error}") from None
    except OSError as error:
        if error.errno is None:
            raise ArchiveRefused(f"the archive cannot be read: {error}") from None
        raise


class _Bounded:
    """An archive's plain bytes, of which no more can be had than allowed, at once or in all."""

    def __init__(self, raw: IO[bytes], total_bytes: int) -> None:
        gzipped = raw.read(2) == _GZIP
        raw.seek(0)
        self._source: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="rb")) if gzipped else raw
        self._limit = total_bytes + (total_bytes >> 3) + (1 << 20)  # headers and padding

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _LARGEST_READ:
            raise ArchiveRefused("the archive has a header that is too large")
        self._check(self._source.tell() + size)
        return self._source.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._check(offset)
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise ArchiveRefused("the archive holds too much")


def _unpack(source: _Bounded, folder: Path, bounds: Bounds) -> None:
    links: dict[str, str] = {}
    total = 0
    with tarfile.open(fileobj=cast("Any", source), mode="r:") as tar:
        for number, member in enumerate(tar):
            if number >= bounds.members:
                raise ArchiveRefused(f"the archive has more than {bounds.members} members")
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            name = _safe_name(member.name)
            total += member.size if member.isreg() else 0
            if total > bounds.total_bytes:
                raise ArchiveRefused(f"the archive holds more than {bounds.total_bytes} bytes")
            if name:
                _unpack_member(tar, member, name, folder, links)
    _check_links(folder, links)


def _unpack_member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, name: str, folder: Path, links: dict[str, str]
) -> None:
    for parent in _parents(name):
        if parent in links:
            raise ArchiveRefused(f"{name} lies behind the link {parent}")
    target = folder / name
    try:
        if member.isdir():
            target.mkdir(mode=0o755, parents=True, exist_ok=True)
            return
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if member.issym():
            links[name] = _safe_link(name, member.linkname)
            target.symlink_to(member.linkname)
        elif member.isreg() and not member.issparse():
            _write(cast("IO[bytes]", tar.extractfile(member)), target, member)
        else:
            raise ArchiveRefused(f"{name} is neither a file nor a folder")
    except (FileExistsError, NotADirectoryError):
        raise ArchiveRefused(f"{name} is there twice") from None


def _write(source: IO[bytes], target: Path, member: tarfile.TarInfo) -> None:
    mode = 0o755 if member.mode & 0o100 else 0o644
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, mode), "wb") as file:
        shutil.copyfileobj(source, file, _PIECE)
        if file.tell() != member.size:
            raise ArchiveRefused("the archive is cut off")
        os.fchmod(file.fileno(), mode)


def _safe_name(name: str) -> str:
    """The name as a relative path without dots; empty for the archive's root."""
    if name.startswith("/") or "\0" in name or len(name.encode(errors="surrogateescape")) > _MAX_NAME_BYTES:
        raise ArchiveRefused(f"the name {name[:80]!r} is not allowed")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts or len(parts) > _MAX_DEPTH:
        raise ArchiveRefused(f"the name {name[:80]!r} leaves its folder")
    return "/".join(parts)


def _safe_link(name: str, target: str) -> str:
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if not target or target.startswith("/") or "\0" in target or inside.split("/")[0] == "..":
        raise ArchiveRefused(f"the link {name} leaves its folder")
    return target


def _check_links(folder: Path, links: dict[str, str]) -> None:
    """By what they really lead to: a way up through another link is not seen in the text."""
    root = folder.resolve()
    for name in links:
        if not Path(os.path.realpath(folder / name)).is_relative_to(root):
            raise ArchiveRefused(f"the link {name} leaves its folder")


def _parents(name: str) -> Iterator[str]:
    parts = name.split("/")
    for count in range(1, len(parts)):
        yield "/".join(parts[:count])
