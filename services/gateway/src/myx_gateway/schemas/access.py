"""Who asks, what they may do, and the browsers in which they are logged in."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from myx_gateway.schemas.common import Answer, Body, Text
from myx_gateway.schemas.jobs import MAX_SELECTOR

Password = Annotated[Text, Field(min_length=1, max_length=1024, json_schema_extra={"format": "password"})]
Selector = Annotated[Text, Field(min_length=1, max_length=MAX_SELECTOR)]
RULE_OF_PASSWORDS = "12 characters or more; not the user's name, and none that everybody tries first. Write-only."


class RoleName(StrEnum):
    """What somebody may do with servers; each role includes those before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Grant(Answer):
    """A role on the servers that a selector matches."""

    role: RoleName
    selector: str = Field(description="`all`: everywhere, also on what belongs to no server.")


class NewGrant(Body):
    """A role on the servers that a selector matches."""

    role: Annotated[RoleName, Field(strict=False)]
    selector: Selector = Field(default="all", description="`all`: everywhere, also on what belongs to no server.")


class Via(StrEnum):
    """How somebody came: logged in, with an API token, or with the token of the installation."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a word, no token
    ROOT = "root"


class MeUser(Answer):
    """The user that one is."""

    id: str
    name: str
    display_name: str


class Me(Answer):
    """Who asks."""

    name: str = Field(description="As in records: `user:alice`, or `token:admin` for the token of the installation.")
    user: MeUser | None
    via: Via
    grants: list[Grant]
    cap: Grant | None = Field(description="Of an API token: never more than this role, and only on these servers.")


class Session(Answer):
    """A browser in which somebody is logged in."""

    id: str
    user: str = Field(description="Name of the user.")
    created_at: datetime
    last_used_at: datetime = Field(description="To the minute.")
    expires_at: datetime = Field(description="It ends then, or earlier when it is not used.")
    address: str = Field(description="From where it was begun.")
    user_agent: str
    current: bool = Field(description="The one that asks.")


class SessionPage(Answer):
    """One page of sessions, the newest first."""

    items: list[Session]
    next_page_token: str | None


class Login(Body):
    """A user's name and password."""

    name: Annotated[Text, Field(min_length=1, max_length=255)]
    password: Password


class LoggedIn(Answer):
    """A new session; its cookie comes with the answer."""

    session: Session
    csrf_token: str = Field(description="Send it as `X-CSRF-Token` with everything that is no GET.")
    me: Me


class CurrentSession(Answer):
    """Who asks, and the session if that is how they came."""

    me: Me
    session: Session | None
    csrf_token: str | None


class PasswordChange(Body):
    """One's own password and the new one."""

    old_password: Password
    new_password: Password = Field(description=RULE_OF_PASSWORDS)
