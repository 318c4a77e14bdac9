"""How hosts are reached over SSH."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from myx_gateway.schemas.common import Answer, Body, Name, plain

_Plain = Annotated[str, Field(max_length=255), AfterValidator(plain)]


class SudoMode(StrEnum):
    """How a login becomes root; `auto`: root without it, everybody else by sudo."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class NewSsh(Body):
    """SSH settings, given as a whole."""

    address: _Plain = Field(default="", description="Empty: the server's address.")
    port: int = Field(default=22, ge=1, le=65535)
    user: _Plain = Field(default="", description="Empty: the credential's.")
    credential: _Plain = Field(default="", description="Id or name of a shared credential; empty: the server's own.")
    sudo: Annotated[SudoMode, Field(strict=False)] = SudoMode.AUTO
    jump_servers: list[Name] = Field(
        default_factory=list, max_length=8, description="Servers that the connection goes through, in order."
    )


class Ssh(Answer):
    """SSH settings."""

    address: str
    port: int
    user: str
    credential: str
    sudo: SudoMode
    jump_servers: list[str]
    has_credential: bool = Field(description="Whether there is a credential, own or shared.")


class HostKey(Answer):
    """A host key that is trusted."""

    fingerprint: str
    public_key: str = Field(description="OpenSSH line; empty until the key was seen.")
    accepted_at: datetime | None
    accepted_by: str
    how: str = Field(description="`fingerprint` (given), `accepted` (after a look) or `first_contact`.")


class ShownKey(Answer):
    """The host key that a host shows now."""

    fingerprint: str
    public_key: str


class HostKeyState(Answer):
    """What is trusted and, after a scan, what the host shows."""

    trusted: HostKey | None
    shown: ShownKey | None = Field(description="Null without `scan`.")
    matches: bool | None = Field(description="Whether the two are the same; null when one of them is missing.")


class TrustKey(Body):
    """The host key to trust from now on, in place of any other."""

    fingerprint: Name = Field(description="`SHA256:…` as OpenSSH prints it.")
