"""Rows about who may come in, as the rest of the gateway sees them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

# What a unit of work gives, for those who hand it on and make no statement themselves.
Connection: TypeAlias = AsyncConnection
# (role, selector), as they stand in the row.
GrantRow: TypeAlias = tuple[str, str]


class Kind(StrEnum):
    """What a user is: a person logs in with a password, a program comes with API tokens only."""

    PERSON = "person"
    PROGRAM = "program"


@dataclass(frozen=True)
class User:
    """Somebody who may come in."""

    id: UUID
    name: str
    display_name: str
    kind: Kind
    grants: tuple[GrantRow, ...]
    disabled: bool
    revision: int
    created_at: datetime
    last_login_at: datetime | None

    @property
    def principal(self) -> str:
        """How records name this user."""
        return f"user:{self.name}"

    @property
    def etag(self) -> str:
        """Changes with every change that somebody makes to the user."""
        return f"r{self.revision}"


@dataclass(frozen=True)
class Session:
    """A browser in which somebody is logged in."""

    id: UUID
    user: str
    user_id: UUID
    address: str
    user_agent: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Token:
    """A key of a program, never more than its user may do."""

    id: UUID
    name: str
    user: str
    user_id: UUID
    role: str
    selector: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
