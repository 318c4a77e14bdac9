"""Files that hold secrets."""

import os
import stat
from pathlib import Path

from myx_kit.errors import FailedPrecondition

_LIMIT_BYTES = 1 << 20


def read_private(path: Path) -> str:
    """The stripped UTF-8 text of a file that only its owner can read.

    FailedPrecondition `SECRET_FILE_UNREADABLE` when it is missing, empty or no text, `SECRET_FILE_EXPOSED` when
    group or others can reach it. A file of root that the group may read is accepted from a process that is not root: so
    Kubernetes mounts secrets (fsGroup).
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_LIMIT_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not text"
        raise FailedPrecondition("SECRET_FILE_UNREADABLE", f"cannot read {path}: {cause}", path=str(path)) from None
    if not content:
        raise FailedPrecondition("SECRET_FILE_UNREADABLE", f"{path} is empty", path=str(path))
    mode = stat.S_IMODE(status.st_mode)
    mounted_by_root = status.st_uid == 0 and os.geteuid() != 0
    if mode & (0o037 if mounted_by_root else 0o077) or status.st_uid not in {0, os.geteuid()}:
        message = f"{path} must belong to this user and have mode 600 (it has {mode:o})"
        raise FailedPrecondition("SECRET_FILE_EXPOSED", message, path=str(path))
    return content


def write_private(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Put `content` at `path` with `mode`, as a whole or not at all: no reader ever sees a half or a wider mode."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    temporary.rename(path)
