"""SSH private keys as they are given: whether they can be used, and the fingerprint of their public half."""

import asyncio
import base64
import binascii
import hashlib
import re
from concurrent.futures import Executor
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from myx_kit.errors import InvalidArgument
from myx_registry.domain.credentials import CredentialSecret, credential_invalid

_OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"
_PEM = re.compile(r"-----BEGIN ((RSA |EC |ENCRYPTED )?PRIVATE KEY)-----\n")
_OPENSSH_MAGIC: Final = b"openssh-key-v1\0"
_RSA_BITS: Final = range(1024, 16385)
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
# What a passphrase may cost: the sender chooses the rounds, we pay for them. ssh-keygen takes 16 to 24 and people up to
# some hundreds; OpenSSL takes 2,048 and people up to some millions.
_MAX_BCRYPT_ROUNDS: Final = 512
_MAX_PBKDF2_ROUNDS: Final = 5_000_000
_MAX_SCRYPT_COST: Final = 1 << 21
_SCRYPT_OID: Final = bytes.fromhex("2b06010401da47040b")
_INTEGER, _SEQUENCE = 0x02, 0x30

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class PrivateKeys:
    """Reads keys in a pool of threads: a passphrase is made to take long."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    async def fingerprint(self, secret: CredentialSecret, where: str) -> str:
        """`fingerprint` of the secret's key, empty for a password. Raises InvalidArgument `CREDENTIAL_INVALID`."""
        if not secret.private_key:
            return ""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, fingerprint, secret.private_key, secret.passphrase, where)


def fingerprint(text: str, passphrase: str, where: str) -> str:
    """`SHA256:…` of the public half of an OpenSSH or PEM private key (RSA, ECDSA, Ed25519).

    Raises InvalidArgument `CREDENTIAL_INVALID` that names the field below `where` and what is wrong with it. Nothing of
    the key or the passphrase is in the error, nor in what led to it.
    """
    key_field, passphrase_field = f"{where}.private_key", f"{where}.passphrase"
    encrypted = _is_encrypted(text, key_field)
    if encrypted and not passphrase:
        raise credential_invalid("This private key is encrypted: give its passphrase too.", passphrase_field)
    if passphrase and not encrypted:
        raise credential_invalid("This private key has no passphrase: leave the passphrase empty.", passphrase_field)
    load = load_ssh_private_key if text.startswith(_OPENSSH) else load_pem_private_key
    try:
        key = load(text.encode(), passphrase.encode() or None, unsafe_skip_rsa_key_validation=True)
    except UnsupportedAlgorithm:
        raise _unusable(key_field) from None
    except (ValueError, TypeError, InvalidTag, OverflowError):
        if encrypted:
            raise credential_invalid("The passphrase does not open this private key.", passphrase_field) from None
        raise _unreadable(key_field) from None
    if not isinstance(key, _PrivateKey) or not _is_usable(key):
        raise _unusable(key_field)
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _is_encrypted(text: str, field: str) -> bool:
    if text.startswith(_OPENSSH):
        return _openssh_is_encrypted(text, field)
    if text.startswith("PuTTY-User-Key-File"):
        raise credential_invalid(
            "This is a PuTTY key: export it as an OpenSSH key first (puttygen KEY.ppk -O private-openssh).", field
        )
    if text.startswith(("ssh-", "ecdsa-", "-----BEGIN PUBLIC KEY", "-----BEGIN SSH2 PUBLIC KEY")):
        raise credential_invalid("This is a public key; its private half is needed.", field)
    match = _PEM.match(text)
    if match is None:
        raise _unreadable(field)
    if match[1] != "ENCRYPTED PRIVATE KEY":
        return text[match.end() :].startswith("Proc-Type: 4,ENCRYPTED")
    _check_kdf_cost(_body(text), field)
    return True


def _openssh_is_encrypted(text: str, field: str) -> bool:
    body = _body(text)
    if not body.startswith(_OPENSSH_MAGIC):
        raise _unreadable(field)
    rest = body[len(_OPENSSH_MAGIC) :]
    _, rest = _take_string(rest)
    kdf, rest = _take_string(rest)
    options, _ = _take_string(rest)
    if kdf == b"bcrypt":
        _, rounds = _take_string(options)
        if not 1 <= int.from_bytes(rounds[:4]) <= _MAX_BCRYPT_ROUNDS:
            raise _too_costly(field)
    return kdf != b"none"


def _take_string(data: bytes) -> tuple[bytes, bytes]:
    end = 4 + int.from_bytes(data[:4])
    return data[4:end], data[end:]


def _body(text: str) -> bytes:
    try:
        return base64.b64decode("".join(line for line in text.splitlines() if not line.startswith("-----")))
    except (ValueError, binascii.Error):
        return b""


def _check_kdf_cost(der: bytes, field: str) -> None:
    # EncryptedPrivateKeyInfo: a sequence whose first element, the algorithm, holds the numbers that decide the cost.
    algorithm = _first_element(_first_element(der))
    numbers = _integers(algorithm, depth=0)
    if _SCRYPT_OID in algorithm:
        cost = 1
        for number in numbers:
            cost *= max(number, 1)
        too_costly = cost > _MAX_SCRYPT_COST
    else:
        too_costly = any(number > _MAX_PBKDF2_ROUNDS for number in numbers)
    if too_costly:
        raise _too_costly(field)


def _first_element(der: bytes) -> bytes:
    return next(iter(_elements(der)), (0, b""))[1]


def _integers(der: bytes, depth: int) -> list[int]:
    found: list[int] = []
    for tag, content in _elements(der):
        if tag == _INTEGER:
            found.append(int.from_bytes(content))
        elif tag == _SEQUENCE and depth < 8:
            found += _integers(content, depth + 1)
    return found


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """(tag, content) of the elements that stand in a row; those behind a damaged one are left out."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + 2 <= len(der):
        tag, length, start = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, start = int.from_bytes(der[start : start + size]), start + size
        found.append((tag, der[start : start + length]))
        at = start + length
    return found


def _is_usable(key: _PrivateKey) -> bool:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        return key.key_size in _RSA_BITS and numbers.p * numbers.q == numbers.public_numbers.n
    return not isinstance(key, ec.EllipticCurvePrivateKey) or isinstance(key.curve, _CURVES)


def _unreadable(field: str) -> InvalidArgument:
    return credential_invalid("This is no private key in OpenSSH or PEM form, or a part of it is missing.", field)


def _unusable(field: str) -> InvalidArgument:
    return credential_invalid(
        "This kind of key is not supported. Use Ed25519, ECDSA (P-256, P-384, P-521) or RSA (1024 to 16384 bits).",
        field,
    )


def _too_costly(field: str) -> InvalidArgument:
    return credential_invalid("The passphrase of this private key is made too costly: use fewer rounds.", field)
