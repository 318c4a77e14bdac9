"""Lists that come in pages."""

from typing import Any

from myx_cli.api import Client, Document
from myx_cli.errors import Failure
from myx_cli.output import note

_PAGE_SIZE = 200


def all_items(client: Client, path: str, limit: int | None = None, **query: Any) -> list[Document]:
    """The items of all pages, the first `limit` of them where one is given."""
    return first_items(client, path, limit, **query)[0]


def shown_items(client: Client, path: str, limit: int | None, **query: Any) -> list[Document]:
    """The first `limit` items; that there are more is said on stderr."""
    items, more = first_items(client, path, limit, **query)
    if more:
        note(f"there are more than the {len(items)} shown: --limit N shows more")
    return items


def first_items(client: Client, path: str, limit: int | None, **query: Any) -> tuple[list[Document], bool]:
    """The first `limit` items, and whether there are more."""
    items: list[Document] = []
    token: str | None = None
    while True:
        size = _PAGE_SIZE if limit is None else min(_PAGE_SIZE, limit - len(items))
        page = client.get(path, page_size=size, page_token=token, **query)
        new = page.get("items")
        if not isinstance(new, list):
            raise Failure(f"{client.endpoint.shown} did not answer as MyX does: is the address right?")
        items += new
        following = page.get("next_page_token")
        if not following or following == token or (limit is not None and len(items) >= limit):
            return items[:limit], bool(following) or (limit is not None and len(items) > limit)
        token = str(following)
