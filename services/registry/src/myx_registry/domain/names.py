"""Names and ids, by which callers mean servers and credentials."""

import re

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def is_id(reference: str) -> bool:
    """Whether `id or name` is an id."""
    return _CANONICAL_UUID.fullmatch(reference) is not None


def is_name(reference: str) -> bool:
    """Whether `id or name` could be a name."""
    return _NAME.fullmatch(reference) is not None
