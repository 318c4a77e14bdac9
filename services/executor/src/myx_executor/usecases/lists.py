"""Lists: pages that fit a message, most of them by descending id, and the filter by server."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

from myx_kit.errors import InvalidArgument, MyxError
from myx_kit.pagination import clamp, decode_token, encode_token

DEFAULT_PAGE = 100
MAX_PAGE = 1000

# Characters of one page; a message has at most 16 MiB, and a character at most 4 bytes.
_PAGE_LENGTH = 3 << 20
# Rows of the first read; the next ones are larger, as long as the page has room. One row may have megabytes.
_FIRST_ROWS = 20
_MORE = 5


class Identified(Protocol):
    """What is listed."""

    @property
    def id(self) -> UUID:
        """UUIDv7."""
        ...


_Item = TypeVar("_Item", bound=Identified)
_Any = TypeVar("_Any")
_Key = TypeVar("_Key")


async def newest_first(
    read: Callable[[int, UUID | None], Awaitable[Sequence[_Item]]], page_size: int, page_token: str
) -> tuple[Sequence[_Item], str]:
    """A page and the token of the next one (empty on the last). InvalidArgument `PAGE_TOKEN_INVALID`.

    `read(limit, before)`: at most `limit` items by descending id, those before `before`.
    """
    size = clamp(page_size, DEFAULT_PAGE, MAX_PAGE)
    found, has_more = await fitting(read, size, _before(page_token), lambda item: item.id)
    return found, encode_token(str(found[-1].id)) if has_more else ""


async def fitting(
    read: Callable[[int, _Key | None], Awaitable[Sequence[_Any]]],
    size: int,
    after: _Key | None,
    key: Callable[[_Any], _Key],
) -> tuple[Sequence[_Any], bool]:
    """At most `size` items behind `after`, as many as one message carries (one at least), and whether more follow."""
    found: list[_Any] = []
    length, rows = 0, _FIRST_ROWS
    while True:
        wanted = min(rows, size + 1 - len(found))
        page = await read(wanted, after)
        for item in page:
            length += _length(item)
            if len(found) == size or (found and length > _PAGE_LENGTH):
                return found, True
            found.append(item)
        if len(page) < wanted:
            return found, False
        after, rows = key(page[-1]), rows * _MORE


def _length(value: Any) -> int:
    """About how much it is in a message."""
    match value:
        case str() | bytes():
            return len(value)
        case Mapping():
            return sum(_length(name) + _length(one) for name, one in value.items())
        case list() | tuple():
            return sum(map(_length, value))
        case _ if is_dataclass(value):
            return sum(_length(getattr(value, one.name)) for one in fields(value))
    return 8


async def server_filter(server: str, id_of: Callable[[str], Awaitable[str]]) -> tuple[str | None, str | None]:
    """Server id or name to filter by, at most one of them; `id_of` asks who a name is."""
    if not server:
        return None, None
    try:
        return str(UUID(server)), None
    except ValueError:
        pass
    try:
        return await id_of(server), None
    except MyxError:
        # Deleted, without an agent, or the registry is away: the name that the rows remember.
        return None, server


def _before(page_token: str) -> UUID | None:
    if not page_token:
        return None
    (text,) = decode_token(page_token, 1)
    try:
        return UUID(text)
    except ValueError:
        message = "page_token is not one that MyX gave"
        raise InvalidArgument("PAGE_TOKEN_INVALID", message, field="page_token") from None
