"""Which servers a selector means, as the registry knows it."""

import re
import time
from collections import OrderedDict
from collections.abc import Collection
from typing import Final
from uuid import UUID

from myx.registry.v1 import server_service_pb2 as registry
from myx_gateway.clients import Clients
from myx_kit.rpc.client import stream_metadata, translate_errors

# For reading only: what acts asks anew.
_FRESH_S: Final = 2.0
# Ids that are kept, of all selectors together; an id costs about 100 bytes.
_MAX_KEPT: Final = 100_000
# More than this are looked up in the whole list; 50 ids are 1,900 of the 16,384 characters that a selector may have.
_MAX_NAMED: Final = 50
_MAX_SELECTOR: Final = 16_384
_DEADLINE_S: Final = 10.0
# Of a server; the registry refuses a selector with what can be none.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


class Fleet:
    """Answers in ids."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: OrderedDict[str, tuple[float, frozenset[str]]] = OrderedDict()

    async def matching(self, selector: str, *, fresh: bool = True, since: float = 0.0) -> frozenset[str]:
        """The servers that a selector matches now, or not `fresh`, up to two seconds ago, but not before `since` (of
        the monotonic clock).
        """
        now = time.monotonic()
        known = self._known.get(selector)
        if not fresh and known is not None and now - known[0] < _FRESH_S and known[0] >= since:
            return known[1]
        found = frozenset(server.id for server in await self._resolve(selector))
        self._keep(selector, now, found)
        return found

    def _keep(self, selector: str, now: float, found: frozenset[str]) -> None:
        """The newest last; those that are too old or too many go. One without servers counts as ten."""
        self._known.pop(selector, None)
        self._known[selector] = (now, found)
        kept = sum(max(10, len(ids)) for _, ids in self._known.values())
        while self._known and (kept > _MAX_KEPT or now - next(iter(self._known.values()))[0] > _FRESH_S):
            _, (_, dropped) = self._known.popitem(last=False)
            kept -= max(10, len(dropped))

    async def within(self, selector: str, ids: Collection[str], *, fresh: bool = True) -> frozenset[str]:
        """Those of `ids` that the selector matches."""
        wanted = sorted(one for one in set(ids) if is_id(one))
        few = f"({selector}) and id in ({', '.join(wanted)})"
        if not wanted:
            return frozenset()
        if len(wanted) <= _MAX_NAMED and len(few) <= _MAX_SELECTOR:
            return await self.matching(few, fresh=fresh)
        return await self.matching(selector, fresh=fresh) & frozenset(wanted)

    async def any(self, selector: str) -> bool:
        """Whether the selector matches a server. InvalidArgument `SELECTOR_INVALID` when it is none."""
        answer = await self._clients.servers.ListServers(registry.ListServersRequest(selector=selector, page_size=1))
        return bool(answer.servers)

    async def named(self, selector: str, references: Collection[str]) -> dict[str, str]:
        """The ids of those among `references` (ids or names) that name a server that the selector matches."""
        ids = {reference: one for reference in references if (one := _as_id(reference))}
        names = [one for one in references if _NAME.fullmatch(one) and one not in ids]
        found = await self._among(selector, list(ids.values()), names)
        known = {server.name: server.id for server in found} | {server.id: server.id for server in found}
        wanted = {reference: ids.get(reference, reference) for reference in references}
        return {reference: known[one] for reference, one in wanted.items() if one in known}

    async def names(self, selector: str, ids: Collection[str]) -> dict[str, str]:
        """By id the names of those servers among `ids` that the selector matches."""
        wanted = {one for one in ids if is_id(one)}
        found = await self._among(selector, sorted(wanted), [])
        return {server.id: server.name for server in found if server.id in wanted}

    async def _among(
        self, selector: str, ids: Collection[str], names: Collection[str]
    ) -> list[registry.ResolvedServer]:
        """What the selector matches: of these, and perhaps more, when they are many."""
        quoted = [f"'{name}'" for name in names]
        terms = [f"{key} in ({', '.join(values)})" for key, values in (("id", ids), ("name", quoted)) if values]
        if not terms:
            return []
        few = f"({selector}) and ({' or '.join(terms)})"
        is_few = len(ids) + len(names) <= _MAX_NAMED and len(few) <= _MAX_SELECTOR
        return await self._resolve(few if is_few else selector)

    async def _resolve(self, selector: str) -> list[registry.ResolvedServer]:
        with translate_errors("registry"):
            request = registry.ResolveServersRequest(selector=selector)
            call = self._clients.servers.ResolveServers(request, timeout=_DEADLINE_S, metadata=stream_metadata())
            return [server async for piece in call for server in piece.servers]


def is_id(text: str) -> bool:
    """Whether it is an id as services write it, and so no name."""
    return bool(text) and _as_id(text) == text


def _as_id(text: str) -> str:
    """An id in the form that services write, empty for what is none."""
    try:
        return str(UUID(text))
    except ValueError:
        return ""
