"""Whether a stream's client still may what it was let in for."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from myx_gateway.access.access import Access
from myx_gateway.access.guard import Guard, Params
from myx_gateway.access.principal import Principal
from myx_kit.errors import MyxError, NotFound, PermissionDenied, Unauthenticated, Unavailable
from myx_kit.logging import get_logger

log = get_logger()

# The principal with the rights of now; None when its session, token or user is no more.
Renew = Callable[[Principal], Awaitable[Principal | None]]

# For so long nobody is cut off only because the database or a service cannot be asked.
_DOUBT_S: Final = 60.0


async def as_it_came(principal: Principal) -> Principal | None:
    """A principal whose rights never change."""
    return principal


class Standing:
    """Asked every `interval_s` by a stream that is open."""

    def __init__(self, guard: Guard, renew: Renew, access: Access, params: Params, interval_s: float) -> None:
        self._guard = guard
        self._renew = renew
        self._access = access
        self._params = params
        self._sure_at = time.monotonic()
        self.interval_s = interval_s

    async def check(self) -> None:
        """PermissionDenied `FORBIDDEN` once the right is gone; Unavailable when it cannot be known for a minute."""
        access = self._access
        try:
            principal = await self._renew(access.principal)
            if principal is None:
                raise Unauthenticated("SESSION_ENDED", "it is over")
            access.principal = principal
            await self._guard.require(access.principal, access.operation, self._params)
        except (NotFound, PermissionDenied, Unauthenticated):
            raise PermissionDenied("FORBIDDEN", "the right to this was withdrawn") from None
        except MyxError as error:
            log.info("right_not_known", operation=access.operation.name, reason=error.reason)
            if time.monotonic() - self._sure_at > _DOUBT_S:
                raise Unavailable("RIGHT_UNKNOWN", "whether you still may cannot be known now; come back") from error
        else:
            self._sure_at = time.monotonic()


class Watched:
    """A response that goes on for long; the one who lets it out gives it its standing."""

    standing: Standing | None = None
