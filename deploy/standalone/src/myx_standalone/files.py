"""The folder of the state and the secrets in it."""

import secrets
from pathlib import Path

from myx_kit.files import read_private, write_private
from myx_standalone.errors import StandaloneError


def private_folder(path: Path) -> Path:
    """Make the folder (and its parents) if missing, and close it to everybody else. StandaloneError: it cannot be."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise StandaloneError(f"{path} cannot be made or closed to others: {error.strerror}") from error
    return path


def secret_in(path: Path) -> str:
    """The secret kept in `path`; made (43 URL-safe characters) when the file is not there."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
    path.chmod(0o600)
    return read_private(path)
