"""SSH credentials. Secrets go in and never come out."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from myx_gateway.schemas.common import Answer, Body, Name, Text, plain

_Password = Annotated[Text, Field(min_length=1, max_length=4096, json_schema_extra={"writeOnly": True})]
_Key = Annotated[Text, Field(min_length=1, max_length=65536, json_schema_extra={"writeOnly": True})]
_User = Annotated[str, Field(max_length=255), AfterValidator(plain)]


class CredentialType(StrEnum):
    """How a login is proved."""

    PASSWORD = "password"  # noqa: S105 - a word
    PRIVATE_KEY = "private_key"
    UNKNOWN = "unknown"


class NewSecret(Body):
    """A login: either `password` or `private_key`. Write-only."""

    password: _Password | None = None
    private_key: _Key | None = Field(default=None, description="OpenSSH or PEM text.")
    passphrase: _Password | None = Field(default=None, description="Of the private key.")
    sudo_password: _Password | None = Field(default=None, description="Null: sudo asks for none.")
    user: _User = Field(default="", description="For servers that name none; empty: root.")

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        if (self.password is None) == (self.private_key is None):
            raise ValueError("needs exactly one of password and private_key")
        if self.passphrase is not None and self.private_key is None:
            raise ValueError("has a passphrase without private_key")
        return self


class NewCredential(Body):
    """A credential to add."""

    name: Name
    secret: NewSecret


class CredentialChanges(Body):
    """What to change; a field that is not there stays, `secret` is replaced as a whole."""

    name: Name | None = None
    secret: NewSecret | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.changed():
            raise ValueError("needs at least one of name and secret")
        return self

    def changed(self) -> list[str]:
        """Names of the fields to change; null changes nothing."""
        return [name for name in ("name", "secret") if getattr(self, name) is not None]


class Credential(Answer):
    """A shared credential without its secrets."""

    id: str
    name: str
    type: CredentialType
    user: str
    has_passphrase: bool
    has_sudo_password: bool
    public_key_fingerprint: str = Field(description="`SHA256:…`; empty for passwords.")
    used_by: list[str] = Field(description="Names of servers, at most 100.")
    used_by_count: int
    created_at: datetime | None
    updated_at: datetime | None
    etag: str


class CredentialPage(Answer):
    """One page of credentials, by name."""

    items: list[Credential]
    next_page_token: str | None
