"""What people write into the filters of the audit trail."""

from difflib import get_close_matches
from typing import Final

from myx_gateway.access.audit import NOBODY
from myx_gateway.chain import SEAL
from myx_gateway.operations import BY_NAME
from myx_kit.errors import InvalidArgument

# Those that have no kind before their name: a user called so is found by `user:…` only.
_BARE: Final = frozenset({NOBODY, "local", "gateway"})
# What entries name beside the operations of the API.
_BESIDE: Final = frozenset({"users.recover", SEAL})
_LIKE: Final = 0.6
_MOST_NAMED: Final = 3


def full_name(principal: str) -> str:
    """A principal as entries name it: `alice` is the user of this name."""
    return principal if not principal or ":" in principal or principal in _BARE else f"user:{principal}"


def check_operation(name: str) -> None:
    """InvalidArgument `REQUEST_INVALID`: there is no such operation, which is no more than that nobody did it."""
    if name in BY_NAME or name in _BESIDE:
        return
    known = sorted({*BY_NAME, *_BESIDE})
    like = get_close_matches(name, known, _MOST_NAMED, _LIKE) or [one for one in known if name in one][:_MOST_NAMED]
    told = f": {', '.join(like)}?" if like else " of this name"
    raise InvalidArgument("REQUEST_INVALID", f"there is no such operation{told}", field="operation")
