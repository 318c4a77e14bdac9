"""Where MyX may keep its state: a folder that is not there yet, an empty one, or one that is marked as MyX's own."""

import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from myx_standalone.errors import StandaloneError

MARK = "myx-home"
MARK_TEXT = "All state of one MyX lies in this folder (MYX_HOME). MyX takes no other folder that is not empty.\n"
MARK_OF_EARLIER = Path("secrets", "admin.token")  # of homes from before there was a mark
NOBODYS = frozenset({"lost+found"})  # a fresh file system is empty all the same
ROOM_BYTES = 128 * 1024 * 1024  # an empty home takes a third of it
ANOTHER = "name another folder with MYX_HOME"


def resolved(path: Path) -> Path:
    """`path` absolute and free of links. StandaloneError: it leads nowhere."""
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError) as error:  # a loop of links, a user without home, a current folder that is gone
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StandaloneError(f"{path} is no folder ({why}): {ANOTHER}") from None


def claim(path: Path) -> None:
    """Make the folder if it is missing, mark it and close it to others (700).

    StandaloneError: it is not MyX's, not this user's, not writable, or there is no room. Then nothing was changed.
    """
    with sentences(path):
        found = _status(path)
        if found is None:
            _make(path)
        else:
            _refuse(path, found)
        path.chmod(0o700)
        if not (path / MARK).exists():
            (path / MARK).touch(0o600)
            (path / MARK).write_text(MARK_TEXT)


@contextmanager
def sentences(path: Path) -> Iterator[None]:
    """Turns an OSError into a sentence about the home at `path`."""
    try:
        yield
    except OSError as error:
        what = Path(os.fsdecode(error.filename)) if error.filename else path
        raise StandaloneError(f"{what} cannot be used ({error.strerror or error}): {ANOTHER}") from None


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _make(path: Path) -> None:
    above = next(folder for folder in path.parents if folder.exists())
    if not above.is_dir():
        raise StandaloneError(f"{path} cannot be made ({above} is a file): {ANOTHER}")
    if not os.access(above, os.W_OK | os.X_OK):
        raise StandaloneError(f"{path} cannot be made here (not writable): {ANOTHER}")
    _refuse_without_room(path, above)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _refuse(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISDIR(found.st_mode):
        raise StandaloneError(f"{path} is not a folder: {ANOTHER}")
    if found.st_uid != os.geteuid():
        raise StandaloneError(
            f"{path} belongs to {_user_name(found.st_uid)}, and this is {_user_name(os.geteuid())}: "
            f"run MyX as that user, or {ANOTHER}"
        )
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise StandaloneError(f"{path} is not writable: {ANOTHER}")
    if (path / MARK).exists() or (path / MARK_OF_EARLIER).exists():
        return
    if found.st_mode & stat.S_ISVTX:
        raise StandaloneError(f"{path} is shared with other users: {ANOTHER}")
    if any(item.name not in NOBODYS for item in path.iterdir()):
        raise StandaloneError(f"{path} is not empty and not a folder of MyX: {ANOTHER}")
    _refuse_without_room(path, path)


def _refuse_without_room(path: Path, there: Path) -> None:
    usage = shutil.disk_usage(there)
    if usage.total and usage.free < ROOM_BYTES:
        room, needed = usage.free // 1_000_000, ROOM_BYTES // 1_000_000
        raise StandaloneError(f"there is no room for {path} ({room} MB free, {needed} MB needed): {ANOTHER}")


def _user_name(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user {uid}"
