"""API tokens."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from myx_gateway.schemas.access import RoleName, Selector
from myx_gateway.schemas.common import Answer, Body, Name

_DAY_S: Final = 86_400


class Token(Answer):
    """A key of a program; it may do what its user may, and never more than its role on what its selector matches."""

    id: str
    name: str
    user: str = Field(description="Name of the user.")
    role: RoleName
    selector: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute; null: never.")


class CreatedToken(Token):
    """A new token with its text."""

    token: str = Field(description="The token itself. It is shown this once.")


class TokenPage(Answer):
    """One page of tokens, the newest first."""

    items: list[Token]
    next_page_token: str | None


class NewToken(Body):
    """A token to make."""

    name: Name = Field(description="What it is for; unique among the tokens of its user.")
    user: str = Field(default="", max_length=255, description="Whose, by id or name; empty: of who asks.")
    role: Annotated[RoleName, Field(strict=False)] = Field(
        default=RoleName.ADMIN, description="Never more than this, whatever the user may do."
    )
    selector: Selector = Field(default="all", description="Only on servers that this matches.")
    expires_in_s: Annotated[int, Field(ge=60, le=365 * _DAY_S)] | None = Field(
        default=90 * _DAY_S, description="Null, for programs only: until it is deleted."
    )
