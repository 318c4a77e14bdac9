"""Servers."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from myx_gateway.schemas.agents import Agent
from myx_gateway.schemas.common import Answer, Body, Name, Text, plain
from myx_gateway.schemas.credentials import NewSecret
from myx_gateway.schemas.ssh import HostKey, NewSsh, Ssh

_NAME_RULE = "Unique; 1 to 63 characters of `a-z`, `0-9`, `-`, `_` and `.`, beginning with a letter or digit."
_CREDENTIAL_RULE = "A login of this server alone. Write-only."


class RepairPolicy(StrEnum):
    """What MyX does when an agent is broken on a host that is well."""

    AUTOMATIC = "automatic"
    ASK = "ask"
    OFF = "off"


_Policy = Annotated[RepairPolicy, Field(strict=False)]
_Labels = Annotated[dict[Text, Text], Field(max_length=64)]


class Maintenance(Answer):
    """Who has the exclusive right to change the agent of a server."""

    holder: str = Field(description="Id of a deployment.")
    kind: str
    actor: str
    since: datetime | None
    expires_at: datetime | None


class CheckPause(Answer):
    """The agent is not checked until a time."""

    since: datetime | None
    until: datetime | None
    reason: str
    actor: str


class Server(Answer):
    """A managed host."""

    id: str
    name: str
    address: str
    labels: dict[str, str]
    ssh: Ssh
    host_key: HostKey | None = Field(description="The SSH host key that is trusted.")
    accept_new_host_key: bool
    repair_policy: RepairPolicy
    maintenance: Maintenance | None
    pause: CheckPause | None
    created_at: datetime | None
    updated_at: datetime | None
    etag: str
    agent: Agent | None


class ServerPage(Answer):
    """One page of servers, by name."""

    items: list[Server]
    next_page_token: str | None


class ServerCounts(Answer):
    """Servers in numbers."""

    total: int
    by_status: dict[str, int] = Field(
        description="Servers by the status of their agent, `no_agent` for those without; none that would be 0."
    )
    paused: int = Field(description="How many of them are not checked for now.")


class NewServer(Body):
    """A server to add."""

    name: Name = Field(description=_NAME_RULE)
    address: Name = Field(description="Host name or IP address, without port.")
    labels: _Labels = Field(default_factory=dict)
    ssh: NewSsh = Field(default_factory=NewSsh)
    credential: NewSecret | None = Field(default=None, description=_CREDENTIAL_RULE)
    host_key_fingerprint: Annotated[str, Field(max_length=255), AfterValidator(plain)] = Field(
        default="", description="`SHA256:…` of the host key to trust; empty: none yet."
    )
    accept_new_host_key: bool = Field(default=False, description="Trust the key of the first contact.")
    repair_policy: _Policy = RepairPolicy.AUTOMATIC


_CHANGEABLE: Final = ("name", "address", "labels", "ssh", "repair_policy", "accept_new_host_key")


class ServerChanges(Body):
    """What to change; a field that is not there or null stays. `labels` and `ssh` are replaced as a whole.

    `credential` is the exception: null removes the server's own.
    """

    name: Name | None = Field(default=None, description=_NAME_RULE)
    address: Name | None = None
    labels: _Labels | None = None
    ssh: NewSsh | None = None
    credential: NewSecret | None = Field(default=None, description=f"{_CREDENTIAL_RULE} Null removes it.")
    repair_policy: _Policy | None = None
    accept_new_host_key: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.changed():
            raise ValueError(f"needs at least one of {', '.join(_CHANGEABLE)} and credential")
        return self

    def changed(self) -> list[str]:
        """Names of the fields to change, `own_credential` for the credential."""
        names = [name for name in _CHANGEABLE if getattr(self, name) is not None]
        return [*names, "own_credential"] if "credential" in self.model_fields_set else names
