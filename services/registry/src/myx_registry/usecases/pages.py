"""Cursors of the registry's lists."""

from myx_kit.errors import InvalidArgument
from myx_kit.pagination import decode_token, encode_token


def cursor(page_token: str, kind: str) -> str:
    """The key after which a page begins; empty for the first page.

    Raises InvalidArgument `PAGE_TOKEN_INVALID` for a token that this kind of list did not give.
    """
    if not page_token:
        return ""
    found, key = decode_token(page_token, 2)
    if found != kind or not key:
        raise InvalidArgument(
            "PAGE_TOKEN_INVALID", "Pass the next_page_token of the same list, or none.", field="page_token"
        )
    return key


def next_token(kind: str, key: str) -> str:
    """The token of the page after `key`."""
    return encode_token(kind, key)
