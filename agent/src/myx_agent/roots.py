"""The named folders that files may be put into, and paths below them that cannot leave."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from myx_agent.config import Config
from myx_agent.jsonrpc import invalid_param

UPLOADS = ".uploads"
_MAX_PATH = 1024
_MAX_NAME = 255
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def roots_of(config: Config) -> dict[str, Path]:
    """Root name to folder."""
    return {
        "deployment-tool": Path(config.deployment_tool_dir),
        "agent-staging": Path(config.staging_dir),
        "files": Path(config.files_dir),
    }


def parts_of(path: str) -> list[str]:
    """The names on the way to a file below a root. Raises RpcError (-32602)."""
    parts = path.split("/")
    if len(os.fsencode(path)) > _MAX_PATH or any(len(os.fsencode(part)) > _MAX_NAME for part in parts):
        raise invalid_param("path", "is too long")
    if "\0" in path or any(part in {"", ".", ".."} for part in parts) or parts[0] == UPLOADS:
        raise invalid_param("path", "must be relative, without '.', '..' and empty names")
    return parts


@contextlib.contextmanager
def opened(root: Path, names: list[str]) -> Iterator[int]:
    """A descriptor of a folder below a root, made (700) where it is missing; no link on the way is followed.

    Raises RpcError (-32602) where something else than a folder is in the way, OSError.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
            try:
                below = os.open(name, _FOLDER, dir_fd=folder)
            except OSError as error:
                if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                    raise invalid_param("path", f"has {name!r} in the way, which is no folder") from None
                raise
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)
