"""From rows to rights and back."""

from collections.abc import Iterable

from myx_gateway.access.rights import EVERYWHERE, Grant, Rights, Role
from myx_gateway.store.access_records import GrantRow, Token, User


def rights_of(user: User, token: Token | None = None) -> Rights:
    """What a user may do, or what one of the user's API tokens may; nothing when the user is disabled."""
    if user.disabled:
        return Rights()
    cap = Grant(Role.ADMIN) if token is None else Grant(Role[token.role.upper()], token.selector)
    return Rights(tuple(Grant(Role[role.upper()], selector) for role, selector in user.grants), cap)


def rows_of(grants: Iterable[Grant]) -> tuple[GrantRow, ...]:
    """The grants as they are stored: each once, the greatest first."""
    distinct = sorted(set(grants), key=lambda grant: (-grant.role, grant.selector))
    return tuple((grant.role.name.lower(), grant.selector) for grant in distinct)


def is_full_admin(user: User) -> bool:
    """Whether the user can log in and administrate everything."""
    return user.kind == "person" and not user.disabled and ("admin", EVERYWHERE) in user.grants


def is_narrower(before: User, after: User) -> bool:
    """Whether something that the user could do is not for certain still possible."""
    return after.disabled or not all(_covered(grant, after.grants) for grant in before.grants)


def _covered(grant: GrantRow, by: Iterable[GrantRow]) -> bool:
    role, selector = grant
    return any(Role[other.upper()] >= Role[role.upper()] and where in {selector, EVERYWHERE} for other, where in by)
