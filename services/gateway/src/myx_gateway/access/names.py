"""Names and ids of users and what belongs to them."""

import re
from typing import Final
from uuid import UUID

from myx_kit.errors import InvalidArgument, MyxError
from myx_kit.ids import parse_id

NAME_RULE: Final = "1 to 63 characters of `a-z`, `0-9`, `-`, `_`, `.` and `@`, beginning with a letter or digit."
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")


def is_name(text: str) -> bool:
    """Whether a user can be called so; what looks like an id is no name."""
    return _NAME.fullmatch(text) is not None and id_in(text) is None


def check_name(text: str) -> None:
    """InvalidArgument `NAME_INVALID` for what no user can be called."""
    if not is_name(text):
        raise InvalidArgument("NAME_INVALID", f"must have {NAME_RULE.replace('`', '')}", field="name")


def id_in(text: str) -> UUID | None:
    """The id that `text` is, if it is one."""
    try:
        return parse_id(text)
    except MyxError:
        return None


def reference(text: str) -> UUID | str | None:
    """What `text` names a user by, its id or its name; None when nobody can be called so."""
    return id_in(text) or (text if is_name(text) else None)
