"""What everybody may do with what is their own, and administrators with that of others."""

from uuid import UUID

from myx_gateway.access.principal import Principal
from myx_gateway.access.rights import Role
from myx_kit.errors import PermissionDenied


def is_admin(principal: Principal) -> bool:
    """Whether this is somebody who administrates everything."""
    return principal.rights.everywhere(Role.ADMIN)


def check_sees(principal: Principal, user_id: UUID | None) -> None:
    """That sessions and tokens of this user (None: of all) may be seen. PermissionDenied `FORBIDDEN`."""
    if not is_admin(principal) and (user_id is None or principal.user_id != str(user_id)):
        raise PermissionDenied("FORBIDDEN", "what belongs to others needs the role admin on all", role="admin")


def check_manages(principal: Principal, user_id: UUID) -> None:
    """That sessions and tokens of this user may be made and ended. PermissionDenied `FORBIDDEN`, `SESSION_NEEDED`.

    With an API token only where it may administrate everything: one that is stolen must not make others that last
    longer or reach further.
    """
    check_sees(principal, user_id)
    if not is_admin(principal):
        check_logged_in(principal)


def check_logged_in(principal: Principal) -> None:
    """That this is a person who has logged in. PermissionDenied `SESSION_NEEDED`."""
    if not principal.session_id:
        raise PermissionDenied("SESSION_NEEDED", "this is for somebody who has logged in, not for a token")
