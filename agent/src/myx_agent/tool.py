"""The deployment tool and pushed projects on this host: a folder for each release, one link to the current one."""

import contextlib
import ctypes
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from myx_agent.archives import ArchiveRefused
from myx_agent.config import write_private
from myx_agent.spool import layout

SHIPPED = "myx"
PROJECTS = "projects"
UNFINISHED = ".new-"
KEPT = 3
_CURRENT = "current"
_RELEASES = "releases"
_DIGEST = ".digest"
_libc = ctypes.CDLL(None, use_errno=True)


def release_folder(home: Path, sha256: str) -> Path:
    """Where an archive of this digest is unpacked."""
    return home / _RELEASES / sha256[:16]


def current(home: Path) -> Path | None:
    """The release that is current, links resolved; None when there is none."""
    release = Path(os.path.realpath(home / _CURRENT))
    return release if release.parent == Path(os.path.realpath(home / _RELEASES)) and release.is_dir() else None


def digest_of(release: Path | None) -> str | None:
    """The digest of the archive that a release was unpacked from."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return None if release is None else (release / _DIGEST).read_text(encoding="ascii").strip()
    return None


def seal(folder: Path, sha256: str) -> None:
    """Record the digest of what was unpacked and make all of it durable. Raises ArchiveRefused, OSError."""
    if os.path.lexists(folder / _DIGEST):
        raise ArchiveRefused(f"the archive has a member {_DIGEST}")
    folder.chmod(0o755)
    write_private(folder / _DIGEST, f"{sha256}\n".encode())
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(fd)


def switch(home: Path, release: Path) -> None:
    """Make a release the current one, in one step."""
    link = home / _CURRENT
    target = f"{_RELEASES}/{release.name}"
    with contextlib.suppress(OSError):
        if link.readlink() == Path(target):
            return
    fresh = home / f".{_CURRENT}.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.rename(link)
    os.utime(release)  # releases are dropped in the order of their last switch
    for folder in (release.parent, home):
        layout.fsync_path(str(folder))


def drop_old(home: Path, used: set[str]) -> None:
    """Remove the oldest releases beyond those that are kept: never the current one, nor one that a command uses."""
    present = current(home)
    releases = [path for path in (home / _RELEASES).iterdir() if not path.name.startswith(".")]
    releases.sort(key=lambda path: (path == present, path.lstat().st_mtime), reverse=True)
    for release in releases[KEPT:]:
        if str(release.resolve()) not in used and release != present:
            shutil.rmtree(release, ignore_errors=True)


def in_use(commands: Path) -> set[str]:
    """The releases that running playbooks were started from."""
    used: set[str] = set()
    for folder in _folders(commands):
        if (folder / layout.RESULT).exists():
            continue
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            used.update(json.loads((folder / layout.META).read_bytes()).get("uses", ()))
    return used


def describe(root: Path) -> dict[str, Any] | None:
    """{version, digest, projects: {name: digest}}; None when neither tool nor project is here."""
    shipped = current(root / SHIPPED)
    projects = {home.name: digest for home in _folders(root / PROJECTS) if (digest := digest_of(current(home)))}
    if shipped is None and not projects:
        return None
    return {"version": _version(shipped), "digest": digest_of(shipped), "projects": projects}


def _version(release: Path | None) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return None if release is None else (release / "VERSION").read_text(encoding="utf-8").strip()[:100]
    return None


def _folders(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from sorted(path for path in folder.iterdir() if path.is_dir())
