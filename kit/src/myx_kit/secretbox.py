"""Secrets at rest: AES-256-GCM, bound to table, column and row, under master keys that can be rotated.

Form of a sealed value: 1 byte version (1), 1 byte length of the key id, key id, 12 bytes nonce, ciphertext with tag.
"""

import base64
import binascii
import json
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from myx_kit.errors import FailedPrecondition, Internal
from myx_kit.files import read_private, write_private

_VERSION = 1
_KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ID_MAX = 64


class SecretBox:
    """Seals with the primary key and opens with every key it knows.

    `keys`: id (1–64 ASCII characters) to 32 bytes. To rotate: add a key, make it primary, seal the rows again where
    `is_current` says no, then drop the old key.
    """

    def __init__(self, keys: dict[str, bytes], primary: str) -> None:
        if primary not in keys:
            raise FailedPrecondition("MASTER_KEY_INVALID", "the primary master key is not among the keys")
        for key_id, key in keys.items():
            if not (0 < len(key_id) <= _KEY_ID_MAX and key_id.isascii()) or len(key) != _KEY_BYTES:
                raise FailedPrecondition("MASTER_KEY_INVALID", "a master key needs an ASCII id and 32 bytes")
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._primary = primary

    @classmethod
    def from_file(cls, path: Path) -> "SecretBox":
        """Read `{"primary": id, "keys": {id: base64 of 32 bytes}}`; FailedPrecondition for a bad or exposed file."""
        text = read_private(path)
        try:
            document = json.loads(text)
            keys = {key_id: base64.b64decode(key, validate=True) for key_id, key in document["keys"].items()}
            primary = document["primary"]
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            raise FailedPrecondition("MASTER_KEY_INVALID", f"{path} is not a master key file") from None
        return cls(keys, primary)

    @staticmethod
    def create_file(path: Path, key_id: str = "k1") -> None:
        """Write a key file with one new key, mode 600; an existing file is left alone."""
        if not path.exists():
            key = base64.b64encode(os.urandom(_KEY_BYTES)).decode()
            write_private(path, json.dumps({"primary": key_id, "keys": {key_id: key}}) + "\n")

    def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> bytes:
        """`plaintext` encrypted for that one place; nothing else opens it."""
        key_id = self._primary.encode()
        header = bytes([_VERSION, len(key_id)]) + key_id
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + self._keys[self._primary].encrypt(nonce, plaintext, _place(table, column, row))

    def open(self, sealed: bytes, *, table: str, column: str, row: str) -> bytes:
        """What was sealed for that place; Internal `SECRET_UNREADABLE` when altered, moved, or its key is unknown."""
        key_id, start = _read_header(sealed)
        if key_id not in self._keys:
            raise Internal("SECRET_UNREADABLE", "a stored secret was sealed with a master key that is not there")
        nonce, ciphertext = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        try:
            return self._keys[key_id].decrypt(nonce, ciphertext, _place(table, column, row))
        except (InvalidTag, ValueError):
            raise Internal("SECRET_UNREADABLE", "a stored secret is damaged or belongs elsewhere") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether `sealed` was made with the primary key."""
        return _read_header(sealed)[0] == self._primary


def _place(table: str, column: str, row: str) -> bytes:
    return f"{table}.{column}:{row}".encode()


def _read_header(sealed: bytes) -> tuple[str, int]:
    if len(sealed) < 2 + _NONCE_BYTES or sealed[0] != _VERSION:
        raise Internal("SECRET_UNREADABLE", "a stored secret has an unknown form")
    end = 2 + sealed[1]
    return sealed[2:end].decode("ascii", "replace"), end
