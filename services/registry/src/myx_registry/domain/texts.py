"""Bounds on texts that callers give."""

import re
from typing import Final

from myx_kit.errors import InvalidArgument

MAX_REQUEST_ID: Final = 128
MAX_ACTOR: Final = 200
_PRINTABLE = re.compile(r"[\x21-\x7e]+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def checked_request_id(request_id: str) -> str | None:
    """None for an empty one (not idempotent). Raises InvalidArgument `REQUEST_ID_INVALID`."""
    return checked_word(request_id, MAX_REQUEST_ID, "REQUEST_ID_INVALID", "request_id") if request_id else None


def checked_word(text: str, limit: int, reason: str, field: str) -> str:
    """The text itself: 1 to `limit` printable ASCII characters without spaces. Raises InvalidArgument `reason`."""
    if len(text) > limit or not _PRINTABLE.fullmatch(text):
        raise InvalidArgument(
            reason, f"{field} has 1 to {limit} printable ASCII characters without spaces.", field=field
        )
    return text


def checked_line(text: str, limit: int, reason: str, field: str) -> str:
    """The text itself: up to `limit` characters of one line. Raises InvalidArgument `reason`."""
    if len(text) > limit or _CONTROL.search(text):
        raise InvalidArgument(
            reason, f"{field} has at most {limit} characters, without line breaks or control characters.", field=field
        )
    return text


def checked_actor(text: str) -> str:
    """Who asks, for the record. Raises InvalidArgument `ACTOR_INVALID`."""
    return checked_line(text, MAX_ACTOR, "ACTOR_INVALID", "requested_by")
