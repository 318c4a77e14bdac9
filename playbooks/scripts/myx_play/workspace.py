"""A private folder for one play, in memory where there is such a place; gone when the play is."""

import configparser
import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path

from myx_play.document import Document

PREFIX = "myx-play-"
_PLACES = ("/dev/shm", "/run", "/var/lib/myx-agent", "/tmp")  # noqa: S108 - private folders made in them
_TRIES = 100
_SWITCHES = (
    "gathering", "gather_subset", "gather_timeout", "force_handlers", "hash_behaviour", "forks", "timeout",
    "any_errors_fatal", "display_skipped_hosts", "display_ok_hosts", "max_diff_size", "module_lang",
)  # fmt: skip
_PATHS = (
    "roles_path", "library", "module_utils", "action_plugins", "filter_plugins", "lookup_plugins", "test_plugins",
    "vars_plugins", "collections_path",
)  # fmt: skip


class Workspace:
    """Made with mode 700 and held by a lock, so that what a killed play left is told from what is in use."""

    def __init__(self, parent: str | None) -> None:
        places = (parent,) if parent else _PLACES
        made = next((made for place in places if (made := _make(place)) is not None), None)
        self.path, self._lock = made or _fail(places)

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        return path

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def sweep(parent: str | None) -> None:
    """Remove what killed plays left, never the folder of a living one nor another user's."""
    for place in (parent,) if parent else _PLACES:
        for path in Path(place).glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                if path.is_symlink() or not path.is_dir() or path.stat().st_uid != os.geteuid():
                    continue
                lock = _hold(path)
                if lock is not None:
                    shutil.rmtree(path, ignore_errors=True)
                    os.close(lock)


def inventory(document: Document) -> str:
    """One host, and its name is localhost however it is reached: "local" never means the control plane."""
    host: dict[str, str] = {"ansible_connection": document.connection.type}
    if document.connection.type == "myx":
        host |= {"ansible_myx_socket": document.connection.socket, "ansible_host": "localhost"}
    return json.dumps({"all": {"hosts": {"localhost": host}}})


def settings(document: Document) -> str:
    """Ansible's configuration: ours, and of the project's file only harmless switches and paths inside the project."""
    ours = configparser.RawConfigParser()
    ours["defaults"] = _from_project(document.project_dir)
    return _text(ours)


def _from_project(project: Path) -> dict[str, str]:
    theirs = configparser.RawConfigParser(strict=False)
    with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):
        theirs.read(project / "ansible.cfg", encoding="utf-8")
    given = dict(theirs["defaults"]) if theirs.has_section("defaults") else {}
    values = {key: given[key] for key in _SWITCHES if key in given}
    values |= {"roles_path": "roles", "collections_path": "collections"}
    values |= {key: given[key] for key in _PATHS if key in given}
    for key in _PATHS:
        inside = [str(path) for part in values.pop(key, "").split(":") if (path := _inside(project, part)) is not None]
        if inside:
            values[key] = ":".join(inside)
    return values


def _inside(project: Path, part: str) -> Path | None:
    if not part.strip():
        return None
    path = (project / part.strip()).resolve()
    return path if path.is_relative_to(project) and path.is_dir() else None


def _text(parser: configparser.RawConfigParser) -> str:
    lines = []
    for section in parser.sections():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in parser[section].items())]
    return "\n".join(lines) + "\n"


def _make(place: str | None) -> tuple[Path, int] | None:
    """A new folder in `place` and the lock on it; None when there can be none."""
    if place and Path(place).is_dir() and os.access(place, os.W_OK | os.X_OK):
        with contextlib.suppress(OSError):
            for _ in range(_TRIES):
                path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
                if (lock := _hold_new(path)) is not None:
                    return path, lock
    return None


def _hold_new(path: Path) -> int | None:
    """None when another play, which begins at this moment, has swept the folder before it was held."""
    with contextlib.suppress(FileNotFoundError):
        lock = _hold(path)
        if lock is not None:
            if path.is_dir():
                return lock
            os.close(lock)
    return None


def _hold(path: Path) -> int | None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def _fail(places: tuple[str | None, ...]) -> tuple[Path, int]:
    raise OSError(f"no folder can be made in any of {', '.join(map(str, places))}")
