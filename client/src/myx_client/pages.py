"""Lists that come in pages."""

from collections.abc import AsyncIterator, Callable, Generator, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from myx_client.transport import Request, Transport

_Page = TypeVar("_Page")
_Item = TypeVar("_Item")


class Pages(Generic[_Page, _Item]):
    """A list: `await` it for one page, or go over all items with `async for`, which asks for further pages."""

    def __init__(
        self,
        transport: Transport,
        request: Request,
        kind: type[_Page],
        content: Callable[[_Page], tuple[Sequence[_Item], str | None]],
    ) -> None:
        self._transport = transport
        self._request = request
        self._kind = kind
        self._content = content

    def __await__(self) -> Generator[Any, None, _Page]:
        return self._transport.answer(self._request, self._kind).__await__()

    async def __aiter__(self) -> AsyncIterator[_Item]:
        request = self._request
        while True:
            items, following = self._content(await self._transport.answer(request, self._kind))
            for item in items:
                yield item
            if not following or following == request.query.get("page_token"):
                return
            request = replace(request, query={**request.query, "page_token": following})
