"""Files by their digest."""

from typing import BinaryIO

from myx_cli.errors import UsageError
from myx_cli.places import expanded
from myx_cli.text import clean

_PIECE_BYTES = 1024 * 1024


def open_file(path: str, limit_bytes: int) -> tuple[BinaryIO, int]:
    """A file to send and its size. UsageError for one that cannot be read or is too large."""
    try:
        file = expanded(path).open("rb")
        size = file.seek(0, 2)
    except OSError as error:
        raise UsageError(f"{clean(path)} cannot be read: {error.strerror or 'unreadable'}") from None
    if not 0 < size <= limit_bytes:
        file.close()
        raise UsageError(f"{clean(path)} {'is empty' if not size else f'is larger than {limit_bytes >> 20} MiB'}")
    return file, size


def sha256_of(file: BinaryIO) -> str:
    """Lower-case hex SHA-256 of the whole file."""
    from hashlib import sha256

    digest = sha256()
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()
