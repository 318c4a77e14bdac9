"""SSH credentials: their form, and what may be in one. Secrets are never printed."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from myx_kit.errors import InvalidArgument
from myx_registry.domain.names import is_id, is_name
from myx_registry.domain.texts import checked_line

MAX_PASSWORD: Final = 4096
# An RSA key of 16,384 bits, the largest that OpenSSH takes, has 12,700 characters.
MAX_PRIVATE_KEY: Final = 16384
MAX_LOGIN: Final = 128
MAX_USED_BY: Final = 100
_LOGIN = re.compile(r"(?!-)[^\s:\x00-\x1f\x7f-\x9f]*")


class CredentialType(StrEnum):
    """How a login is proved."""

    PASSWORD = "password"  # noqa: S105 - a word
    PRIVATE_KEY = "private_key"


@dataclass(frozen=True, slots=True)
class CredentialSecret:
    """A login with its proof; always valid (`checked_secret` makes it). `login` is empty for root."""

    login: str
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    sudo_password: str = field(default="", repr=False)

    @property
    def type(self) -> CredentialType:
        """How it proves the login."""
        return CredentialType.PRIVATE_KEY if self.private_key else CredentialType.PASSWORD

    def digest(self, *more: str) -> bytes:
        """32 bytes that are equal for equal content. Guessable where the secret is: store it sealed."""
        parts = [self.login, self.password, self.private_key, self.passphrase, self.sudo_password, *more]
        return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).digest()


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential without its secrets. Either `name` is set, or `server_id` of the one server that it belongs to.

    `used_by` are names of servers, at most MAX_USED_BY of `used_by_count`.
    """

    id: UUID
    name: str
    server_id: UUID | None
    type: CredentialType
    login: str
    has_passphrase: bool
    has_sudo_password: bool
    public_key_fingerprint: str
    revision: int
    created_at: datetime
    updated_at: datetime
    used_by: Sequence[str] = ()
    used_by_count: int = 0

    @property
    def etag(self) -> str:
        """Opaque to callers; another for one that is made anew under an old name."""
        return f"{self.id.hex[-12:]}-{self.revision}"

    def renamed(self, name: str) -> "Credential":
        """It under another name."""
        return replace(self, name=name)

    def holding(self, secret: CredentialSecret, fingerprint: str) -> "Credential":
        """It with what can be told of another secret."""
        return replace(
            self,
            type=secret.type,
            login=secret.login,
            has_passphrase=bool(secret.passphrase),
            has_sudo_password=bool(secret.sudo_password),
            public_key_fingerprint=fingerprint,
        )


def checked_credential_name(name: str) -> str:
    """The name itself: it has the form of a server's. Raises InvalidArgument `CREDENTIAL_NAME_INVALID`."""
    if not is_name(name) or is_id(name):
        raise InvalidArgument(
            "CREDENTIAL_NAME_INVALID",
            "A credential's name has 1 to 63 characters of a-z, 0-9, '-', '_' and '.', begins with a letter or digit, "
            "and has not the form of an id.",
            field="name",
        )
    return name


def checked_login(login: str, reason: str, where: str) -> str:
    """The login name itself, empty for none. Raises InvalidArgument `reason`."""
    if len(login) > MAX_LOGIN or not _LOGIN.fullmatch(login):
        raise InvalidArgument(
            reason,
            f"A login name has at most {MAX_LOGIN} characters, no spaces and no ':', and does not begin with '-'.",
            field=where,
        )
    return login


def checked_secret(
    *, login: str, password: str, private_key: str, passphrase: str, sudo_password: str, where: str
) -> CredentialSecret:
    """A valid secret, its key in normal form (whether that can be read is not looked at).

    `where` is the field that holds it. Raises InvalidArgument `CREDENTIAL_INVALID`, naming the field and no value.
    """
    if bool(password) == bool(private_key):
        raise credential_invalid("Give either a password or a private key.", where)
    if passphrase and not private_key:
        raise credential_invalid("A passphrase belongs to a private key.", f"{where}.passphrase")
    if len(private_key) > MAX_PRIVATE_KEY:
        raise credential_invalid(f"A private key has at most {MAX_PRIVATE_KEY} characters.", f"{where}.private_key")
    if private_key and (not private_key.isascii() or "\0" in private_key):
        raise credential_invalid("A private key is ASCII text.", f"{where}.private_key")
    lines = {"password": password, "passphrase": passphrase, "sudo_password": sudo_password}
    for name, text in lines.items():
        checked_line(text, MAX_PASSWORD, "CREDENTIAL_INVALID", f"{where}.{name}")
    return CredentialSecret(
        login=checked_login(login, "CREDENTIAL_INVALID", f"{where}.user"),
        private_key=_normal_key(private_key),
        **lines,
    )


def credential_invalid(why: str, where: str) -> InvalidArgument:
    """The secret cannot be used. Neither text may hold any of it."""
    return InvalidArgument("CREDENTIAL_INVALID", why, field=where)


def _normal_key(text: str) -> str:
    stripped = "\n".join(line.strip() for line in text.strip().splitlines())
    return stripped + "\n" if stripped else ""
