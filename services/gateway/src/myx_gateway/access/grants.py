"""What principals may do. Until users and roles come there is one principal, and it may do everything."""

from collections.abc import Sequence

from myx_gateway.access.token import ADMIN


def refusal(principal: str, operation: str, server_ids: Sequence[str]) -> str | None:
    """Why a principal may not do an operation on these servers now; None: it may."""
    if principal == ADMIN:
        return None
    about = f" on {len(server_ids)} servers" if server_ids else ""
    return f"{principal[:200] or 'nobody'} is not known (any more) and may not do {operation[:80]}{about}"
