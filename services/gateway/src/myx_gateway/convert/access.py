"""Users, sessions and tokens as the API shows them."""

from collections.abc import Iterable

from myx_gateway.access.principal import Principal
from myx_gateway.access.rights import Grant, Role
from myx_gateway.schemas import access, tokens, users
from myx_gateway.store.access_records import GrantRow, Session, Token, User


def me(principal: Principal, user: User | None) -> access.Me:
    """Who asks."""
    via = access.Via.SESSION if principal.session_id else access.Via.TOKEN if principal.token_id else access.Via.ROOT
    rights = principal.rights
    shown = None if user is None else access.MeUser(id=str(user.id), name=user.name, display_name=user.display_name)
    return access.Me(
        name=principal.name,
        user=shown,
        via=via,
        grants=[_grant(one) for one in rights.grants],
        cap=_grant(rights.cap) if principal.token_id else None,
    )


def session(found: Session, principal: Principal) -> access.Session:
    """A session as `principal` sees it."""
    return access.Session(
        id=str(found.id),
        user=found.user,
        created_at=found.created_at,
        last_used_at=found.last_used_at,
        expires_at=found.expires_at,
        address=found.address,
        user_agent=found.user_agent,
        current=principal.session_id == str(found.id),
    )


def user(found: User) -> users.User:
    """A user."""
    return users.User(
        id=str(found.id),
        name=found.name,
        display_name=found.display_name,
        kind=users.UserKind(found.kind.value),
        grants=[_grant_row(row) for row in found.grants],
        disabled=found.disabled,
        created_at=found.created_at,
        last_login_at=found.last_login_at,
        etag=found.etag,
    )


def token(found: Token) -> tokens.Token:
    """A token without its text."""
    return tokens.Token(
        id=str(found.id),
        name=found.name,
        user=found.user,
        role=access.RoleName(found.role),
        selector=found.selector,
        created_by=found.created_by,
        created_at=found.created_at,
        expires_at=found.expires_at,
        last_used_at=found.last_used_at,
    )


def grants(sent: Iterable[access.NewGrant]) -> tuple[Grant, ...]:
    """Grants as they were sent."""
    return tuple(grant(one.role, one.selector) for one in sent)


def grant(role: access.RoleName, selector: str) -> Grant:
    """One of them."""
    return Grant(Role[role.value.upper()], selector)


def _grant(one: Grant) -> access.Grant:
    return access.Grant(role=access.RoleName(one.role.name.lower()), selector=one.selector)


def _grant_row(row: GrantRow) -> access.Grant:
    role, selector = row
    return access.Grant(role=access.RoleName(role), selector=selector)
