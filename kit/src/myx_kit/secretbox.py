"""Secrets at rest: AES-256-GCM, bound to table, column and row, under master keys that can be rotated.

Form of a sealed value: 1 byte version (1), 1 byte length of the key id, key id, 12 bytes nonce, ciphertext with tag.
"""

import base64
import binascii
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from myx_kit.errors import FailedPrecondition, Internal
from myx_kit.files import read_private, write_private

_VERSION = 1
_KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ID_MAX = 64
# How often an unknown key id may make the file be read again.
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Master keys: id (1–64 ASCII characters) to 32 bytes, and the id of the one that seals. Never printed."""

    keys: Mapping[str, bytes]
    primary: str

    def __post_init__(self) -> None:
        if self.primary not in self.keys:
            raise FailedPrecondition("MASTER_KEY_INVALID", "the primary master key is not among the keys")
        for key_id, key in self.keys.items():
            if not (0 < len(key_id) <= _KEY_ID_MAX and key_id.isascii()) or len(key) != _KEY_BYTES:
                raise FailedPrecondition("MASTER_KEY_INVALID", "a master key needs an ASCII id and 32 bytes")

    def __repr__(self) -> str:
        return f"KeyRing(primary={self.primary!r}, ids={sorted(self.keys)!r})"

    @classmethod
    def read(cls, path: Path) -> "KeyRing":
        """Read `{"primary": id, "keys": {id: base64 of 32 bytes}}`; FailedPrecondition for a bad or exposed file."""
        text = read_private(path)
        try:
            document = json.loads(text)
            keys = {key_id: base64.b64decode(key, validate=True) for key_id, key in document["keys"].items()}
            primary = document["primary"]
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            raise FailedPrecondition("MASTER_KEY_INVALID", f"{path} is not a master key file") from None
        if not isinstance(primary, str):
            raise FailedPrecondition("MASTER_KEY_INVALID", f"{path} is not a master key file")
        return cls(keys, primary)

    def text(self) -> str:
        """The content of a key file."""
        keys = {key_id: base64.b64encode(key).decode() for key_id, key in self.keys.items()}
        return json.dumps({"primary": self.primary, "keys": keys}) + "\n"


class SecretBox:
    """Seals with the primary key and opens with every key it knows.

    Rotation: add a key to the file and make it primary (`myx_kit.master_keys`); a running box takes it at `reload`, or
    by itself when it meets a value that another process sealed with it. Then seal the rows again where `is_current`
    says no, and drop the old key. One object serves a process: whoever holds it sees the new keys.
    """

    def __init__(self, keys: Mapping[str, bytes], primary: str, path: Path | None = None) -> None:
        self._path = path
        self._looked_at = float("-inf")
        self._take(KeyRing(dict(keys), primary))

    @classmethod
    def from_file(cls, path: Path) -> "SecretBox":
        """The box of a key file (`KeyRing.read`); FailedPrecondition for a bad or exposed one."""
        ring = KeyRing.read(path)
        return cls(ring.keys, ring.primary, path)

    @staticmethod
    def create_file(path: Path, key_id: str = "k1") -> None:
        """Write a key file with one new key, mode 600; an existing file is left alone."""
        if not path.exists():
            write_private(path, KeyRing({key_id: os.urandom(_KEY_BYTES)}, key_id).text())

    @property
    def primary(self) -> str:
        """Id of the key that seals."""
        return self._ring.primary

    @property
    def key_ids(self) -> frozenset[str]:
        """Ids of the keys that open."""
        return frozenset(self._ring.keys)

    def reload(self) -> bool:
        """Read the key file again; whether the keys or the primary changed.

        Keys that left the file still open values until the process ends. FailedPrecondition, and all stays as it was,
        for a bad or exposed file and for one in which a known id has another key.
        """
        if self._path is None:
            return False
        self._looked_at = time.monotonic()
        found, known = KeyRing.read(self._path), self._ring
        for key_id in found.keys.keys() & known.keys.keys():
            if found.keys[key_id] != known.keys[key_id]:
                message = f"{self._path} has another key under the id {key_id} than before; a new key needs a new id"
                raise FailedPrecondition("MASTER_KEY_INVALID", message)
        merged = KeyRing({**known.keys, **found.keys}, found.primary)
        if merged == known:
            return False
        self._take(merged)
        return True

    def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> bytes:
        """`plaintext` encrypted for that one place; nothing else opens it."""
        primary, ciphers = self._ring.primary, self._ciphers
        nonce = os.urandom(_NONCE_BYTES)
        return header_of(primary) + nonce + ciphers[primary].encrypt(nonce, plaintext, _place(table, column, row))

    def open(self, sealed: bytes, *, table: str, column: str, row: str) -> bytes:
        """What was sealed for that place; Internal `SECRET_UNREADABLE` when altered, moved, or its key is unknown."""
        key_id, start = _read_header(sealed)
        cipher = self._ciphers.get(key_id) or self._cipher_of_newer_file(key_id)
        if cipher is None:
            raise Internal("SECRET_UNREADABLE", "a stored secret was sealed with a master key that is not there")
        nonce, ciphertext = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, ciphertext, _place(table, column, row))
        except (InvalidTag, ValueError):
            raise Internal("SECRET_UNREADABLE", "a stored secret is damaged or belongs elsewhere") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether `sealed` was made with the primary key."""
        return _read_header(sealed)[0] == self.primary

    def _take(self, ring: KeyRing) -> None:
        # Ciphers first: whoever reads the ring finds a cipher for its primary.
        self._ciphers = {key_id: AESGCM(key) for key_id, key in ring.keys.items()}
        self._ring = ring

    def _cipher_of_newer_file(self, key_id: str) -> AESGCM | None:
        # Another process may have read the file earlier than this one and sealed with a key that is new here.
        if time.monotonic() - self._looked_at < _LOOK_AGAIN_S:
            return None
        try:
            self.reload()
        except FailedPrecondition:
            return None
        return self._ciphers.get(key_id)


def header_of(key_id: str) -> bytes:
    """The bytes that every value sealed with this key begins with, and no other."""
    return bytes([_VERSION, len(key_id)]) + key_id.encode()


def _place(table: str, column: str, row: str) -> bytes:
    return f"{table}.{column}:{row}".encode()


def _read_header(sealed: bytes) -> tuple[str, int]:
    if len(sealed) < 2 + _NONCE_BYTES or sealed[0] != _VERSION:
        raise Internal("SECRET_UNREADABLE", "a stored secret has an unknown form")
    end = 2 + sealed[1]
    return sealed[2:end].decode("ascii", "replace"), end
