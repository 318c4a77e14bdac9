"""Users."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from myx_gateway.schemas.access import RULE_OF_PASSWORDS, Grant, NewGrant, Password
from myx_gateway.schemas.common import Answer, Body, Name, plain

_NAME_RULE: Final = (
    "1 to 63 characters of `a-z`, `0-9`, `-`, `_`, `.` and `@`, beginning with a letter or digit. It stays, and is "
    "never given to somebody else."
)
_DisplayName = Annotated[str, Field(max_length=255), AfterValidator(plain)]
_Grants = Annotated[list[NewGrant], Field(max_length=50)]


class UserKind(StrEnum):
    """A person logs in with a password; a program has API tokens only."""

    PERSON = "person"
    PROGRAM = "program"


class User(Answer):
    """Somebody who may come in."""

    id: str
    name: str
    display_name: str
    kind: UserKind
    grants: list[Grant]
    disabled: bool
    created_at: datetime
    last_login_at: datetime | None
    etag: str


class UserPage(Answer):
    """One page of users, by name."""

    items: list[User]
    next_page_token: str | None


class NewUser(Body):
    """A user to add."""

    name: Name = Field(description=_NAME_RULE)
    display_name: _DisplayName = ""
    kind: Annotated[UserKind, Field(strict=False)] = UserKind.PERSON
    grants: _Grants = Field(default_factory=list, description="None: the user can do nothing.")
    password: Password | None = Field(default=None, description=f"Of a person, and required then. {RULE_OF_PASSWORDS}")


class UserChanges(Body):
    """What to change; a field that is not there or null stays. `grants` are replaced as a whole."""

    display_name: _DisplayName | None = None
    grants: _Grants | None = None
    disabled: bool | None = Field(default=None, description="True ends all sessions and shuts out the user's tokens.")
    password: Password | None = Field(default=None, description=f"Ends the user's sessions. {RULE_OF_PASSWORDS}")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if all(value is None for value in (self.display_name, self.grants, self.disabled, self.password)):
            raise ValueError("needs at least one of display_name, grants, disabled and password")
        return self
