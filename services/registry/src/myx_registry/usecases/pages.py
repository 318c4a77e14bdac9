"""Cursors of the registry's lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from myx_kit.errors import InvalidArgument
from myx_kit.pagination import decode_token, encode_token
from myx_registry.domain.names import is_id, is_name

Item = TypeVar("Item")


def cursor(page_token: str, kind: str) -> str:
    """The key after which a page begins; empty for the first page.

    Raises InvalidArgument `PAGE_TOKEN_INVALID` for a token that this kind of list did not give.
    """
    if not page_token:
        return ""
    found, key = decode_token(page_token, 2)
    # Only names and ids were ever given: what else a forged token holds must not reach the database.
    if found != kind or not (is_name(key) or is_id(key)):
        raise InvalidArgument(
            "PAGE_TOKEN_INVALID", "Pass the next_page_token of the same list, or none.", field="page_token"
        )
    return key


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list. `keys` are the cursors of the items; `more` says that the list goes on behind them."""

    kind: str
    items: Sequence[Item]
    keys: Sequence[str]
    more: bool

    def token_after(self, count: int) -> str:
        """The token of the page that follows the first `count` items (1 or more); empty at the end of the list."""
        if count == len(self.items) and not self.more:
            return ""
        return encode_token(self.kind, self.keys[count - 1])
