"""Servers."""

from datetime import datetime
from typing import Self

from pydantic import Field, model_validator

from myx_gateway.schemas.agents import Agent
from myx_gateway.schemas.common import Answer, Body, Name, Text

_NAME_RULE = "Unique; 1 to 63 characters of `a-z`, `0-9`, `-`, `_` and `.`, beginning with a letter or digit."


class Server(Answer):
    """A managed host."""

    id: str
    name: str
    address: str
    labels: dict[str, str]
    created_at: datetime | None
    updated_at: datetime | None
    etag: str
    agent: Agent | None


class ServerPage(Answer):
    """One page of servers, by name."""

    items: list[Server]
    next_page_token: str | None


class NewServer(Body):
    """A server to add."""

    name: Name = Field(description=_NAME_RULE)
    address: Name = Field(description="Host name or IP address, without port.")
    labels: dict[Text, Text] = Field(default_factory=dict, max_length=64)


class ServerChanges(Body):
    """What to change; a field that is not there stays, `labels` are replaced as a whole."""

    name: Name | None = Field(default=None, description=_NAME_RULE)
    address: Name | None = None
    labels: dict[Text, Text] | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.changed():
            raise ValueError("needs at least one of name, address and labels")
        return self

    def changed(self) -> list[str]:
        """Names of the fields to change; null changes nothing."""
        return [name for name in ("name", "address", "labels") if getattr(self, name) is not None]
