"""The log files of the supervised processes: written by themselves, kept short by us."""

import contextlib
import os
import shutil
from pathlib import Path

LIMIT_BYTES = 8 * 1024 * 1024
TAIL_BYTES = 2000


class Logs:
    """One file a process, and one older part of it (`NAME.log.1`): at most about twice LIMIT_BYTES each.

    The files are opened for appending, so that they can be cut short under the writer; lines written in the instant of
    the copy may be lost.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """The file of a process."""
        return self.folder / f"{name}.log"

    def open(self, name: str) -> int:
        """A descriptor that appends to it; the caller closes it."""
        return os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def tail(self, name: str) -> str:
        """The last lines, for a message."""
        with contextlib.suppress(OSError):
            return self.path(name).read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()
        return ""

    def shorten(self) -> None:
        """Move what has grown over the limit aside."""
        for path in self.folder.glob("*.log"):
            with contextlib.suppress(OSError):  # one that cannot be shortened must not keep the others long
                if path.stat().st_size > LIMIT_BYTES:
                    _set_aside(path)
                    os.truncate(path, 0)


def _set_aside(path: Path) -> None:
    """Make it the older part; on a full disk there is none then: no room for both is no reason to grow on."""
    older = path.with_name(path.name + ".1")
    try:
        shutil.copyfile(path, older)
        older.chmod(0o600)
    except OSError:
        with contextlib.suppress(OSError):
            older.unlink()
