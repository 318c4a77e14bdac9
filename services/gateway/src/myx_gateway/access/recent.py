"""What was looked up in the last seconds."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from myx_kit.errors import Unavailable

Value = TypeVar("Value")

# Together with the time of a look-up well below the 5 s within which a revocation takes effect everywhere.
_FRESH_S: Final = 2.0
# While the database is away nothing can be revoked there, but it may have been just before.
_STALE_S: Final = 4.0
_LOOK_UP_S: Final = 2.5
_SIZE: Final = 10_000


@dataclass
class _Found(Generic[Value]):
    value: Value | None = None
    at: float = float("-inf")
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Recent(Generic[Value]):
    """A bounded cache; many who ask for the same at once cause one look-up. What is not there is not kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, size: int = _SIZE) -> None:
        self._clock = clock
        self._size = size
        self._entries: OrderedDict[bytes, _Found[Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: bytes, look_up: Callable[[], Awaitable[Value | None]]) -> Value | None:
        """What `look_up` gives, or gave within 2 s; within 4 s when it raises Unavailable, or else that."""
        entry = self._entries.setdefault(key, _Found())
        if self._age(entry) < _FRESH_S:
            self._entries.move_to_end(key)
            return entry.value
        async with entry.looking:
            if self._age(entry) < _FRESH_S:
                return entry.value
            return await self._look(key, entry, look_up)

    def drop(self, matches: Callable[[Value], bool]) -> None:
        """Forget what matches: it was revoked here. What is being looked up may have been read before that."""
        for key, entry in list(self._entries.items()):
            if entry.looking.locked() if entry.value is None else matches(entry.value):
                del self._entries[key]

    async def _look(
        self, key: bytes, entry: _Found[Value], look_up: Callable[[], Awaitable[Value | None]]
    ) -> Value | None:
        began = self._clock()
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                value = await look_up()
        except (Unavailable, TimeoutError) as error:
            if entry.value is not None and self._age(entry) < _STALE_S and self._entries.get(key) is entry:
                return entry.value
            self._forget(key, entry)
            if isinstance(error, Unavailable):
                raise
            raise Unavailable("DATABASE_TIMEOUT", "the database took too long") from None
        except BaseException:
            self._forget(key, entry)
            raise
        if value is None:
            self._forget(key, entry)
            return None
        entry.value, entry.at = value, began
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)
        return value

    def _age(self, entry: _Found[Value]) -> float:
        return self._clock() - entry.at

    def _forget(self, key: bytes, entry: _Found[Value]) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
