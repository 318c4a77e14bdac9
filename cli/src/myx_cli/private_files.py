"""Files that hold secrets: read only when nobody else could have read or written them, and written so."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from myx_cli.errors import Failure

LIMIT_BYTES = 1024 * 1024


def read_private(path: Path, missing: str = "") -> bytes:
    """The content. Failure: `missing` when there is no such file, else what is wrong with it."""
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid != os.geteuid():
                raise Failure(
                    f"{path} belongs to another user (uid {facts.st_uid}): it is not used; run myx as that user"
                )
            if stat.S_IMODE(facts.st_mode) & 0o077:
                raise Failure(f"{path} can be read or changed by other users: it is not used; chmod 600 it")
            return file.read(LIMIT_BYTES)
    except FileNotFoundError:
        raise Failure(missing or f"{path} does not exist") from None
    except OSError as error:
        raise Failure(f"{path} cannot be read: {why_unreadable(error)}") from None


def write_private(path: str | Path, text: str) -> None:
    """A new file that nobody else can read. Failure; nothing of it is left then."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror or 'unwritable'}") from None
    try:
        with open(descriptor, "w") as file:  # noqa: PTH123 (a descriptor)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            Path(path).unlink()
        raise Failure(f"{path} cannot be written: {error.strerror or 'unwritable'}") from None


def why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    """The reason in words."""
    return (error.strerror or "unreadable") if isinstance(error, OSError) else "not text"
