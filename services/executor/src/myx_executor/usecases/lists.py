"""Lists by descending id: pages, and the filter by server."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from myx_kit.errors import InvalidArgument, MyxError
from myx_kit.pagination import clamp, decode_token, encode_token

DEFAULT_PAGE = 100
MAX_PAGE = 1000


class Identified(Protocol):
    """What is listed."""

    @property
    def id(self) -> UUID:
        """UUIDv7."""
        ...


_Item = TypeVar("_Item", bound=Identified)


async def newest_first(
    read: Callable[[int, UUID | None], Awaitable[Sequence[_Item]]], page_size: int, page_token: str
) -> tuple[Sequence[_Item], str]:
    """A page and the token of the next one (empty on the last). InvalidArgument `PAGE_TOKEN_INVALID`.

    `read(limit, before)`: at most `limit` items by descending id, those before `before`.
    """
    size = clamp(page_size, DEFAULT_PAGE, MAX_PAGE)
    found = await read(size + 1, _before(page_token))
    if len(found) <= size:
        return found, ""
    return found[:size], encode_token(str(found[size - 1].id))


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
