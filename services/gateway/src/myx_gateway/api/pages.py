"""Pages of what the gateway itself keeps."""

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from myx_gateway.access.names import id_in, is_name
from myx_kit.errors import InvalidArgument
from myx_kit.pagination import decode_token, encode_token

Item = TypeVar("Item")


def after_name(page_token: str, kind: str) -> str:
    """The name behind which a page begins, empty at first. InvalidArgument `PAGE_TOKEN_INVALID`."""
    if not page_token:
        return ""
    found, name = decode_token(page_token, 2)
    if found != kind or not is_name(name):
        raise _not_ours()
    return name


def before_id(page_token: str, kind: str) -> UUID | None:
    """The id before which a page begins, None at first. InvalidArgument `PAGE_TOKEN_INVALID`."""
    if not page_token:
        return None
    found, text = decode_token(page_token, 2)
    id_ = id_in(text)
    if found != kind or id_ is None:
        raise _not_ours()
    return id_


def cut(found: Sequence[Item], page_size: int) -> tuple[Sequence[Item], bool]:
    """The items of the page, of one more than it has, and whether the list goes on."""
    return found[:page_size], len(found) > page_size


def next_token(kind: str, key: object, *, more: bool) -> str | None:
    """The token of the next page, None at the end."""
    return encode_token(kind, str(key)) if more else None


def _not_ours() -> InvalidArgument:
    text = "Pass the next_page_token of the same list, or none."
    return InvalidArgument("PAGE_TOKEN_INVALID", text, field="page_token")
