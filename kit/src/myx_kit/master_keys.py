"""Changes of a master key file: add a key, choose the one that seals, drop one. No reader ever sees half of one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from myx_kit.errors import FailedPrecondition
from myx_kit.files import write_private
from myx_kit.secretbox import KeyRing

_KEY_BYTES = 32


def add_key(path: Path, *, primary: bool = True) -> str:
    """Id (with the date in it) of a new random key in the file; with `primary` it seals from now on.

    FailedPrecondition for a bad, exposed or unwritable file, which stays as it was.
    """
    with _changing(path) as ring:
        key_id = _new_id(ring)
        _write(path, KeyRing({**ring.keys, key_id: os.urandom(_KEY_BYTES)}, key_id if primary else ring.primary))
    return key_id


def use_key(path: Path, key_id: str) -> None:
    """Make a key of the file the one that seals. FailedPrecondition `MASTER_KEY_UNKNOWN`, and as `add_key`."""
    with _changing(path) as ring:
        _check_known(ring, key_id)
        if ring.primary != key_id:
            _write(path, KeyRing(ring.keys, key_id))


def drop_key(path: Path, key_id: str) -> None:
    """Take a key out of the file; what is sealed with it is lost, so look first.

    FailedPrecondition `MASTER_KEY_UNKNOWN`, `MASTER_KEY_IN_USE` for the primary one, and as `add_key`.
    """
    with _changing(path) as ring:
        _check_known(ring, key_id)
        if ring.primary == key_id:
            raise FailedPrecondition(
                "MASTER_KEY_IN_USE", f"{key_id} is the key that seals; make another one primary first"
            )
        _write(path, KeyRing({known: key for known, key in ring.keys.items() if known != key_id}, ring.primary))


@contextmanager
def _changing(path: Path) -> Iterator[KeyRing]:
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        # Two changes at once would lose a key that is already in use.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield KeyRing.read(path)
    finally:
        os.close(descriptor)


def _write(path: Path, ring: KeyRing) -> None:
    try:
        owner = path.stat()
        write_private(path, ring.text())
        if owner.st_uid != os.geteuid():
            os.chown(path, owner.st_uid, owner.st_gid)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # After a power cut there must be no row whose key is not in the file.
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unwritable(path, error) from None


def _new_id(ring: KeyRing) -> str:
    # With chance in it: an id that a dropped key had must never come back with another key.
    while (key_id := f"k{datetime.now(UTC):%Y%m%d}-{os.urandom(3).hex()}") in ring.keys:
        pass
    return key_id


def _check_known(ring: KeyRing, key_id: str) -> None:
    if key_id not in ring.keys:
        raise FailedPrecondition(
            "MASTER_KEY_UNKNOWN", f"the file has no key {key_id[:64]}; it has {', '.join(ring.keys)}"
        )


def _unwritable(path: Path, error: OSError) -> FailedPrecondition:
    return FailedPrecondition("MASTER_KEY_UNWRITABLE", f"cannot change {path}: {error.strerror}", path=str(path))
