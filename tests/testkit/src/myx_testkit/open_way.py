"""Lets another user reach the interpreter and the checkout where these lie below folders that only root can enter."""

import shlex
import stat
import sys
from pathlib import Path


def prefix_as(uid: int, gid: int, needed: list[Path]) -> list[str]:
    """Words to put before a command line: run it as this user, in a private view of the file system.

    In that view each closed folder on the way to a needed one is covered by an empty one (mode 755) in which only the
    needed folder is mounted. Nothing outside changes.
    """
    script = ["mount --make-rprivate /", "mkdir -p /run/open-way", "mount -t tmpfs -o mode=755 tmpfs /run/open-way"]
    closed = {folder: top for folder in needed if (top := _closed_above(folder)) is not None}
    places = {}
    for number, folder in enumerate(closed):
        places[folder] = f"/run/open-way/{number}"
        script += [f"mkdir {places[folder]}", f"mount --bind {shlex.quote(str(folder))} {places[folder]}"]
    script += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(top))}" for top in sorted(set(closed.values()))]
    for folder, place in places.items():
        there = shlex.quote(str(folder))
        script += [f"mkdir -p {there}", f"mount --bind {place} {there}"]
    script.append(f'exec setpriv --reuid={uid} --regid={gid} --init-groups "$@"')
    return ["unshare", "--mount", "sh", "-ec", "\n".join(script), "sh"]


def needed_folders() -> list[Path]:
    """Where the interpreter, the environment and the checkout are."""
    checkout = Path(__file__).resolve().parents[4]
    folders = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), checkout}
    return sorted(
        folder for folder in folders if not any(folder != other and folder.is_relative_to(other) for other in folders)
    )


def _closed_above(folder: Path) -> Path | None:
    """The outermost folder on the way to this one that others cannot enter."""
    for place in reversed(folder.parents):
        if not stat.S_IMODE(place.stat().st_mode) & stat.S_IXOTH:
            return place
    return None
